/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernels/tree.h"
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define KERNEL(name, tier) mbr_tree_fn mbr_##name;
#include "kernels/tree.def"
#undef KERNEL

static const struct {
    const char *name;
    mbr_cpu_tier tier;
    mbr_tree_fn *run;
} rows[] = {
#define KERNEL(name, tier) {#name, MBR_TIER_##tier, mbr_##name},
#include "kernels/tree.def"
#undef KERNEL
};

#define ROWS (sizeof rows / sizeof *rows)

/* A source in buffers of the harness. */
typedef struct forest {
    mbr_tree_source source;
    uint8_t *mode, *missing;
    int32_t *feature, *yes, *no, *root, *target;
    double *value, *weight, *member;
    uint32_t *weight_first;
    size_t *member_first;
} forest;

typedef struct forest_options {
    size_t trees, leaves, features, targets, weights; /* of a leaf, at most */
    mbr_tree_mode modes[3];
    int depth; /* balanced trees of this depth; 0: grown at random */
    bool missing, f64, infinities;
} forest_options;

static float some_number(void)
{
    switch (check_rand_range(0, 15)) {
    case 0:
        return INFINITY;
    case 1:
        return -INFINITY;
    case 2:
        return -0.0f;
    default:
        return (float)(int)check_rand_range(0, 40) * 0.25f - 5.0f;
    }
}

static forest make_forest(const forest_options *o)
{
    forest f = {.source = {0}};
    size_t max_leaves = o->depth ? (size_t)1 << o->depth : o->leaves, nodes = o->trees * (2 * max_leaves - 1);
    f.mode = check_alloc(nodes);
    f.missing = check_alloc(nodes);
    f.feature = check_alloc(nodes * 4);
    f.yes = check_alloc(nodes * 4);
    f.no = check_alloc(nodes * 4);
    f.value = check_alloc(nodes * 8);
    f.root = check_alloc(o->trees * 4);
    f.weight_first = check_alloc((nodes + 1) * sizeof(uint32_t));
    f.member_first = check_alloc((nodes + 1) * sizeof(size_t));
    f.target = check_alloc(nodes * o->weights * 4);
    f.weight = check_alloc(nodes * o->weights * 8);
    f.member = check_alloc(nodes * 3 * 8);
    size_t n = 0, weights = 0, members = 0;
    for (size_t t = 0; t < o->trees; t++) {
        size_t leaves = o->depth ? max_leaves : check_rand_range(1, max_leaves), end = n + 1, left = leaves - 1;
        size_t open = 1; /* places that may become branches */
        int32_t target = (int32_t)check_rand_range(0, o->targets - 1);
        f.root[t] = (int32_t)n;
        for (; n < end; n++, open--) {
            bool branch = left > 0 && (o->depth || open == 1 || !check_rand_one_in(3));
            f.weight_first[n] = (uint32_t)weights;
            f.member_first[n] = members;
            f.missing[n] = o->missing && check_rand_one_in(2);
            f.value[n] = (double)some_number();
            if (isinf(f.value[n]) && !o->infinities)
                f.value[n] = f.value[n] < 0 ? -FLT_MAX : FLT_MAX / 2;
            f.mode[n] = MBR_TREE_LEAF;
            if (branch) {
                f.mode[n] = (uint8_t)o->modes[check_rand_range(0, 2)];
                f.feature[n] = (int32_t)check_rand_range(0, o->features - 1);
                bool turn = check_rand_one_in(2);
                f.yes[n] = (int32_t)(end + turn);
                f.no[n] = (int32_t)(end + !turn);
                end += 2;
                open += 2;
                left--;
                for (size_t k = check_rand_range(0, 3); k > 0 && f.mode[n] == MBR_TREE_MEMBER; k--)
                    f.member[members++] = (double)some_number();
                continue;
            }
            for (size_t k = o->weights == 1 ? 1 : check_rand_range(0, o->weights); k > 0; k--) {
                f.target[weights] = o->weights == 1 ? target : (int32_t)check_rand_range(0, o->targets - 1);
                f.weight[weights++] = (double)check_rand_f32();
            }
        }
    }
    f.weight_first[n] = (uint32_t)weights;
    f.member_first[n] = members;
    f.source = (mbr_tree_source){.nodes = n, .trees = o->trees, .features = o->features, .targets = o->targets,
                                 .mode = f.mode, .feature = f.feature, .value = f.value, .true_child = f.yes,
                                 .false_child = f.no, .missing_true = o->missing ? f.missing : NULL, .root = f.root,
                                 .weight_first = f.weight_first, .weight_target = f.target, .weight = f.weight,
                                 .member_first = f.member_first, .member = f.member, .f64 = o->f64};
    return f;
}

/* The definition, on the source. */
static void evaluate(const mbr_tree_source *s, const double *x, double *scores)
{
    bool any[8] = {false};
    for (size_t k = 0; k < s->targets; k++)
        scores[k] = 0.0;
    for (size_t t = 0; t < s->trees; t++) {
        size_t n = (size_t)s->root[t];
        while (s->mode[n] != MBR_TREE_LEAF) {
            double v = x[s->feature[n]], value = s->value[n];
            bool yes = false;
            switch (s->mode[n]) {
            case MBR_TREE_LEQ: yes = v <= value; break;
            case MBR_TREE_LT: yes = v < value; break;
            case MBR_TREE_GTE: yes = v >= value; break;
            case MBR_TREE_GT: yes = v > value; break;
            case MBR_TREE_EQ: yes = v == value; break;
            case MBR_TREE_NEQ: yes = v != value; break;
            default:
                for (size_t k = s->member_first[n]; k < s->member_first[n + 1]; k++)
                    yes |= v == s->member[k];
            }
            if (isnan(v) && s->missing_true && s->missing_true[n])
                yes = true;
            n = (size_t)(yes ? s->true_child[n] : s->false_child[n]);
        }
        for (size_t k = s->weight_first[n]; k < s->weight_first[n + 1]; k++) {
            int32_t target = s->weight_target[k];
            double w = s->weight[k], *score = &scores[target];
            if (s->aggregate <= MBR_TREE_AVERAGE)
                *score += w;
            else if (!any[target] || (s->aggregate == MBR_TREE_MIN ? w < *score : w > *score))
                *score = w;
            any[target] = true;
        }
    }
    for (size_t k = 0; k < s->targets; k++)
        scores[k] = scores[k] / (s->aggregate == MBR_TREE_AVERAGE ? (double)s->trees : 1.0) + (s->base ? s->base[k] : 0);
}

static mbr_tree_ensemble *prepare(const mbr_tree_source *s)
{
    size_t node = 0;
    mbr_tree_shape shape;
    void *work = check_alloc(mbr_tree_work(s));
    mbr_tree_fault fault = mbr_tree_measure(s, work, &shape, &node);
    if (fault != MBR_TREE_OK) {
        check_fail("fault %d at node %zu", (int)fault, node);
        return NULL;
    }
    mbr_tree_ensemble *e = mbr_tree_prepare(s, &shape, work, check_alloc(shape.bytes));
    if (!e)
        check_fail("not prepared");
    return e;
}

/* More rows cost more, and small trees have masks for many of them. */
static void check_costs(const mbr_tree_ensemble *e, const mbr_tree_source *s)
{
    mbr_tree_cost cost;
    double one, few, many;
    mbr_tree_costs(e, &cost);
    mbr_tree_way_of(&cost, mbr_cpu_tiers(), 1, &one);
    mbr_tree_way_of(&cost, mbr_cpu_tiers(), 7, &few);
    mbr_tree_way way = mbr_tree_way_of(&cost, mbr_cpu_tiers(), 1000, &many);
    if (!(one >= 0 && few >= one && many >= few && isfinite(many)) || (s->trees && !(one > 0)))
        check_fail("%zu trees: 1, 7 and 1000 rows take %g, %g and %g ns", s->trees, one, few, many);
    if ((way == MBR_TREE_MASKS) != (cost.ns[MBR_TREE_MASKS] > 0))
        check_fail("many rows go another way than under masks");
}

static void one_case(mbr_tree_fn *run)
{
    static const mbr_tree_mode ordered[] = {MBR_TREE_LEQ, MBR_TREE_LT, MBR_TREE_GTE, MBR_TREE_GT};
    forest_options o = {.trees = check_rand_range(1, 30), .leaves = check_rand_range(1, 64), .weights = 1,
                        .targets = check_rand_one_in(2) ? 1 : check_rand_range(1, 8)};
    o.features = check_rand_one_in(20) ? 1500 : check_rand_range(1, 30);
    if (check_rand_one_in(3))
        o.weights = 3;
    if (check_rand_one_in(3))
        o.leaves = check_rand_range(50, 300);
    o.missing = check_rand_one_in(2);
    o.f64 = check_rand_one_in(5);
    o.infinities = check_rand_one_in(4);
    bool all_modes = check_rand_one_in(4);
    for (int k = 0; k < 3; k++)
        o.modes[k] = all_modes ? (mbr_tree_mode)check_rand_range(0, MBR_TREE_MEMBER) : ordered[check_rand_range(0, 3)];
    forest f = make_forest(&o);
    f.source.aggregate = (mbr_tree_aggregate)check_rand_range(0, 3);
    double base[8];
    for (int k = 0; k < 8; k++)
        base[k] = (double)check_rand_f32();
    f.source.base = check_rand_one_in(2) ? base : NULL;

    size_t n = check_rand_one_in(2) ? check_rand_range(1, 3) : check_rand_range(1, 150);
    size_t stride = o.features + check_rand_range(0, 2);
    bool nan = check_rand_one_in(2);
    double *x = check_alloc(n * stride * 8), want[8];
    float *x32 = check_alloc(n * stride * 4);
    for (size_t i = 0; i < n * stride; i++) {
        float v = some_number();
        x32[i] = nan && check_rand_one_in(9) ? NAN : isinf(v) && !check_rand_one_in(3) ? 1.0f : v;
        x[i] = (double)x32[i];
    }
    check_case("trees=%zu leaves=%zu features=%zu targets=%zu weights=%zu rows=%zu f64=%d nan=%d", o.trees, o.leaves,
               o.features, o.targets, o.weights, n, o.f64, nan);
    mbr_tree_ensemble *e = prepare(&f.source);
    check_costs(e, &f.source);
    if (e) {
        double *scores = check_alloc(n * o.targets * 8), *again = check_alloc(n * o.targets * 8);
        const void *in = o.f64 ? (const void *)x : x32;
        size_t cut = check_rand_range(0, n);
        run(e, in, (ptrdiff_t)stride, scores, 0, n);
        run(e, in, (ptrdiff_t)stride, again, 0, cut);
        run(e, in, (ptrdiff_t)stride, again, cut, n);
        check_bytes(scores, again, n * o.targets * 8);
        for (size_t r = 0; r < n && !check_failed(); r++) {
            evaluate(&f.source, x + r * stride, want);
            for (size_t k = 0; k < o.targets; k++) {
                double got = scores[r * o.targets + k];
                if (!(fabs(want[k] - got) <= 1e-12))
                    check_fail("row %zu target %zu: want %.9g, got %.9g", r, k, want[k], got);
            }
        }
    }
    check_case_end();
}

/* What a hostile model may hold. */
static void check_faults(void)
{
    forest_options o = {.trees = 3, .leaves = 9, .features = 4, .targets = 2, .weights = 1, .depth = 3};
    mbr_tree_shape shape;
    size_t node;
    for (int k = 0; k < 6; k++) {
        forest f = make_forest(&o);
        void *work = check_alloc(mbr_tree_work(&f.source));
        static const mbr_tree_fault expected[] = {MBR_TREE_BAD_CHILD,  MBR_TREE_SHARED_NODE, MBR_TREE_SHARED_NODE,
                                                  MBR_TREE_BAD_FEATURE, MBR_TREE_BAD_TARGET,  MBR_TREE_BAD_ROOT};
        check_case("fault %d", (int)expected[k]);
        switch (k) {
        case 0: f.yes[0] = -2; break;
        case 1: f.yes[1] = 0; break;
        case 2: f.root[1] = f.root[0]; break;
        case 3: f.feature[2] = 4; break;
        case 4: f.target[3] = 2; break;
        default: f.root[2] = (int32_t)f.source.nodes; break;
        }
        mbr_tree_fault fault = mbr_tree_measure(&f.source, work, &shape, &node);
        if (fault != expected[k])
            check_fail("got fault %d", (int)fault);
        check_case_end();
    }
}

void check_tree(void)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!check_begin(rows[r].name, rows[r].tier))
            continue;
        check_faults();
        for (int i = 0; i < 400 && !check_failed(); i++)
            one_case(rows[r].run);
        check_end();
    }
}

typedef struct bench_case {
    mbr_tree_fn *run;
    mbr_tree_ensemble *ensemble;
    const float *x;
    double *scores;
    size_t rows, features;
} bench_case;

static void bench_call(void *context)
{
    bench_case *b = context;
    b->run(b->ensemble, b->x, (ptrdiff_t)b->features, b->scores, 0, b->rows);
}

/* tree trees= depth= features= rows=, in rows a microsecond (printed with the unit of 1e9). */
void bench_tree(const bench_shape *shape)
{
    for (size_t r = 0; r < ROWS; r++) {
        if (!bench_begin(rows[r].name, rows[r].tier))
            continue;
        forest_options o = {.trees = (size_t)bench_get(shape, "trees", 500), .targets = 1, .weights = 1,
                            .features = (size_t)bench_get(shape, "features", 30),
                            .depth = (int)bench_get(shape, "depth", 6)};
        forest f = make_forest(&o);
        for (size_t k = 0; k < f.source.nodes; k++)
            f.value[k] = (double)check_rand_f32();
        bench_case b = {.run = rows[r].run, .ensemble = prepare(&f.source), .features = o.features,
                        .rows = (size_t)bench_get(shape, "rows", 1)};
        b.x = check_alloc_f32_filled(b.rows * o.features, CHECK_UNIFORM);
        b.scores = check_alloc(b.rows * sizeof *b.scores);
        bench_run(bench_call, &b);
        bench_report(shape, (double)(b.rows * o.trees), "row trees/ns");
    }
}
