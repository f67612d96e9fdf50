/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/packed.h"
#include "kernels/conv.h"
#include "kernels/gemm.h"
#include "kernels/nbits.h"
#include "kernels/qgemm.h"

#include <assert.h>
#include <string.h>

static const void *const kernels[] = {
#define KERNEL(name, ...) &mbr_##name,
#include "kernels/gemm.def"
#include "kernels/conv.def"
#include "kernels/qgemm.def"
#include "kernels/qconv.def"
#include "kernels/nbits.def"
#undef KERNEL
};

#define COUNT (sizeof kernels / sizeof *kernels)

uint32_t mbr_packed_kernel_number(const void *kernel)
{
    uint32_t i = 0;
    while (i < COUNT && kernels[i] != kernel)
        i++;
    assert(i < COUNT);
    return i;
}

const void *mbr_packed_kernel(uint32_t number)
{
    assert(number < COUNT);
    return kernels[number];
}

/* The families' rows all begin with the kernel's name. */
#define NAME_FIRST(type) _Static_assert(offsetof(type, name) == 0, "the name comes first")
NAME_FIRST(mbr_gemm_f32_kernel);
NAME_FIRST(mbr_conv_f32_kernel);
NAME_FIRST(mbr_qgemm_kernel);
NAME_FIRST(mbr_qconv_kernel);
NAME_FIRST(mbr_nbits_kernel);

mbr_hash mbr_packed_kernels(void)
{
    mbr_hash h = { COUNT, 0 };
    for (size_t i = 0; i < COUNT; i++) {
        const char *name;
        memcpy(&name, kernels[i], sizeof name);
        h = mbr_hash_bytes(name, strlen(name), h);
    }
    return h;
}
