/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "engine/opencl/measure.h"
#include "base/hash.h"
#include "engine/ops/op.h"
#include "engine/schedule/schedule.h"
#include "engine/spans.h"
#include "engine/trial.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TRIES 8
#define EACH_NS 60e6           /* tries of one graph, but at least two */
#define LARGE ((size_t)16 << 20) /* bytes of a transfer */
#define SHORT_NS 1e6           /* a product that takes less is measured at a larger size */

/* --- graphs --- */

/* `body` holds "%%d" pieces: the value before, the value made; it is repeated n times. */
static mbr_status write_chain(const char *type, const char *body, int n, char *text, size_t room, mbr_error *err)
{
    size_t at = (size_t)snprintf(text, room, "module \"m\" ir 8 opset ai.onnx 17\ngraph g(%%v0: %s) -> (%%v%d) {\n", type, n);
    for (int i = 0; i < n && at < room; i++) {
        at += (size_t)snprintf(text + at, room - at, "%%v%d = ", i + 1);
        for (const char *c = body; *c && at + 8 < room; c++)
            if (*c == '#')
                at += (size_t)snprintf(text + at, room - at, "%d", i);
            else
                text[at++] = *c;
        text[at++] = '\n';
    }
    if (at + 3 > room)
        return mbr_fail(err, MBR_ERR_INTERNAL, "a graph to measure is too long");
    memcpy(text + at, "}\n", 3);
    return MBR_OK;
}

static mbr_status open_chain(mbr_trial *t, mbr_cl_device *d, const char *text, mbr_error *err)
{
    MBR_TRY(mbr_trial_open(t, d->memory, NULL, &d->base, NULL, text, err));
    MBR_TRY(mbr_trial_start(t, err));
    for (uint32_t k = 0; k < t->program->n_steps; k++)
        if (!mbr_frame_device(t->frame) || !d->base.fn->has(mbr_frame_device(t->frame), k))
            return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s does not run what is to be measured", d->label);
    return MBR_OK;
}

/* The shortest of some runs of a chain of n. */
static mbr_status chain_ns(mbr_cl_device *d, const char *type, const char *body, int n, double *ns, mbr_error *err)
{
    char text[2048];
    mbr_trial chain;
    MBR_TRY(write_chain(type, body, n, text, sizeof text, err));
    mbr_status st = open_chain(&chain, d, text, err);
    double all = 0;
    *ns = 1e30;
    for (int i = 0; st == MBR_OK && i < TRIES && (i < 2 || all < EACH_NS); i++) {
        uint64_t t = mbr_spans_now();
        st = mbr_frame_run(chain.frame, err);
        double took = (double)(mbr_spans_now() - t);
        *ns = took < *ns ? took : *ns;
        all += took;
    }
    mbr_trial_close(&chain);
    return st;
}

/* What a run has beside its steps falls out. */
mbr_status mbr_cl_step_ns(mbr_cl_device *d, const char *type, const char *body, int more, double *ns, mbr_error *err)
{
    double one, many;
    MBR_TRY(chain_ns(d, type, body, 1, &one, err));
    MBR_TRY(chain_ns(d, type, body, 1 + more, &many, err));
    *ns = many > one ? (many - one) / more : many / (1 + more);
    return MBR_OK;
}

static mbr_status product_rate(mbr_cl_device *d, const char *type, double *gflops, mbr_error *err)
{
    char text[32];
    double ns = 0, flop = 0;
    for (int size = 512; size <= 2048 && ns < SHORT_NS; size *= 4) {
        snprintf(text, sizeof text, "%s[%d, %d]", type, size, size);
        MBR_TRY(mbr_cl_step_ns(d, text, "ai.onnx.MatMul@13(%v#, %v0)", 3, &ns, err));
        flop = 2.0 * size * size * size;
    }
    *gflops = flop / ns / mbr_device_share(MBR_DEVICE_PRODUCT);
    return MBR_OK;
}

/* --- transfers --- */

static mbr_status transfer_ns(mbr_cl_device *d, cl_command_queue q, cl_mem mem, void *host, size_t bytes, bool up,
                              double *ns, mbr_error *err)
{
    *ns = 1e30;
    for (int i = 0; i < TRIES; i++) {
        uint64_t t = mbr_spans_now();
        cl_int code = up ? d->cl->clEnqueueWriteBuffer(q, mem, CL_TRUE, 0, bytes, host, 0, NULL, NULL) :
                           d->cl->clEnqueueReadBuffer(q, mem, CL_TRUE, 0, bytes, host, 0, NULL, NULL);
        double took = (double)(mbr_spans_now() - t);
        if (code != CL_SUCCESS)
            return mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: a transfer failed: %s", d->label, mbr_cl_error_name(code));
        *ns = took < *ns ? took : *ns;
    }
    return MBR_OK;
}

static mbr_status measure_transfers(mbr_cl_device *d, mbr_plan_device *to, mbr_error *err)
{
    cl_int code;
    size_t bytes = d->max_alloc < LARGE ? (size_t)d->max_alloc : LARGE, few = bytes < 4096 ? bytes : 4096;
    double small[2], large[2];
    void *host = mbr_calloc(d->memory, 1, bytes);
    if (!host)
        return mbr_no_memory(err, bytes);
    cl_command_queue q = d->cl->clCreateCommandQueue(d->context, d->id, 0, &code);
    cl_mem mem = q ? d->cl->clCreateBuffer(d->context, CL_MEM_READ_WRITE, bytes, NULL, &code) : NULL;
    mbr_status st = mem ? MBR_OK : mbr_fail(err, MBR_ERR_UNSUPPORTED, "%s: no room to measure transfers: %s", d->label,
                                            mbr_cl_error_name(code));
    for (int up = 0; up < 2 && st == MBR_OK; up++) {
        st = transfer_ns(d, q, mem, host, few, up, &small[up], err);
        if (st == MBR_OK)
            st = transfer_ns(d, q, mem, host, bytes, up, &large[up], err);
    }
    if (mem)
        d->cl->clReleaseMemObject(mem);
    if (q)
        d->cl->clReleaseCommandQueue(q);
    mbr_free(d->memory, host);
    MBR_TRY(st);
    to->download_us = small[0] * 1e-3;
    to->upload_us = small[1] * 1e-3;
    to->download_gbps = (double)bytes / large[0];
    to->upload_gbps = (double)bytes / large[1];
    return MBR_OK;
}

mbr_status mbr_cl_measure(mbr_cl_device *d, mbr_plan_device *to, mbr_error *err)
{
    double ns;
    size_t n = d->max_alloc / 8 < LARGE / 4 ? (size_t)d->max_alloc / 8 : LARGE / 4;
    char type[32];
    *to = (mbr_plan_device){ .size = sizeof *to, .name = d->label, .unified = d->unified, .node = -1,
                             .memory_bytes = (double)d->global_bytes, .max_alloc_bytes = (double)d->max_alloc };
    MBR_TRY(measure_transfers(d, to, err));
    MBR_TRY(mbr_cl_step_ns(d, "f32[1024]", "ai.onnx.Add@14(%v#, %v0)", 8, &ns, err));
    to->launch_us = ns * 1e-3;
    snprintf(type, sizeof type, "f32[%zu]", n);
    MBR_TRY(mbr_cl_step_ns(d, type, "ai.onnx.Add@14(%v#, %v0)", 4, &ns, err));
    to->memory_gbps = 12.0 * (double)n / ns / mbr_device_share(MBR_DEVICE_STREAM);
    MBR_TRY(product_rate(d, "f32", &to->gflops_f32, err));
    if (!d->f16 || product_rate(d, "f16", &to->gflops_f16, NULL) != MBR_OK)
        to->gflops_f16 = to->gflops_f32;
    return MBR_OK;
}

/* --- without drivers --- */

/* Names and dates of a folder's files that begin with `begin`; of a file its own. */
static mbr_hash add_files(mbr_hash h, const char *path, const char *begin)
{
    struct stat s;
    char file[1024];
    mbr_hash sum = { 0, 0 };
    if (stat(path, &s) != 0)
        return h;
    DIR *dir = S_ISDIR(s.st_mode) ? opendir(path) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strncmp(e->d_name, begin, strlen(begin)) != 0 || e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        int64_t dates[2] = { 0, 0 };
        if (stat(file, &s) == 0 && S_ISREG(s.st_mode)) {
            dates[0] = (int64_t)s.st_mtim.tv_sec;
            dates[1] = (int64_t)s.st_size;
        }
        mbr_hash one = mbr_hash_bytes(dates, sizeof dates, mbr_hash_bytes(file, strlen(file), (mbr_hash){ 0, 0 }));
        sum.a += one.a; /* a folder has no order */
        sum.b += one.b;
    }
    if (dir)
        closedir(dir);
    else
        sum.a = (uint64_t)s.st_mtim.tv_sec;
    return mbr_hash_bytes(&sum, sizeof sum, h);
}

void mbr_cl_machine_key(char *text, size_t room)
{
    static const char *const names[] = { "OCL_ICD_VENDORS", "OCL_ICD_FILENAMES", "OPENCL_VENDOR_PATH", "POCL_DEVICES",
                                         "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH" };
    mbr_hash h = { 0, 0 };
    for (size_t i = 0; i < MBR_COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);
        h = value ? mbr_hash_bytes(value, strlen(value) + 1, h) : mbr_hash_bytes("", 0, h);
    }
    const char *vendors = getenv("OCL_ICD_VENDORS");
    h = add_files(h, vendors && *vendors == '/' ? vendors : "/etc/OpenCL/vendors", "");
    h = add_files(h, "/etc/ld.so.cache", "");
    h = add_files(h, "/dev", "nvidia");
    h = add_files(h, "/dev", "kfd");
    h = add_files(h, "/dev/dri", "");
    snprintf(text, room, "%016llx%016llx", (unsigned long long)h.a, (unsigned long long)h.b);
}
