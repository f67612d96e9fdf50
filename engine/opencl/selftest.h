/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a device compute what it should? Each family of kernels is asked for a small answer before its first use on a
 * device; what the CPU says is right. A family that fails is named in a warning, and the CPU does its operators. A pass
 * is kept with the programs (store.h), so that it is asked for once a driver and version of the library.
 */
#ifndef MBR_ENGINE_OPENCL_SELFTEST_H
#define MBR_ENGINE_OPENCL_SELFTEST_H

#include "base/hash.h"
#include "engine/opencl/device.h"

typedef struct mbr_cl_selftest {
    const char *family; /* its table's name in MBR_CL_OP_TABLES; NULL: the end */
    const char *graph;  /* text of engine/text.h with sizes that are numbers; inputs are f32, ints or bool */
    float tolerance;    /* of the larger of 1 and the value; 0: 1e-4 */
} mbr_cl_selftest;

/* Any number of rows a family: all have to pass. */
extern const mbr_cl_selftest mbr_cl_selftests[];

/* Tests at the first call for a family. Any thread. (program.c) */
bool mbr_cl_family_works(mbr_cl_device *d, const char *family);

/* Tests. */
bool mbr_cl_family_passes(mbr_cl_device *d, const char *family);

/* Does the device give the CPU's answer to one row? It takes nothing but d->testing. False: *why says it. */
bool mbr_cl_passes(mbr_cl_device *d, const mbr_cl_selftest *t, mbr_error *why);
/* A key for what tests say (store.h): of these kernels, too. */
mbr_hash mbr_cl_test_key(const mbr_cl_device *d, const char *const *texts, size_t n);

#endif
