/* SPDX-License-Identifier: BSD-2-Clause */
/* Two sessions of one model, in two threads, on one OpenCL device: at changing sizes, with programs that both want first;
   and one that dies under both. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/device.h"
#include "engine/opencl/device.h"
#include "tests/ir_text.h"
#include "tests/opencl_leaks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define RUNS 12

#if defined(__SANITIZE_THREAD__)
/* Drivers are not instrumented: what they order by atomic operations looks like no order. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libpocl\ncalled_from_lib:libOpenCL\ncalled_from_lib:libLLVM\nrace:libpocl\nrace:libLLVM\n"
           "mutex:libpocl\ndeadlock:libpocl\nthread:libpocl\n";
}
#endif

static const char *const graph = "module \"m\" ir 8 opset ai.onnx 17\n"
                                 "graph main(%a: f32[n, 16]) -> (%y) {\n"
                                 "  const %w = f32[16, 16] {... 256}\n"
                                 "  %s: f32[n, 16] = ai.onnx.MatMul@13(%a, %w)\n"
                                 "  %t: f32[n, 16] = ai.onnx.Erf@13(%s)\n"
                                 "  %u: f32[n, 16] = ai.onnx.Softmax@13(%t)\n"
                                 "  %y: f32[n, 16] = ai.onnx.Add@14(%u, %a)\n"
                                 "}\n";

static mbr_memory memory;
static mbr_cl_device *device;
static ir_session shared, cpu; /* of the first only module and program are used */

typedef struct worker {
    pthread_t thread;
    mbr_value *in[RUNS], *want[RUNS];
    const char *what; /* went wrong; NULL: nothing */
    int on_device;
} worker;

static void *work(void *user)
{
    worker *w = user;
    mbr_run run;
    mbr_frame *f = NULL;
    mbr_error err;
    if (mbr_run_init(&run, &memory, NULL, 1, shared.m, &err) != MBR_OK ||
        mbr_frame_new(shared.p, &run, &f, &err) != MBR_OK)
        w->what = "no session";
    for (int i = 0; i < RUNS && !w->what; i++) {
        if (mbr_frame_bind(f, 0, w->in[i], &err) != MBR_OK || mbr_frame_run(f, &err) != MBR_OK)
            w->what = "a run fails";
        else if (!ir_close_enough(mbr_frame_output(f, 0), w->want[i]))
            w->what = "another answer";
    }
    for (uint32_t k = 0; f && mbr_frame_device(f) && k < shared.p->n_steps; k++)
        w->on_device += device->base.fn->has(mbr_frame_device(f), k);
    mbr_frame_free(f);
    mbr_run_destroy(&run);
    return NULL;
}

static mbr_cl *table, plain; /* the driver's functions in use; as they are */
static atomic_int launches_left;

static cl_int CL_API_CALL launch(cl_command_queue q, cl_kernel k, cl_uint dims, const size_t *at, const size_t *global,
                                 const size_t *local, cl_uint n, const cl_event *wait, cl_event *event)
{
    return atomic_fetch_sub(&launches_left, 1) > 0 ?
               plain.clEnqueueNDRangeKernel(q, k, dims, at, global, local, n, wait, event) : CL_DEVICE_NOT_AVAILABLE;
}

/* Both give the CPU's answers, and end with so many steps on the device. */
static void two_sessions(int on_device)
{
    static worker workers[2];
    memset(workers, 0, sizeof workers);
    mbr_error err;
    ir_open(&cpu, &memory, NULL, graph, "none");
    shared.m = ir_parse(&memory, graph);
    ir_passes(shared.m, "none");
    shared.m->device = &device->base;
    ck_assert_msg(mbr_program_new(shared.m->main, &shared.p, &err) == MBR_OK, "%s", err.text);
    for (int w = 0; w < 2; w++)
        for (int i = 0; i < RUNS; i++) {
            const ir_size sizes[] = { { "n", 1 + (i * 7 + w * 3) % 5 * 20 }, { NULL, 0 } };
            workers[w].in[i] = ir_input(&memory, &cpu, 0, sizes, 1);
            ir_run(&cpu, &workers[w].in[i]);
            ck_assert_int_eq(mbr_value_create(&memory, MBR_KIND_TENSOR, MBR_DTYPE_F32, &workers[w].want[i], &err), MBR_OK);
            ck_assert_int_eq(mbr_value_assign(workers[w].want[i], mbr_frame_output(cpu.f, 0), &err), MBR_OK);
        }
    for (int w = 0; w < 2; w++)
        ck_assert_int_eq(pthread_create(&workers[w].thread, NULL, work, &workers[w]), 0);
    for (int w = 0; w < 2; w++) {
        pthread_join(workers[w].thread, NULL);
        ck_assert_msg(!workers[w].what, "%s", workers[w].what);
        ck_assert_int_eq(workers[w].on_device, on_device);
        for (int i = 0; i < RUNS; i++) {
            mbr_value_drop(workers[w].in[i]);
            mbr_value_drop(workers[w].want[i]);
        }
    }
    mbr_program_free(shared.p);
    device->base.fn->forget(&device->base, shared.m);
    mbr_ir_module_free(shared.m);
    ir_close(&cpu);
}

START_TEST(two_sessions_share_a_device)
{
    two_sessions(4);
}
END_TEST

START_TEST(it_dies_under_both)
{
    atomic_store(&launches_left, RUNS * 4 - 4); /* neither has come to its last run */
    table->clEnqueueNDRangeKernel = launch;
    two_sessions(0);
    table->clEnqueueNDRangeKernel = plain.clEnqueueNDRangeKernel;
}
END_TEST

int main(void)
{
    mbr_error err;
    mbr_memory_init(&memory);
    if (mbr_cl_device_open(&memory, NULL, 0, "off", &device, &err) != MBR_OK) {
        printf("SKIP: %s\n", err.text);
        return 77;
    }
    table = (mbr_cl *)(uintptr_t)mbr_cl_load(&err); /* the loader's own variable: not const */
    plain = *table;
    TCase *t = tcase_create("threads");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, two_sessions_share_a_device);
    tcase_add_test(t, it_dies_under_both);
    Suite *suite = suite_create("opencl_threads");
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* drivers have threads */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    mbr_cl_device_close(device);
    return failed != 0;
}
