/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-gemm [--seconds S] [--threads LIST] [MxNxK...]
 * Times f32 matrix products beside OpenBLAS, BLIS and oneDNN, those that are installed (they are opened at run time),
 * as a share of what the processor was measured to do at the same time. Everybody has B as it likes: ours packed ahead,
 * as for a model's weights; theirs in rows. Rounds go from one to the next, and each one's best counts, so that a
 * machine that slows down slows all. One row (M = 1) is judged by bytes of B a second, from memory.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/limits.h"
#include "kernels/cpu.h"
#include "kernels/gemm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 7
#define ROW_MAJOR 101
#define NO_TRANS 111

typedef void cblas_sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                            const float *b, int ldb, float beta, float *c, int ldc);
typedef int dnnl_sgemm_fn(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                          int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

enum { OURS, OPENBLAS, BLIS, ONEDNN, ENGINES };

static const char *const names[ENGINES] = { "mbr", "OpenBLAS", "BLIS", "oneDNN" };

/* Functions of the libraries that are there. */
static struct {
    cblas_sgemm_fn *openblas, *blis;
    dnnl_sgemm_fn *dnnl;
    void (*openblas_threads)(int n);
    void (*blis_threads)(int64_t n); /* dim_t */
    void (*omp_threads)(int n);
} peers;

typedef struct product {
    size_t m, n, k;
    float *a, *b, *c;
    mbr_gemm_args args;
    const mbr_gemm_f32_kernel *kernel;
    char *scratch;
    size_t scratch_each;
    mbr_team *team;
    int threads;
} product;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *need(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p) {
        fprintf(stderr, "bench-gemm: out of memory for %zu bytes\n", bytes);
        exit(1);
    }
    memset(p, 0, bytes);
    return p;
}

static void *open_library(const char *const *files)
{
    void *handle = NULL;
    for (; *files && !handle; files++)
        handle = dlopen(*files, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    return handle;
}

/* dlsym gives an object's address; POSIX says that it may be a function's. */
static void find(void *handle, const char *name, void *to)
{
    void *at = handle ? dlsym(handle, name) : NULL;
    memcpy(to, &at, sizeof at);
}

static void open_peers(void)
{
    setenv("OMP_WAIT_POLICY", "passive", 0); /* nobody spins while another is timed */
    void *openblas = open_library((const char *const[]){ "libopenblas.so.0", NULL });
    void *blis = open_library((const char *const[]){ "libblis.so.4", "libblis.so", NULL });
    void *dnnl = open_library((const char *const[]){ "libdnnl.so.3", "libdnnl.so.2", NULL });
    find(openblas, "cblas_sgemm", &peers.openblas);
    find(openblas, "openblas_set_num_threads", &peers.openblas_threads);
    find(blis, "cblas_sgemm", &peers.blis);
    find(blis, "bli_thread_set_num_threads", &peers.blis_threads);
    find(dnnl, "dnnl_sgemm", &peers.dnnl);
    find(dnnl ? open_library((const char *const[]){ "libgomp.so.1", NULL }) : NULL, "omp_set_num_threads",
         &peers.omp_threads);
}

static bool here(int engine)
{
    return engine == OURS || (engine == OPENBLAS && peers.openblas && peers.openblas_threads) ||
           (engine == BLIS && peers.blis && peers.blis_threads) ||
           (engine == ONEDNN && peers.dnnl && peers.omp_threads);
}

static void set_threads(int n)
{
    if (here(OPENBLAS))
        peers.openblas_threads(n);
    if (here(BLIS))
        peers.blis_threads(n);
    if (here(ONEDNN))
        peers.omp_threads(n);
}

static bool some_tiles(void *user, size_t first, size_t last, int worker)
{
    product *p = user;
    p->kernel->run(&p->args, p->scratch + (size_t)worker * p->scratch_each, first, last);
    return true;
}

static void call(product *p, int engine)
{
    int m = (int)p->m, n = (int)p->n, k = (int)p->k;
    switch (engine) {
    case OURS: {
        size_t tiles = p->kernel->tiles(&p->args), grain = tiles / ((size_t)p->threads * 4);
        mbr_team_run(p->team, p->threads, tiles, grain ? grain : 1, some_tiles, p, NULL);
        break;
    }
    case OPENBLAS:
        peers.openblas(ROW_MAJOR, NO_TRANS, NO_TRANS, m, n, k, 1, p->a, k, p->b, n, 0, p->c, n);
        break;
    case BLIS:
        peers.blis(ROW_MAJOR, NO_TRANS, NO_TRANS, m, n, k, 1, p->a, k, p->b, n, 0, p->c, n);
        break;
    default:
        peers.dnnl('N', 'N', m, n, k, 1, p->a, k, p->b, n, 0, p->c, n);
    }
}

/* Seconds of the fastest of as many calls as fit the time: others on the machine do not count. */
static double time_calls(product *p, int engine, double seconds)
{
    double begin = now(), best = 1e30, from, to;
    do {
        from = now();
        call(p, engine);
        to = now();
        best = to - from < best ? to - from : best;
    } while (to - begin < seconds);
    return best;
}

/* Whoever is wrong is not fast. */
static void check(product *p, int engine, const float *due)
{
    for (size_t i = 0; i < p->m * p->n; i++)
        if (!(p->c[i] - due[i] < 1e-3f * (float)p->k && due[i] - p->c[i] < 1e-3f * (float)p->k)) {
            fprintf(stderr, "bench-gemm: %s: element %zu is %g, not %g\n", names[engine], i, (double)p->c[i],
                    (double)due[i]);
            exit(1);
        }
}

static void fill(float *to, size_t n)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        to[i] = (float)(x >> 8) / (float)(1 << 23) - 1;
    }
}

static void bench(size_t m, size_t n, size_t k, int threads, double seconds)
{
    mbr_memory memory;
    mbr_error err;
    mbr_limits_measured limits;
    product p = { .m = m, .n = n, .k = k, .threads = threads, .args = MBR_GEMM_ARGS_INIT };
    double best[ENGINES] = { 0 }, flops = 0, read = 0;
    mbr_memory_init(&memory);
    if (mbr_team_new(&memory, threads, &p.team, &err) != MBR_OK) {
        fprintf(stderr, "bench-gemm: %s\n", err.text);
        exit(1);
    }
    p.kernel = mbr_gemm_f32_select(mbr_cpu_tiers());
    p.a = need(m * k * sizeof(float));
    p.b = need(k * n * sizeof(float));
    p.c = need(m * n * sizeof(float));
    float *packed = need(p.kernel->pack_size(k, n)), *due = need(m * n * sizeof(float));
    fill(p.a, m * k);
    fill(p.b, k * n);
    p.kernel->pack(packed, k, n, p.b, (ptrdiff_t)n, 1, 0, n);
    p.args.m = m;
    p.args.n = n;
    p.args.k = k;
    p.args.lda = (ptrdiff_t)k;
    p.args.ldc = (ptrdiff_t)n;
    p.args.a = p.a;
    p.args.b = packed;
    p.args.c = p.c;
    p.scratch_each = (p.kernel->scratch(&p.args) + 4095) / 4096 * 4096;
    p.scratch = need(p.scratch_each * (size_t)threads + 64);
    set_threads(threads);
    call(&p, OURS);
    memcpy(due, p.c, m * n * sizeof(float));
    for (int round = 0; round < ROUNDS; round++) {
        if (mbr_limits_measure(p.team, &memory, &limits, &err) == MBR_OK) {
            flops = limits.flops > flops ? limits.flops : flops;
            read = limits.read[MBR_LEVEL_MEMORY] > read ? limits.read[MBR_LEVEL_MEMORY] : read;
        }
        for (int e = 0; e < ENGINES; e++) {
            if (!here(e))
                continue;
            memset(p.c, 0, m * n * sizeof(float));
            double t = time_calls(&p, e, seconds / ROUNDS);
            if (round == 0)
                check(&p, e, due);
            best[e] = best[e] == 0 || t < best[e] ? t : best[e];
        }
    }
    bool row = m == 1 && k * n * sizeof(float) > limits.bytes[MBR_LEVEL_SHARED];
    printf("%zux%zux%zu, %d thread%s, limit %.1f %s:", m, n, k, threads, threads == 1 ? "" : "s",
           row ? read * 1e-9 : flops * 1e-9, row ? "GB/s" : "GFLOP/s");
    for (int e = 0; e < ENGINES; e++) {
        double done = row ? (double)(k * n * sizeof(float)) : 2.0 * (double)m * (double)n * (double)k;
        if (here(e))
            printf("  %s %.1f (%.0f %%)", names[e], done / best[e] * 1e-9, 100 * done / best[e] / (row ? read : flops));
    }
    printf("\n");
    fflush(stdout);
    mbr_team_free(p.team);
    free(p.a);
    free(p.b);
    free(p.c);
    free(packed);
    free(due);
    free(p.scratch);
}

int main(int argc, char **argv)
{
    static char *const usual[] = { "128x128x128",   "512x512x512",  "1024x1024x1024", "2048x2048x2048", "1x16384x4608",
                                   "1x3072x768",    "4x3072x768",   "16x3072x768",    "128x768x3072",   "3136x256x64" };
    double seconds = 1;
    const char *threads = "1,2";
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--threads") == 0)
            threads = argv[i + 1];
        else
            break;
    }
    if (i < argc && strncmp(argv[i], "--", 2) == 0) {
        fprintf(stderr, "usage: bench-gemm [--seconds S] [--threads LIST] [MxNxK...]\n");
        return 2;
    }
    open_peers();
    for (int e = 1; e < ENGINES; e++)
        if (!here(e))
            printf("# %s is not installed\n", names[e]);
    char *const *shapes = i < argc ? argv + i : usual;
    int n_shapes = i < argc ? argc - i : (int)(sizeof usual / sizeof *usual);
    for (int s = 0; s < n_shapes; s++) {
        size_t m, n, k;
        if (sscanf(shapes[s], "%zux%zux%zu", &m, &n, &k) != 3 || m == 0 || n == 0 || k == 0 || m > 1 << 20 ||
            n > 1 << 20 || k > 1 << 20) {
            fprintf(stderr, "bench-gemm: %s: three sizes are due, such as 128x768x3072\n", shapes[s]);
            return 2;
        }
        for (const char *t = threads; *t; t += strcspn(t, ",") + (t[strcspn(t, ",")] == ','))
            bench(m, n, k, (int)strtol(t, NULL, 10), seconds);
    }
    return 0;
}
