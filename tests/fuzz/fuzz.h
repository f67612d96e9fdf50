/* SPDX-License-Identifier: BSD-2-Clause */
/* The entry that a fuzzer calls, and that replay.c calls where there is none. */
#ifndef MBR_TESTS_FUZZ_H
#define MBR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
