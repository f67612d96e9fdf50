/* SPDX-License-Identifier: BSD-2-Clause */
/* The inner loop on tile registers; the rest of its kernels is in qgemm_avx512vnni.c. */
#ifndef MBR_KERNELS_X86_QGEMM_AMX_H
#define MBR_KERNELS_X86_QGEMM_AMX_H

#include "kernels/qgemm_plan.h"

#define AMX_MR 32
#define AMX_NR 32

/*
 * As a qg_form wants them, between begin and end, which give the thread its tile registers and take them away. A is
 * bytes without sign, and may be read up to 15 rows further than mr, and up to 63 bytes further than the steps.
 */
void mbr_qgemm_amx_begin(void);
void mbr_qgemm_amx_micro(const qg_tile *t, size_t mr);
void mbr_qgemm_amx_end(void);

#endif
