/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An OpenCL device: context, limits, programs, data that its models share. The loader (libOpenCL) is opened when the
 * first device is asked for, so that the library starts where there is none.
 *
 * Threads: all functions may be called from any thread. Queues belong to frames.
 */
#ifndef MBR_ENGINE_OPENCL_DEVICE_H
#define MBR_ENGINE_OPENCL_DEVICE_H

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/device.h"
#include "engine/opencl/cl.h"

typedef struct mbr_cl_program mbr_cl_program;

/* choice.h: what is computed with if that is faster. */
typedef enum mbr_cl_choice {
    MBR_CL_HALVES,           /* products of f16 in f16 */
    MBR_CL_SUB_PRODUCTS,     /* gemm_sub.cl instead of gemm_tiles, of f32; + 1: of f16; + 2, + 3: of a transposed b */
    MBR_CL_SUB_PRODUCTS_F16,
    MBR_CL_SUB_TRANSPOSED,
    MBR_CL_SUB_TRANSPOSED_F16,
    MBR_CL_SUB_SUMS,         /* sums of a group by those of its sub-groups (common.cl) */
    MBR_CL_CHOICES
} mbr_cl_choice;

/* What the device has of sub-groups, work-items of a group that go together. */
typedef struct mbr_cl_sub_groups {
    cl_uint most;        /* in a group; 0: it has none, or no way to ask for the size that a kernel gets */
    _Atomic cl_uint size; /* that kernels got last, or what to try first */
    const char *options; /* with which the compiler knows them, after a space */
    bool required;       /* kernels may demand their size (cl_intel_required_subgroup_size) */
    bool blocks[2];      /* block reads of 32 bits; of 16 bits (cl_intel_subgroups, cl_intel_subgroups_short) */
    mbr_cl_sub_group_info ask;
} mbr_cl_sub_groups;

typedef struct mbr_cl_device {
    mbr_device base;
    mbr_memory *memory;
    const mbr_log *log;
    const mbr_cl *cl;         /* the loader's functions */
    char *folder;             /* store.h; NULL: nothing is kept */
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    char label[24];           /* "opencl:0" */
    char name[128], vendor[64], driver[64], version[64], platform_name[64];
    cl_device_type type;
    cl_uint units;            /* compute units */
    size_t max_group;         /* work-items in a group at most */
    size_t max_sizes[3];
    cl_ulong local_bytes, global_bytes, max_alloc;
    cl_uint align;            /* bytes, of sub-buffers */
    cl_uint vector_f32;       /* native vector width of float: 1 on GPUs, 4 to 16 on CPUs */
    bool f16, f64, unified, int8_dot;
    mbr_cl_sub_groups sub;
    _Atomic signed char choice[MBR_CL_CHOICES]; /* 1: it is right and faster; -1: not; 0: not measured (choice.h) */
    struct mbr_cl_shared *shared; /* programs and packed data, with their lock */
    const char *testing;      /* a family that is being tested: the only one that is taken; else NULL */
} mbr_cl_device;

/* How many devices there are; GPUs and accelerators first, then CPUs. MBR_OK with 0 where there is no loader. */
mbr_status mbr_cl_count(mbr_memory *memory, const mbr_log *log, int *n, mbr_error *err);

/* Opens the index-th; cache: a folder for binaries, "off", or NULL (store.h). On success *out is the caller's.
   MBR_ERR_UNSUPPORTED where there is none; the message says why. */
mbr_status mbr_cl_device_open(mbr_memory *memory, const mbr_log *log, int index, const char *cache, mbr_cl_device **out,
                              mbr_error *err);
void mbr_cl_device_close(mbr_cl_device *d); /* NULL is fine */

/*
 * The program of kernels/opencl/NAME.cl with options, built at its first use; extra is text after it, or NULL. It lives as
 * long as the device. MBR_ERR_UNSUPPORTED where it does not build; the message has the driver's first lines.
 */
mbr_status mbr_cl_program_get(mbr_cl_device *d, const char *name, const char *extra, const char *options,
                              cl_program *out, mbr_error *err);

/* Data kept on the device under a key of two pointers and a number; fill is called where it is not there yet. */
mbr_status mbr_cl_keep(mbr_cl_device *d, const void *owner, const void *key, unsigned slot, size_t bytes,
                       mbr_status (*fill)(void *user, void *to, size_t bytes, mbr_error *err), void *user,
                       cl_mem *out, mbr_error *err);
/* Forgets what was kept for an owner (a model). */
void mbr_cl_forget(mbr_cl_device *d, const void *owner);

/* The size of the sub-groups that a kernel gets in groups of `local` work-items, 0: the driver does not say. */
size_t mbr_cl_sub_group_size(const mbr_cl_device *d, cl_kernel kernel, size_t local);

/* "CL_OUT_OF_RESOURCES" */
const char *mbr_cl_error_name(cl_int code);

#endif
