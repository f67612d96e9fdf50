/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The OpenCL device below its kernels, with the driver's functions wrapped: what is created is released, failures at any
 * call leave the same answer, poor devices do what they can, the store of programs is used and never trusted.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/device.h"
#include "engine/opencl/choice.h"
#include "engine/opencl/device.h"
#include "engine/opencl/frame.h"
#include "engine/opencl/measure.h"
#include "engine/opencl/product.h"
#include "engine/opencl/selftest.h"
#include "engine/profile.h"
#include "tests/ir_text.h"
#include "tests/opencl_leaks.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static mbr_memory memory;
static mbr_cl *table, plain; /* the functions in use; as the driver has them */
static mbr_cl_device *device;
static char folder[] = "opencl-store-XXXXXX";
static mbr_error err;

static const char *const graph = "module \"m\" ir 8 opset ai.onnx 17\n"
                                 "graph main(%a: f32[n, 8], %b: f32[n, 8]) -> (%y) {\n"
                                 "  %s: f32[n, 8] = ai.onnx.Add@14(%a, %b)\n"
                                 "  %t: f32[n, 8] = ai.onnx.Erf@13(%s)\n"
                                 "  %y: f32[n, 8] = ai.onnx.Add@14(%t, %a)\n"
                                 "}\n";

/* --- wrapped functions --- */

static int alive, from_source, args_set, fail_at[4];
static bool dead; /* as after a reset: nothing that reaches the device works any more */
enum { FAIL_ENQUEUE, FAIL_ALLOC, FAIL_BUILD, FAIL_READ };

/* Counts down; true when it is this one's turn. */
static bool fails(int what)
{
    return dead || (fail_at[what] > 0 && --fail_at[what] == 0);
}

/* Events are to be released, too. */
static cl_int counted(cl_int code, const cl_event *event)
{
    alive += code == CL_SUCCESS && event;
    return code;
}

static cl_context CL_API_CALL create_context(const cl_context_properties *p, cl_uint n, const cl_device_id *ids,
                                             void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                                             void *user, cl_int *code)
{
    cl_context c = plain.clCreateContext(p, n, ids, notify, user, code);
    alive += c != NULL;
    return c;
}

static cl_command_queue CL_API_CALL create_queue(cl_context c, cl_device_id id, cl_command_queue_properties p, cl_int *code)
{
    cl_command_queue q = plain.clCreateCommandQueue(c, id, p, code);
    alive += q != NULL;
    return q;
}

static cl_mem CL_API_CALL create_buffer(cl_context c, cl_mem_flags flags, size_t n, void *host, cl_int *code)
{
    if (fails(FAIL_ALLOC)) {
        *code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
        return NULL;
    }
    cl_mem m = plain.clCreateBuffer(c, flags, n, host, code);
    alive += m != NULL;
    return m;
}

static cl_program CL_API_CALL create_program(cl_context c, cl_uint n, const char **texts, const size_t *sizes, cl_int *code)
{
    cl_program p = plain.clCreateProgramWithSource(c, n, texts, sizes, code);
    alive += p != NULL;
    from_source++;
    return p;
}

static cl_program CL_API_CALL create_binary(cl_context c, cl_uint n, const cl_device_id *ids, const size_t *sizes,
                                            const unsigned char **data, cl_int *status, cl_int *code)
{
    cl_program p = plain.clCreateProgramWithBinary(c, n, ids, sizes, data, status, code);
    alive += p != NULL;
    return p;
}

static bool lying;         /* products of sub-groups come out twice as large */
static cl_kernel liars[8]; /* their kernels */

static cl_kernel CL_API_CALL create_kernel(cl_program p, const char *name, cl_int *code)
{
    cl_kernel k = plain.clCreateKernel(p, name, code);
    bool lies = strcmp(name, "gemm_sub") == 0;
    alive += k != NULL;
    for (size_t i = 0; i < MBR_COUNT_OF(liars); i++)
        if (liars[i] == k || (lies && !liars[i])) {
            liars[i] = lies ? k : NULL;
            lies = false;
        }
    return k;
}

#define RELEASE(function, type, plain_function)                                                                        \
    static cl_int CL_API_CALL function(type x)                                                                         \
    {                                                                                                                  \
        alive--;                                                                                                       \
        return plain.plain_function(x);                                                                                \
    }
RELEASE(release_context, cl_context, clReleaseContext)
RELEASE(release_queue, cl_command_queue, clReleaseCommandQueue)
RELEASE(release_buffer, cl_mem, clReleaseMemObject)
RELEASE(release_program, cl_program, clReleaseProgram)
RELEASE(release_kernel, cl_kernel, clReleaseKernel)
RELEASE(release_event, cl_event, clReleaseEvent)

static cl_int CL_API_CALL retain_event(cl_event event)
{
    alive++;
    return plain.clRetainEvent(event);
}

static cl_int CL_API_CALL build(cl_program p, cl_uint n, const cl_device_id *ids, const char *options,
                                void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    return fails(FAIL_BUILD) ? CL_BUILD_PROGRAM_FAILURE : plain.clBuildProgram(p, n, ids, options, notify, user);
}

static cl_int CL_API_CALL launch(cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *at, const size_t *global,
                                 const size_t *local, cl_uint n, const cl_event *wait, cl_event *event)
{
    return fails(FAIL_ENQUEUE) ? CL_OUT_OF_RESOURCES :
                                 counted(plain.clEnqueueNDRangeKernel(q, k, dims, at, global, local, n, wait, event), event);
}

static cl_int CL_API_CALL read_buffer(cl_command_queue q, cl_mem m, cl_bool wait, size_t at, size_t bytes, void *to,
                                      cl_uint n, const cl_event *waits, cl_event *event)
{
    return dead ? CL_DEVICE_NOT_AVAILABLE :
                  counted(plain.clEnqueueReadBuffer(q, m, wait, at, bytes, to, n, waits, event), event);
}

static cl_int CL_API_CALL write_buffer(cl_command_queue q, cl_mem m, cl_bool wait, size_t at, size_t bytes,
                                       const void *from, cl_uint n, const cl_event *waits, cl_event *event)
{
    return dead ? CL_DEVICE_NOT_AVAILABLE :
                  counted(plain.clEnqueueWriteBuffer(q, m, wait, at, bytes, from, n, waits, event), event);
}

static cl_int CL_API_CALL unmap(cl_command_queue q, cl_mem m, void *at, cl_uint n, const cl_event *waits, cl_event *event)
{
    return counted(plain.clEnqueueUnmapMemObject(q, m, at, n, waits, event), event);
}

static void *CL_API_CALL map(cl_command_queue q, cl_mem m, cl_bool wait, cl_map_flags flags, size_t at, size_t bytes,
                             cl_uint n, const cl_event *waits, cl_event *event, cl_int *code)
{
    if (!dead)
        return plain.clEnqueueMapBuffer(q, m, wait, flags, at, bytes, n, waits, event, code);
    *code = CL_DEVICE_NOT_AVAILABLE;
    return NULL;
}

static cl_int CL_API_CALL set_arg(cl_kernel k, cl_uint i, size_t n, const void *value)
{
    mbr_cl_gemm g;
    args_set++;
    for (size_t j = 0; lying && j < MBR_COUNT_OF(liars); j++)
        if (k == liars[j] && n == sizeof g) {
            memcpy(&g, value, n);
            g.alpha *= 2;
            value = &g;
        }
    return plain.clSetKernelArg(k, i, n, value);
}

static cl_int CL_API_CALL finish(cl_command_queue q)
{
    return fails(FAIL_READ) ? CL_DEVICE_NOT_AVAILABLE : plain.clFinish(q);
}

static bool poor, discrete;

static cl_int CL_API_CALL device_info(cl_device_id id, cl_device_info what, size_t room, void *to, size_t *n)
{
    cl_int code = plain.clGetDeviceInfo(id, what, room, to, n);
    if (discrete && to && what == CL_DEVICE_HOST_UNIFIED_MEMORY)
        *(cl_bool *)to = CL_FALSE;
    if (!poor || code != CL_SUCCESS || !to)
        return code;
    if (what == CL_DEVICE_MAX_WORK_GROUP_SIZE)
        *(size_t *)to = 1;
    if (what == CL_DEVICE_LOCAL_MEM_SIZE)
        *(cl_ulong *)to = 16;
    if (what == CL_DEVICE_MAX_MEM_ALLOC_SIZE)
        *(cl_ulong *)to = 512;
    if (what == CL_DEVICE_EXTENSIONS)
        *(char *)to = '\0';
    return code;
}

static cl_int CL_API_CALL odd_size(cl_kernel k, cl_device_id id, cl_uint what, size_t n, const void *group, size_t room,
                                   void *size, size_t *bytes)
{
    (void)k, (void)id, (void)what, (void)n, (void)group, (void)room, (void)bytes;
    *(size_t *)size = 24;
    return CL_SUCCESS;
}

static void wrap(void)
{
    plain = *table;
    table->clCreateContext = create_context;
    table->clCreateCommandQueue = create_queue;
    table->clCreateBuffer = create_buffer;
    table->clCreateProgramWithSource = create_program;
    table->clCreateProgramWithBinary = create_binary;
    table->clCreateKernel = create_kernel;
    table->clReleaseContext = release_context;
    table->clReleaseCommandQueue = release_queue;
    table->clReleaseMemObject = release_buffer;
    table->clReleaseProgram = release_program;
    table->clReleaseKernel = release_kernel;
    table->clReleaseEvent = release_event;
    table->clRetainEvent = retain_event;
    table->clEnqueueReadBuffer = read_buffer;
    table->clEnqueueWriteBuffer = write_buffer;
    table->clEnqueueMapBuffer = map;
    table->clEnqueueUnmapMemObject = unmap;
    table->clBuildProgram = build;
    table->clEnqueueNDRangeKernel = launch;
    table->clFinish = finish;
    table->clSetKernelArg = set_arg;
    table->clGetDeviceInfo = device_info;
}

/* --- the same on both sides --- */

static void open_it(void)
{
    ck_assert_msg(mbr_cl_device_open(&memory, NULL, 0, folder, &device, &err) == MBR_OK, "%s", err.text);
}

static void setup(void)
{
    mbr_memory_init(&memory);
    wrap();
    alive = from_source = 0;
    memset(fail_at, 0, sizeof fail_at);
    poor = discrete = dead = lying = false;
    memset(liars, 0, sizeof liars);
    open_it();
}

static void teardown(void)
{
    mbr_cl_device_close(device);
    *table = plain;
    ck_assert_int_eq(alive, 0);
    ck_assert_uint_eq(memory.in_use, 0);
}

static void open_graph(ir_session *s, const char *text, mbr_device *on)
{
    s->m = ir_parse(&memory, text);
    ir_passes(s->m, "none");
    s->m->device = on;
    ck_assert_msg(mbr_program_new(s->m->main, &s->p, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_run_init(&s->run, &memory, NULL, 1, s->m, &err), MBR_OK);
    ck_assert_msg(mbr_frame_new(s->p, &s->run, &s->f, &err) == MBR_OK, "%s", err.text);
}

static void open_session(ir_session *s, mbr_device *on)
{
    open_graph(s, graph, on);
}

static void close_session(ir_session *s)
{
    mbr_frame_free(s->f);
    mbr_run_destroy(&s->run);
    mbr_program_free(s->p);
    if (s->m->device)
        s->m->device->fn->forget(s->m->device, s->m);
    mbr_ir_module_free(s->m);
}

/* Two runs with n rows each give what the CPU gives; how many steps the device has in the end. */
static int runs_are_right(ir_session *s, ir_session *cpu, int64_t n)
{
    const ir_size sizes[] = { { "n", n }, { NULL, 0 } };
    mbr_value *in[2];
    int on = 0;
    for (size_t i = 0; i < 2; i++)
        in[i] = ir_input(&memory, cpu, i, sizes, 1);
    for (int round = 0; round < 2; round++) {
        ir_run(cpu, in);
        ir_run(s, in);
        ck_assert(ir_close_enough(mbr_frame_output(s->f, 0), mbr_frame_output(cpu->f, 0)));
    }
    for (size_t i = 0; i < 2; i++)
        mbr_value_drop(in[i]);
    for (uint32_t k = 0; mbr_frame_device(s->f) && k < s->p->n_steps; k++)
        on += device->base.fn->has(mbr_frame_device(s->f), k);
    return on;
}

START_TEST(what_is_created_is_released)
{
    ir_session cpu, s;
    open_session(&cpu, NULL);
    int before = 0;
    for (int round = 0; round < 100; round++) {
        open_session(&s, &device->base);
        ck_assert_int_gt(runs_are_right(&s, &cpu, 5 + round % 3), 0);
        close_session(&s);
        if (round == 0)
            before = alive;
        ck_assert_int_eq(alive, before); /* context, upload queue, programs; no event */
    }
    close_session(&cpu);
}
END_TEST

START_TEST(sizes_come_and_go)
{
    static const int64_t sizes[] = { 3, 3, 4000, 7, 0, 1, 4000, 9000, 2 };
    ir_session cpu, s;
    open_session(&cpu, NULL);
    open_session(&s, &device->base);
    for (size_t i = 0; i < MBR_COUNT_OF(sizes); i++)
        ck_assert_int_gt(runs_are_right(&s, &cpu, sizes[i]), 0);
    close_session(&s);
    close_session(&cpu);
}
END_TEST

/* Only steps that a new size touches are lowered again. */
START_TEST(a_size_touches_its_own_steps)
{
    static const char *const two = "module \"m\" ir 8 opset ai.onnx 17\n"
                                   "graph main(%a: f32[n, 8], %b: f32[m, 8]) -> (%x, %y) {\n"
                                   "  %x: f32[n, 8] = ai.onnx.Erf@13(%a)\n"
                                   "  %y: f32[m, 8] = ai.onnx.Erf@13(%b)\n"
                                   "}\n";
    ir_session s;
    open_graph(&s, two, &device->base);
    static const int64_t n[] = { 4, 9, 10, 10, 9 }; /* 10: in the room that 9 left to spare */
    int set[MBR_COUNT_OF(n)];
    for (size_t i = 0; i < MBR_COUNT_OF(n); i++) {
        const ir_size sizes[] = { { "n", n[i] }, { "m", 5 }, { NULL, 0 } };
        mbr_value *in[2] = { ir_input(&memory, &s, 0, sizes, 1), ir_input(&memory, &s, 1, sizes, 2) };
        args_set = 0;
        ir_run(&s, in);
        set[i] = args_set;
        const float *x = in[0]->data, *y = in[1]->data;
        const mbr_value *ex = mbr_frame_output(s.f, 0), *ey = mbr_frame_output(s.f, 1);
        for (int64_t k = 0; k < n[i] * 8; k++)
            ck_assert_float_eq_tol(((const float *)ex->data)[k], erff(x[k]), 1e-5f);
        for (int64_t k = 0; k < 40; k++)
            ck_assert_float_eq_tol(((const float *)ey->data)[k], erff(y[k]), 1e-5f);
        mbr_value_drop(in[0]);
        mbr_value_drop(in[1]);
    }
    ck_assert_int_gt(set[0], 0);
    ck_assert_int_eq(2 * set[2], set[0]);
    ck_assert_int_eq(set[3], 0);
    ck_assert_int_eq(2 * set[4], set[0]);
    close_session(&s);
}
END_TEST

/* The n-th launch, allocation or build fails, or waiting for the device. */
START_TEST(failures_leave_the_answer)
{
    ir_session cpu, s;
    open_session(&cpu, NULL);
    for (int what = 0; what < 4; what++)
        for (int n = 1; n <= 6; n++) {
            if (what == FAIL_BUILD) { /* programs stay built: a device of its own, from its sources */
                mbr_cl_device_close(device);
                ck_assert_int_eq(mbr_cl_device_open(&memory, NULL, 0, "off", &device, &err), MBR_OK);
            }
            fail_at[what] = n;
            open_session(&s, &device->base);
            runs_are_right(&s, &cpu, 6);
            runs_are_right(&s, &cpu, 600);
            close_session(&s);
            fail_at[what] = 0;
        }
    close_session(&cpu);
}
END_TEST

/* A device that is gone takes all its sessions along, those that are made later, too; none gives another answer. */
START_TEST(a_dead_device_leaves_the_answers)
{
    ir_session cpu, s[3];
    open_session(&cpu, NULL);
    open_session(&s[0], &device->base);
    open_session(&s[1], &device->base);
    for (int i = 0; i < 2; i++)
        ck_assert_int_gt(runs_are_right(&s[i], &cpu, 6), 0);
    dead = true;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(runs_are_right(&s[i], &cpu, 6), 0);
        ck_assert_int_eq(runs_are_right(&s[i], &cpu, 60), 0);
    }
    open_session(&s[2], &device->base);
    ck_assert_int_eq(runs_are_right(&s[2], &cpu, 6), 0);
    for (int i = 0; i < 3; i++)
        close_session(&s[i]);
    close_session(&cpu);
}
END_TEST

START_TEST(a_poor_device_does_what_it_can)
{
    ir_session cpu, s;
    mbr_cl_device_close(device);
    poor = true;
    open_it();
    open_session(&cpu, NULL);
    open_session(&s, &device->base);
    runs_are_right(&s, &cpu, 3);
    ck_assert_int_eq(runs_are_right(&s, &cpu, 100), 0); /* 3,200 bytes in one piece */
    runs_are_right(&s, &cpu, 3);
    close_session(&s);
    close_session(&cpu);
}
END_TEST

/* Two branches of products, with steps that overwrite what they read, and one that reads both. */
static const char *const branches =
    "module \"m\" ir 8 opset ai.onnx 17\n"
    "graph main(%a: f32[n, 64], %w: f32[64, 64]) -> (%y, %l3) {\n"
    "  %l1: f32[n, 64] = ai.onnx.MatMul@13(%a, %w)\n"
    "  %r1: f32[n, 64] = ai.onnx.Erf@13(%a)\n"
    "  %l2: f32[n, 64] = ai.onnx.Relu@14(%l1)\n"
    "  %r2: f32[n, 64] = ai.onnx.MatMul@13(%r1, %w)\n"
    "  %l3: f32[n, 64] = ai.onnx.MatMul@13(%l2, %w)\n"
    "  %r3: f32[n, 64] = ai.onnx.Add@14(%r2, %a)\n"
    "  %r4: f32[n, 64] = ai.onnx.Erf@13(%r3)\n"
    "  %l4: f32[n, 64] = ai.onnx.Tanh@13(%l3)\n"
    "  %l5: f32[n, 64] = ai.onnx.MatMul@13(%l4, %w)\n"
    "  %r5: f32[n, 64] = ai.onnx.MatMul@13(%r4, %w)\n"
    "  %x: f32[n, 64] = ai.onnx.Mul@14(%l5, %r4)\n"
    "  %r6: f32[n, 64] = ai.onnx.Relu@14(%r5)\n"
    "  %y: f32[n, 64] = ai.onnx.Add@14(%x, %r6)\n"
    "}\n";

/* Whatever runs where, the answer is the CPU's: in shared memory and in memory of the device's own. */
static void any_placement_is_right(bool own_memory)
{
    ir_session cpu, s;
    uint32_t seed = 20261123;
    mbr_cl_device_close(device);
    discrete = own_memory;
    open_it();
    open_graph(&cpu, branches, NULL);
    open_graph(&s, branches, &device->base);
    for (int round = 0; round < 60; round++) {
        const ir_size sizes[] = { { "n", round % 20 < 10 ? 33 : 200 }, { NULL, 0 } };
        int where[32] = { 0 };
        mbr_value *in[2] = { ir_input(&memory, &cpu, 0, sizes, (uint64_t)round), ir_input(&memory, &cpu, 1, sizes, 7) };
        for (uint32_t k = 0; k < s.p->n_steps && round % 3 == 0; k++) {
            seed = seed * 1664525 + 1013904223;
            where[k] = seed >> 30 & 1;
        }
        if (round % 3 == 0) /* three runs of each: what was wanted once is brought early */
            ck_assert_int_eq(mbr_frame_place(s.f, where, NULL, &err), MBR_OK);
        ir_run(&cpu, in);
        ir_run(&s, in);
        for (size_t i = 0; i < 2; i++)
            ck_assert_msg(ir_close_enough(mbr_frame_output(s.f, i), mbr_frame_output(cpu.f, i)), "round %d", round);
        mbr_value_drop(in[0]);
        mbr_value_drop(in[1]);
    }
    close_session(&s);
    close_session(&cpu);
}

START_TEST(any_placement_in_shared_memory)
{
    any_placement_is_right(false);
}
END_TEST

START_TEST(any_placement_in_its_own_memory)
{
    any_placement_is_right(true);
}
END_TEST

/* A launch is under way while the CPU runs the other branch; transfers are there, too. */
START_TEST(both_work_at_once)
{
    ir_session s;
    mbr_profile *profile;
    int where[32];
    bool at_once = false;
    mbr_cl_device_close(device);
    discrete = true;
    open_it();
    open_graph(&s, branches, &device->base);
    for (uint32_t k = 0; k < s.p->n_steps; k++)
        where[k] = s.p->steps[k].node->outputs[0]->name[0] == 'l';
    ck_assert_int_eq(mbr_frame_place(s.f, where, NULL, &err), MBR_OK);
    const ir_size sizes[] = { { "n", 6000 }, { NULL, 0 } };
    mbr_value *in[2] = { ir_input(&memory, &s, 0, sizes, 1), ir_input(&memory, &s, 1, sizes, 7) };
    ck_assert_int_eq(mbr_profile_new(s.f, &profile, &err), MBR_OK);
    size_t transfers = 0;
    for (int run = 0; run < 20 && !(at_once && transfers); run++) {
        ck_assert_int_eq(mbr_profile_record(profile, 1000, &err), MBR_OK);
        ir_run(&s, in);
        ir_run(&s, in);
        const mbr_spans *all = mbr_profile_spans(profile);
        int launches = all->rows - MBR_SPANS_DEVICE, steps = all->rows - MBR_SPANS_STEPS;
        transfers = all->n[all->rows - MBR_SPANS_TRANSFERS];
        ck_assert_uint_gt(all->n[launches], 0);
        for (size_t i = 0; i < all->n[launches]; i++)
            for (size_t k = 0; k < all->n[steps]; k++) {
                const mbr_span *a = &all->spans[(size_t)launches * all->room + i];
                const mbr_span *b = &all->spans[(size_t)steps * all->room + k];
                at_once = at_once || (!where[b->entry] && a->begin < b->end && b->begin < a->end);
            }
    }
    ck_assert_uint_gt(transfers, 0);
    ck_assert(at_once);
    mbr_profile_free(profile);
    mbr_value_drop(in[0]);
    mbr_value_drop(in[1]);
    close_session(&s);
}
END_TEST

/* What is measured of a device makes sense. */
START_TEST(facts_are_measured)
{
    mbr_plan_device d;
    ck_assert_msg(mbr_cl_measure(device, &d, &err) == MBR_OK, "%s", err.text);
    ck_assert(d.gflops_f32 > 0.01 && d.gflops_f32 < 1e6);
    ck_assert(d.memory_gbps > 0.01 && d.memory_gbps < 1e5);
    ck_assert(d.launch_us > 0.1 && d.launch_us < 1e5);
    ck_assert(d.upload_us > 0.01 && d.upload_gbps > 0.01 && d.download_us > 0.01 && d.download_gbps > 0.01);
    ck_assert_str_eq(d.name, "opencl:0");
}
END_TEST

static int each_file(void (*what)(const char *))
{
    char path[512];
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        what(path);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

static void turn_a_bit(const char *path)
{
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    fseek(f, -1, SEEK_END);
    int c = fgetc(f);
    fseek(f, -1, SEEK_END);
    fputc(c ^ 1, f);
    fclose(f);
}

static void cut(const char *path)
{
    ck_assert_int_eq(truncate(path, 20), 0);
}

static void empty(const char *path)
{
    ck_assert_int_eq(truncate(path, 0), 0);
}

static void drop(const char *path)
{
    (void)unlink(path);
}

static int built_for_a_run(void)
{
    ir_session cpu, s;
    mbr_cl_device_close(device);
    open_it();
    from_source = 0;
    open_session(&cpu, NULL);
    open_session(&s, &device->base);
    ck_assert_int_gt(runs_are_right(&s, &cpu, 5), 0);
    close_session(&s);
    close_session(&cpu);
    return from_source;
}

START_TEST(the_store_is_used_and_not_trusted)
{
    static void (*const damage[])(const char *) = { turn_a_bit, cut, empty };
    built_for_a_run();
    ck_assert_int_eq(built_for_a_run(), 0);
    for (size_t i = 0; i < MBR_COUNT_OF(damage); i++) {
        ck_assert_int_gt(each_file(damage[i]), 1);
        ck_assert_int_gt(built_for_a_run(), 0);
        ck_assert_int_eq(built_for_a_run(), 0);
    }
}
END_TEST

/* What is found of halves is kept; where the driver cannot build with them after all, they are not fast. */
START_TEST(halves_are_timed_once)
{
    bool has = device->f16, fast;
    device->choice[MBR_CL_HALVES] = 0;
    fast = mbr_cl_chooses(device, MBR_CL_HALVES);
    ck_assert(has || !fast);
    ck_assert_int_gt(from_source, 0);
    mbr_cl_device_close(device);
    open_it();
    from_source = 0;
    device->choice[MBR_CL_HALVES] = 0;
    ck_assert_int_eq(mbr_cl_chooses(device, MBR_CL_HALVES), fast);
    ck_assert_int_eq(from_source, 0);
}
END_TEST

/* As a GPU is asked: CPUs have other kernels. False: it has no sub-groups. */
static bool has_sub_groups(void)
{
    device->type = CL_DEVICE_TYPE_GPU;
    if (!device->sub.most)
        printf("no sub-groups here: what is for them is not tested\n");
    return device->sub.most > 0;
}

START_TEST(sub_groups_are_timed_once)
{
    bool are[MBR_CL_CHOICES];
    if (!has_sub_groups()) {
        for (int c = MBR_CL_SUB_PRODUCTS; c <= MBR_CL_SUB_SUMS; c++)
            ck_assert(!mbr_cl_chooses(device, c));
        ck_assert_int_eq(from_source, 0);
        return;
    }
    for (int c = MBR_CL_SUB_PRODUCTS; c <= MBR_CL_SUB_SUMS; c++) {
        from_source = 0;
        are[c] = mbr_cl_chooses(device, c);
        ck_assert_int_gt(from_source, 0);
    }
    mbr_cl_device_close(device);
    open_it();
    device->type = CL_DEVICE_TYPE_GPU;
    from_source = 0;
    for (int c = MBR_CL_SUB_PRODUCTS; c <= MBR_CL_SUB_SUMS; c++)
        ck_assert_int_eq(mbr_cl_chooses(device, c), are[c]);
    ck_assert_int_eq(from_source, 0);
}
END_TEST

/* Those that multiply wrong are found out, however fast; those of a size that nobody can use are left alone. */
START_TEST(odd_sub_groups_are_not_used)
{
    mbr_cl_device_close(device);
    ck_assert_int_eq(mbr_cl_device_open(&memory, NULL, 0, "off", &device, &err), MBR_OK);
    if (!has_sub_groups())
        return;
    lying = true;
    for (int c = MBR_CL_SUB_PRODUCTS; c <= MBR_CL_SUB_TRANSPOSED_F16; c++)
        ck_assert_msg(!mbr_cl_chooses(device, c), "%d", c);
    device->choice[MBR_CL_SUB_PRODUCTS] = 1;
    device->sub.ask = odd_size;
    ir_session cpu, s;
    open_graph(&cpu, branches, NULL);
    open_graph(&s, branches, &device->base);
    ck_assert_int_gt(runs_are_right(&s, &cpu, 70), 0);
    close_session(&s);
    close_session(&cpu);
}
END_TEST

/* Every row of the table passes here, and is asked of the device. */
START_TEST(the_tests_of_families_pass)
{
    for (const mbr_cl_selftest *t = mbr_cl_selftests; t->family; t++) {
        mbr_ir_module *m = ir_parse(&memory, t->graph);
        mbr_ir_module_free(m);
        ck_assert_msg(mbr_cl_family_works(device, t->family), "%s", t->family);
    }
}
END_TEST

int main(void)
{
    const mbr_cl *cl = mbr_cl_load(&err);
    mbr_memory_init(&memory);
    if (!cl || mbr_cl_device_open(&memory, NULL, 0, "off", &device, &err) != MBR_OK) {
        printf("SKIP: %s\n", err.text);
        return 77;
    }
    mbr_cl_device_close(device);
    table = (mbr_cl *)(uintptr_t)cl; /* the loader's own variable: not const */
    if (!mkdtemp(folder))
        return 99;
    TCase *t = tcase_create("device");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 600);
    tcase_add_test(t, what_is_created_is_released);
    tcase_add_test(t, sizes_come_and_go);
    tcase_add_test(t, a_size_touches_its_own_steps);
    tcase_add_test(t, failures_leave_the_answer);
    tcase_add_test(t, a_dead_device_leaves_the_answers);
    tcase_add_test(t, a_poor_device_does_what_it_can);
    tcase_add_test(t, any_placement_in_shared_memory);
    tcase_add_test(t, any_placement_in_its_own_memory);
    tcase_add_test(t, both_work_at_once);
    tcase_add_test(t, facts_are_measured);
    tcase_add_test(t, the_store_is_used_and_not_trusted);
    tcase_add_test(t, halves_are_timed_once);
    tcase_add_test(t, sub_groups_are_timed_once);
    tcase_add_test(t, odd_sub_groups_are_not_used);
    tcase_add_test(t, the_tests_of_families_pass);
    Suite *suite = suite_create("opencl_device");
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* drivers have threads */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    each_file(drop);
    rmdir(folder);
    return failed != 0;
}
