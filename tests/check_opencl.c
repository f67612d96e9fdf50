/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check-opencl [--seed N] [--family NAME] [--time | --small]: the graphs of opencl.def at random sizes on the first OpenCL
 * device and on the CPU. --time: at large sizes, with bytes of inputs and outputs per second; --small: once, at small
 * ones, for drivers that simulate a device. 77 where there is no device.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "engine/frame.h"
#include "engine/passes/pass.h"
#include "engine/text.h"
#include "kernels/real.h"
#include "tests/opencl_leaks.h"
#include "tests/random.h"

#include <string.h>
#include <time.h>

#ifdef HAVE_OPENCL
#include "engine/opencl/frame.h"

static const struct graph {
    const char *family, *inputs, *body;
    double tolerance;
} graphs[] = {
#define GRAPH(family, inputs, body, tolerance) { #family, inputs, body, tolerance },
#include "tests/opencl.def"
#undef GRAPH
};

typedef struct session {
    mbr_ir_module *m;
    mbr_program *p;
    mbr_run run;
    mbr_frame *f;
} session;

static mbr_memory memory;
static mbr_error err;
static const char *doing = "";

static void must(mbr_status st)
{
    if (st == MBR_OK)
        return;
    fprintf(stderr, "%s\n%s\n", doing, err.text);
    exit(1);
}

static void open_session(session *s, const char *text, mbr_device *device)
{
    mbr_pass_set set;
    must(mbr_text_parse(&memory, NULL, text, strlen(text), &s->m, &err));
    must(mbr_pass_set_parse("", &set, &err));
    must(mbr_passes_run(s->m, &set, NULL, &err));
    s->m->device = device;
    s->m->device_only = device != NULL;
    must(mbr_program_new(s->m->main, &s->p, &err));
    must(mbr_run_init(&s->run, &memory, NULL, 1, s->m, &err));
    must(mbr_frame_new(s->p, &s->run, &s->f, &err));
}

static void close_session(session *s)
{
    mbr_frame_free(s->f);
    mbr_run_destroy(&s->run);
    mbr_program_free(s->p);
    if (s->m->device)
        s->m->device->fn->forget(s->m->device, s->m);
    mbr_ir_module_free(s->m);
}

static mbr_value *random_input(const mbr_ir_value *ir)
{
    mbr_value *v;
    must(mbr_value_create_tensor(&memory, ir->type.dtype, ir->type.rank, ir->type.dims, &v, &err));
    for (size_t i = 0; i < mbr_value_count(v); i++)
        mbr_real_set(v->dtype, v->data, i,
                     mbr_dtype_is_float(v->dtype)      ? (double)(4 * random_real())
                     : v->dtype == MBR_DTYPE_U8        ? random_below(256)
                     : v->dtype == MBR_DTYPE_I8        ? (double)random_below(256) - 128
                     : v->dtype == MBR_DTYPE_BOOL      ? random_below(2)
                                                       : random_below(3));
    return v;
}

static size_t compare(const mbr_value *got, const mbr_value *due, double tolerance)
{
    if (got->dtype != due->dtype || mbr_value_count(got) != mbr_value_count(due))
        return 1;
    for (size_t i = 0; i < mbr_value_count(due); i++) {
        bool real = mbr_dtype_is_float(due->dtype), truth = due->dtype == MBR_DTYPE_BOOL;
        double a = real ? mbr_value_real(got, i) : truth ? ((uint8_t *)got->data)[i] : (double)mbr_value_int(got, i);
        double b = real ? mbr_value_real(due, i) : truth ? ((uint8_t *)due->data)[i] : (double)mbr_value_int(due, i);
        double d = a > b ? a - b : b - a, large = b < 0 ? -b : b;
        if (!(d <= tolerance * (large > 1 ? large : 1)) && !(a != a && b != b) && a != b) {
            fprintf(stderr, "%s\nelement %zu is %.9g, %.9g is due\n", doing, i, a, b);
            return 1;
        }
    }
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double time_of(session *s)
{
    double best = 1e9, end = now() + 0.5;
    for (int i = 0; i < 3 || now() < end; i++) {
        double t = now();
        must(mbr_frame_run(s->f, &err));
        t = now() - t;
        best = t < best ? t : best;
    }
    return best;
}

/* Launches of a kernel in all that ran. */
static size_t sub_launches;

static void count_launches(const session *s)
{
    const mbr_cl_frame *cf = (const mbr_cl_frame *)mbr_frame_device(s->f);
    for (uint32_t k = 0; k < s->p->n_steps; k++)
        for (unsigned i = 0; cf && i < cf->steps[k].n; i++)
            sub_launches += strcmp(cf->steps[k].launches[i].name, "gemm_sub") == 0;
}

/* A graph with sizes written out. */
static size_t run_graph(const struct graph *g, mbr_device *device, const int *sizes, bool timing)
{
    static char text[4096], inputs[512];
    size_t n = 0, faults = 0, bytes = 0;
    session cpu, dev;
    mbr_value *in[8];
    for (const char *c = g->inputs; *c; c++) /* sizes stand alone between brackets and commas */
        if ((*c == 'n' || *c == 'm' || *c == 'k') && (c[-1] == '[' || c[-1] == ' ') && (c[1] == ',' || c[1] == ']'))
            n += (size_t)snprintf(inputs + n, sizeof inputs - n, "%d", sizes[*c == 'n' ? 0 : *c == 'm' ? 1 : 2]);
        else
            inputs[n++] = *c;
    inputs[n] = '\0';
    snprintf(text, sizeof text, "module \"check\" ir 8 opset ai.onnx 18\ngraph \"g\"(%s) -> (%%z) {\n%s\n}\n", inputs,
             g->body);
    doing = text;
    open_session(&cpu, text, NULL);
    open_session(&dev, text, device);
    for (size_t i = 0; i < cpu.m->main->n_inputs; i++) {
        in[i] = random_input(cpu.m->main->inputs[i]);
        bytes += mbr_value_bytes(in[i]);
        must(mbr_frame_bind(cpu.f, i, in[i], &err));
        must(mbr_frame_bind(dev.f, i, in[i], &err));
    }
    must(mbr_frame_run(cpu.f, &err));
    must(mbr_frame_run(dev.f, &err));
    count_launches(&dev);
    faults = compare(mbr_frame_output(dev.f, 0), mbr_frame_output(cpu.f, 0), g->tolerance);
    if (timing) {
        double a = time_of(&cpu), b = time_of(&dev);
        bytes += mbr_value_bytes(mbr_frame_output(cpu.f, 0));
        printf("%-12s %-60.60s %8.2f GB/s, the CPU %8.2f\n", g->family, g->body, (double)bytes / b * 1e-9,
               (double)bytes / a * 1e-9);
        fflush(stdout);
    }
    for (size_t i = 0; i < cpu.m->main->n_inputs; i++)
        mbr_value_drop(in[i]);
    close_session(&cpu);
    close_session(&dev);
    return faults;
}

/*
 * What groups and local memory are for is right on CPUs, if slow; so is what sub-groups are for, as the driver has them and
 * as the core of OpenCL does. Forced: what measuring says does not matter here.
 */
enum { GROUPS, SUBS, CORE_SUBS, WAYS };

static size_t run_ways(const struct graph *g, mbr_cl_device *device, const int *sizes, size_t *count)
{
    const mbr_cl_device was = *device;
    int most = device->sub.most ? WAYS : GROUPS + 1;
    size_t faults = 0;
    device->type = CL_DEVICE_TYPE_GPU;
    for (int way = was.type & CL_DEVICE_TYPE_CPU ? GROUPS : SUBS; way < most; way++) {
        device->units = way == CORE_SUBS ? 1 : 1000; /* large tiles, small tiles */
        device->choice[MBR_CL_HALVES] = device->f16 && way != SUBS ? 1 : -1;
        for (int c = MBR_CL_SUB_PRODUCTS; c <= MBR_CL_SUB_SUMS; c++)
            device->choice[c] = way == GROUPS ? -1 : 1;
        if (way == CORE_SUBS) {
            device->sub.options = strncmp(was.version, "OpenCL 2", 8) == 0 ? " -DSUBS -cl-std=CL2.0" : " -DSUBS -cl-std=CL3.0";
            device->sub.blocks[0] = device->sub.blocks[1] = device->sub.required = false;
            device->sub.size = 32; /* not what is got, may be */
        }
        faults += run_graph(g, &device->base, sizes, false);
        (*count)++;
    }
    *device = was;
    return faults;
}

int main(int argc, char **argv)
{
    static const int some[] = { 3, 4, 5, 8, 16, 17, 33, 64, 100, 257 };
    const char *family = NULL;
    bool timing = false;
    int rounds = 3, choice = 10;
    size_t faults = 0, count = 0;
    mbr_cl_device *device;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--time") == 0)
            timing = true, rounds = 1;
        else if (strcmp(argv[i], "--small") == 0)
            rounds = 1, choice = 6;
        else if (strcmp(argv[i], "--family") == 0 && i + 1 < argc)
            family = argv[++i];
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            setenv("MBR_SEED", argv[++i], 1);
    mbr_memory_init(&memory);
    if (mbr_cl_device_open(&memory, NULL, 0, NULL, &device, &err) != MBR_OK) {
        printf("SKIP: %s\n", err.text);
        return 77;
    }
    printf("%s: %s\n", device->label, device->name);
    random_seed("check-opencl");
    for (int c = MBR_CL_SUB_PRODUCTS; c <= MBR_CL_SUB_SUMS; c++)
        device->choice[c] = -1;
    for (size_t g = 0; g < sizeof graphs / sizeof *graphs; g++)
        for (int round = 0; round < rounds && (!family || strcmp(family, graphs[g].family) == 0); round++) {
            int sizes[3] = { 256, 256, 64 };
            for (int i = 0; i < 3 && !timing; i++)
                sizes[i] = some[random_below(choice)];
            if (!timing) /* once in halves, fast or not */
                device->choice[MBR_CL_HALVES] = device->f16 && round == 1 ? 1 : -1;
            faults += run_graph(&graphs[g], &device->base, sizes, timing);
            count++;
            /* products have many forms, by size */
            if (!timing && (round == 0 || strcmp(graphs[g].family, "gemm") == 0))
                faults += run_ways(&graphs[g], device, sizes, &count);
        }
    if (device->sub.most == 0) {
        printf("no sub-groups: what is for them is not tested\n");
    } else if (!timing && (!family || strcmp(family, "gemm") == 0) && sub_launches == 0) {
        fprintf(stderr, "the products of sub-groups did not run\n");
        faults++;
    }
    mbr_cl_device_close(device);
    if (memory.in_use)
        fprintf(stderr, "%zu bytes were not given back\n", (size_t)memory.in_use);
    printf("%zu checks, %zu faults\n", count, faults);
    return faults != 0 || memory.in_use != 0;
}

#else

int main(void)
{
    printf("SKIP: this build has no OpenCL\n");
    return 77;
}

#endif
