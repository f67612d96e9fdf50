/* SPDX-License-Identifier: BSD-2-Clause */
/* What drivers leave behind is theirs: included once in each program that opens an OpenCL device. */
#ifndef MBR_TESTS_OPENCL_LEAKS_H
#define MBR_TESTS_OPENCL_LEAKS_H

#if defined(__SANITIZE_ADDRESS__)
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpocl\nleak:libOpenCL\nleak:libLLVM\nleak:libclang\n";
}
#endif

#endif
