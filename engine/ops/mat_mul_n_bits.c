/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * com.microsoft's MatMulNBits: Y = A * dequantised(B)^T + bias. 4 bits and constant f32 scales go to the kernel that
 * keeps the weights packed; every other form (2 and 8 bits, reordered groups, weights that a run brings) is dequantised
 * to f32 first and multiplied as any matrix.
 */
#include "engine/ops/buffer.h"
#include "base/checked.h"
#include "kernels/nbits.h"
#include "kernels/packed.h"
#include "kernels/real.h"

#include <string.h>

enum { IN_A, IN_B, IN_SCALES, IN_ZERO, IN_GROUPS, IN_BIAS };

/* What pack leaves: this header, then the weights. */
typedef struct packed_nbits {
    uint32_t kernel; /* kernels/packed.h */
} packed_nbits;

typedef struct nbits_state {
    const mbr_nbits_kernel *nbits_kernel; /* of packed weights */
    mbr_nbits_args nbits;
    mbr_gemm_args gemm;
    const mbr_gemm_f32_kernel *kernel;
    size_t tiles, per_tile;
    mbr_buffer work; /* W (n, k), and for other types than f32, A, Y and the bias behind it */
} nbits_state;

typedef struct sizes {
    int64_t n, k, bits, block, blocks;
} sizes;

static bool read_sizes(const mbr_ir_node *n, sizes *z)
{
    z->n = mbr_attr_int(n, "N", 0);
    z->k = mbr_attr_int(n, "K", 0);
    z->bits = mbr_attr_int(n, "bits", 4);
    z->block = mbr_attr_int(n, "block_size", 0);
    if (z->n < 1 || z->k < 1 || z->n > INT32_MAX || z->k > INT32_MAX || z->block < 16 || z->block > 65536 ||
        (z->block & (z->block - 1)) || (z->bits != 2 && z->bits != 4 && z->bits != 8))
        return false;
    z->blocks = (z->k + z->block - 1) / z->block;
    return true;
}

static mbr_status infer(mbr_infer *c)
{
    const mbr_arg *a = &c->in[IN_A];
    sizes z;
    if (!read_sizes(c->node, &z))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "impossible attributes K, N, bits or block_size");
    if (a->dtype != MBR_DTYPE_UNDEFINED && !mbr_dtype_is_float(a->dtype))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "elements of type %s; floats are needed", mbr_dtype_name(a->dtype));
    mbr_infer_out(c, 0, a->dtype, a->rank, NULL);
    if (a->rank < 0)
        return MBR_OK;
    if (a->rank == 0 || (mbr_dim_is_const(a->dims[a->rank - 1]) && a->dims[a->rank - 1] != z.k))
        return mbr_infer_fail(c, MBR_ERR_MODEL, "A does not have %lld columns", (long long)z.k);
    mbr_dim dims[MBR_MAX_RANK];
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = z.n;
    mbr_infer_out(c, 0, a->dtype, a->rank, dims);
    return MBR_OK;
}

/* Do the inputs have the sizes that the attributes say? NULL: yes, else what is wrong. */
static const char *check(const sizes *z, const mbr_value *b, const mbr_value *scales, const mbr_value *zero)
{
    size_t rows = (size_t)z->n, blocks = (size_t)z->blocks;
    if (b->dtype != MBR_DTYPE_U8 || mbr_value_count(b) != rows * blocks * (size_t)(z->block * z->bits / 8))
        return "B does not have the size that the attributes say";
    if (!mbr_dtype_is_float(scales->dtype) || mbr_value_count(scales) != rows * blocks)
        return "the scales do not have the size that the attributes say";
    size_t points = zero && zero->dtype == MBR_DTYPE_U8 ? (blocks * (size_t)z->bits + 7) / 8 : blocks;
    if (zero && mbr_value_count(zero) != rows * points)
        return "the zero points do not have the size that the attributes say";
    return NULL;
}

static size_t bits_at(const uint8_t *p, size_t i, int64_t bits)
{
    size_t per = 8 / (size_t)bits;
    return (size_t)p[i / per] >> i % per * (size_t)bits & ((1u << bits) - 1);
}

/* W (n, k) in f32. */
static void dequantise(const mbr_step *s, const sizes *z, float *w)
{
    const mbr_value *scales = s->in[IN_SCALES], *zero = mbr_step_has(s, IN_ZERO) ? s->in[IN_ZERO] : NULL;
    const mbr_value *groups = mbr_step_has(s, IN_GROUPS) ? s->in[IN_GROUPS] : NULL;
    const uint8_t *q = s->in[IN_B]->data;
    size_t k = (size_t)z->k, blocks = (size_t)z->blocks, row = blocks * (size_t)z->block;
    size_t zero_row = (blocks * (size_t)z->bits + 7) / 8;
    for (size_t j = 0; j < (size_t)z->n; j++)
        for (size_t p = 0; p < k; p++) {
            size_t g = groups ? (size_t)mbr_value_int(groups, p) : p / (size_t)z->block;
            double middle = (double)(1 << (z->bits - 1));
            if (zero && zero->dtype == MBR_DTYPE_U8)
                middle = (double)bits_at((const uint8_t *)zero->data + j * zero_row, g, z->bits);
            else if (zero)
                middle = mbr_value_real(zero, j * blocks + g);
            double v = (double)bits_at(q, j * row + p, z->bits) - middle;
            w[j * k + p] = (float)(v * mbr_value_real(scales, j * blocks + g));
        }
}

static mbr_status prepare(mbr_step *s, mbr_error *err)
{
    nbits_state *st = s->state;
    const packed_nbits *packed = s->packed;
    const mbr_value *a = s->in[IN_A];
    sizes z;
    if (!read_sizes(s->node, &z))
        return mbr_step_fail(s, err, MBR_ERR_MODEL, "impossible attributes");
    const char *wrong = check(&z, s->in[IN_B], s->in[IN_SCALES], mbr_step_has(s, IN_ZERO) ? s->in[IN_ZERO] : NULL);
    if (wrong)
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "%s", wrong);
    if (mbr_step_has(s, IN_BIAS) && (mbr_value_count(s->in[IN_BIAS]) != (size_t)z.n ||
                                     s->in[IN_BIAS]->dtype != a->dtype))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "the bias does not fit");
    if (mbr_step_has(s, IN_GROUPS) && (mbr_value_count(s->in[IN_GROUPS]) < (size_t)z.k ||
                                       !mbr_dtype_is_int(s->in[IN_GROUPS]->dtype)))
        return mbr_step_fail(s, err, MBR_ERR_INPUT, "g_idx does not fit");
    size_t n = (size_t)z.n, k = (size_t)z.k, m = mbr_value_count(a) / k;
    double ns = (double)m * (double)n * (double)k / 15 + (double)n * (double)k / 8;
    if (packed) {
        st->nbits = (mbr_nbits_args){ .m = m, .n = n, .k = k, .block = (size_t)z.block, .lda = (ptrdiff_t)k,
                                      .ldc = (ptrdiff_t)n };
        st->nbits_kernel = mbr_packed_kernel(packed->kernel);
        st->tiles = m ? st->nbits_kernel->tiles(&st->nbits) : 0;
        s->scratch = m ? st->nbits_kernel->scratch(&st->nbits) : 0;
        st->per_tile = mbr_step_split(s, st->tiles, st->tiles ? ns / (double)st->tiles : 0);
        return MBR_OK;
    }
    st->gemm = (mbr_gemm_args)MBR_GEMM_ARGS_INIT;
    st->gemm.m = m;
    st->gemm.n = n;
    st->gemm.k = k;
    st->gemm.lda = st->gemm.ldb = (ptrdiff_t)k;
    st->gemm.ldc = (ptrdiff_t)n;
    st->gemm.b_form = MBR_GEMM_B_COLS;
    st->kernel = mbr_gemm_f32_select(mbr_cpu_tiers());
    st->tiles = m ? st->kernel->tiles(&st->gemm) : 0;
    s->scratch = m ? st->kernel->scratch(&st->gemm) : 0;
    s->kernel = st->kernel->name;
    size_t bytes = n * k, more = a->dtype == MBR_DTYPE_F32 ? 0 : m * k + m * n + n;
    if (!mbr_add_size(bytes, more, &bytes) || !mbr_mul_size(bytes, sizeof(float), &bytes))
        return mbr_no_memory(err, SIZE_MAX);
    MBR_TRY(mbr_buffer_reserve(s, &st->work, bytes, err));
    s->tiles[0] = 1;
    s->cost_ns = (double)n * (double)k * 10 + ns;
    return MBR_OK;
}

static mbr_status run_plain(mbr_step *s, nbits_state *st, void *scratch, mbr_error *err)
{
    const mbr_value *a = s->in[IN_A], *groups = mbr_step_has(s, IN_GROUPS) ? s->in[IN_GROUPS] : NULL;
    sizes z;
    read_sizes(s->node, &z);
    mbr_gemm_args g = st->gemm;
    for (size_t p = 0; groups && p < g.k; p++)
        if (mbr_value_int(groups, p) < 0 || mbr_value_int(groups, p) >= z.blocks)
            return mbr_step_fail(s, err, MBR_ERR_RUN, "g_idx holds %lld, there are %lld groups",
                                 (long long)mbr_value_int(groups, p), (long long)z.blocks);
    float *work = st->work.data;
    dequantise(s, &z, work);
    g.a = a->data;
    g.b = work;
    g.c = s->out[0]->data;
    g.epilogue.bias = mbr_step_has(s, IN_BIAS) ? s->in[IN_BIAS]->data : NULL;
    bool wide = a->dtype != MBR_DTYPE_F32;
    float *wide_a = work + g.n * g.k, *wide_c = wide_a + g.m * g.k, *wide_bias = wide_c + g.m * g.n;
    if (wide) {
        for (size_t i = 0; i < g.m * g.k; i++)
            wide_a[i] = (float)mbr_real_get(a->dtype, a->data, i);
        for (size_t i = 0; g.epilogue.bias && i < g.n; i++)
            wide_bias[i] = (float)mbr_real_get(a->dtype, s->in[IN_BIAS]->data, i);
        g.a = wide_a;
        g.c = wide_c;
        g.epilogue.bias = g.epilogue.bias ? wide_bias : NULL;
    }
    st->kernel->run(&g, scratch, 0, st->tiles);
    for (size_t i = 0; wide && i < g.m * g.n; i++)
        mbr_real_set(a->dtype, s->out[0]->data, i, (double)wide_c[i]);
    return MBR_OK;
}

static mbr_status run(mbr_step *s, const mbr_job *job, mbr_error *err)
{
    nbits_state *st = s->state;
    if (!s->packed)
        return run_plain(s, st, job->scratch, err);
    mbr_nbits_args a = st->nbits;
    size_t first = job->first * st->per_tile, last = job->last * st->per_tile;
    a.a = s->in[IN_A]->data;
    a.b = (const char *)s->packed + MBR_ALIGN;
    a.c = s->out[0]->data;
    a.epilogue.bias = mbr_step_has(s, IN_BIAS) ? s->in[IN_BIAS]->data : NULL;
    st->nbits_kernel->run(&a, job->scratch, first, last < st->tiles ? last : st->tiles);
    return MBR_OK;
}

static const mbr_value *constant_input(const mbr_ir_node *n, uint32_t i)
{
    return i < n->n_inputs && n->inputs[i] && !n->inputs[i]->is_input ? n->inputs[i]->constant : NULL;
}

static mbr_status pack(mbr_pack *p)
{
    const mbr_ir_node *n = p->node;
    const mbr_value *b = constant_input(n, IN_B), *scales = constant_input(n, IN_SCALES);
    const mbr_value *zero = constant_input(n, IN_ZERO);
    bool has_zero = n->n_inputs > IN_ZERO && n->inputs[IN_ZERO], has_groups = n->n_inputs > IN_GROUPS &&
                    n->inputs[IN_GROUPS];
    sizes z;
    if (!b || !scales || (has_zero && !zero) || has_groups || scales->dtype != MBR_DTYPE_F32 ||
        n->inputs[IN_A]->type.dtype != MBR_DTYPE_F32 ||
        (zero && zero->dtype != MBR_DTYPE_U8 && zero->dtype != MBR_DTYPE_F32) || !read_sizes(n, &z) || z.bits != 4)
        return MBR_OK;
    const char *wrong = check(&z, b, scales, zero);
    if (wrong)
        return mbr_ir_fail(n, p->err, MBR_ERR_MODEL, "%s", wrong);
    const mbr_nbits_kernel *kernel = mbr_nbits_select(mbr_cpu_tiers());
    mbr_nbits_b weights = { .n = (size_t)z.n, .k = (size_t)z.k, .block = (size_t)z.block, .q = b->data,
                            .scale = scales->data };
    if (zero && zero->dtype == MBR_DTYPE_U8)
        weights.zero = zero->data;
    else if (zero)
        weights.zero_f32 = zero->data;
    size_t bytes = kernel->pack_size(weights.k, weights.n, weights.block);
    if (bytes == 0 || !mbr_add_size(bytes, MBR_ALIGN, &bytes))
        return mbr_no_memory(p->err, SIZE_MAX);
    char *block = mbr_alloc(p->memory, bytes);
    if (!block)
        return mbr_no_memory(p->err, bytes);
    *(packed_nbits *)(void *)block = (packed_nbits){ mbr_packed_kernel_number(kernel) };
    kernel->pack(block + MBR_ALIGN, &weights, 0, weights.n);
    p->packed = block;
    p->bytes = bytes;
    p->packed_inputs = 1u << IN_B | 1u << IN_SCALES | (zero ? 1u << IN_ZERO : 0);
    return MBR_OK;
}

static void fini(mbr_step *s)
{
    nbits_state *st = s->state;
    mbr_buffer_free(s, &st->work);
}

const mbr_op mbr_ops_mat_mul_n_bits[] = {
    { .domain = "com.microsoft", .name = "MatMulNBits", .since = 1, .min_in = 3, .max_in = 6, .min_out = 1,
      .max_out = 1, .infer = infer, .prepare = prepare, .run = run, .pack = pack, .fini = fini,
      .state_size = sizeof(nbits_state) },
    { 0 },
};
