/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps that scikit-learn's transformers fit, in its order of arithmetic: quantiles, powers, products. */
#include "runtime/steps/step.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- quantile: the rank among fitted quantiles, as QuantileTransformer ---- */

typedef struct quantile {
    mbr_numbers quantiles;
    int output;
    double least, most; /* of the normal distribution; made by compile */
} quantile;

enum { QUANTILE_UNIFORM, QUANTILE_NORMAL };

/* Values so near to the ends are the ends. */
static const double bounds_threshold = 1e-7;

const mbr_param mbr_params_quantile[] = {
    { .name = "quantiles", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(quantile, quantiles) },
    { .name = "output", .type = MBR_PARAM_CHOICE, .words = "uniform|normal", .offset = offsetof(quantile, output),
      .preset = QUANTILE_UNIFORM },
    { .name = NULL }
};

/* c[0] x^(n-1) + ... + c[n-1]; monic: with x^n in front. */
static double polynomial(double x, const double *c, int n, bool monic)
{
    double sum = monic ? x + c[0] : c[0];
    for (int i = 1; i < n; i++)
        sum = sum * x + c[i];
    return sum;
}

/*
 * The inverse of the normal distribution by Cephes' rational approximations: scipy computes it so, and its last bits
 * are part of what a fitted model has seen.
 */
static double normal_inverse(double p)
{
    static const double p0[] = { -5.99633501014107895267E1, 9.80010754185999661536E1, -5.66762857469070293439E1,
                                 1.39312609387279679503E1, -1.23916583867381258016E0 };
    static const double q0[] = { 1.95448858338141759834E0, 4.67627912898881538453E0, 8.63602421390890590575E1,
                                 -2.25462687854119370527E2, 2.00260212380060660359E2, -8.20372256168333339912E1,
                                 1.59056225126211695515E1, -1.18331621121330003142E0 };
    static const double p1[] = { 4.05544892305962419923E0, 3.15251094599893866154E1, 5.71628192246421288162E1,
                                 4.40805073893200834700E1, 1.46849561928858024014E1, 2.18663306850790267539E0,
                                 -1.40256079171354495875E-1, -3.50424626827848203418E-2, -8.57456785154685413611E-4 };
    static const double q1[] = { 1.57799883256466749731E1, 4.53907635128879210584E1, 4.13172038254672030440E1,
                                 1.50425385692907503408E1, 2.50464946208309415979E0, -1.42182922854787788574E-1,
                                 -3.80806407691578277194E-2, -9.33259480895457427372E-4 };
    static const double p2[] = { 3.23774891776946035970E0, 6.91522889068984211695E0, 3.93881025292474443415E0,
                                 1.33303460815807542389E0, 2.01485389549179081538E-1, 1.23716634817820021358E-2,
                                 3.01581553508235416007E-4, 2.65806974686737550832E-6, 6.23974539184983293730E-9 };
    static const double q2[] = { 6.02427039364742014255E0, 3.67983563856160859403E0, 1.37702099489081330271E0,
                                 2.16236993594496635890E-1, 1.34204006088543189037E-2, 3.28014464682127739104E-4,
                                 2.89247864745380683936E-6, 6.79019408009981274425E-9 };
    const double tail = 0.13533528323661269189; /* exp(-2) */
    bool low = true;
    double y = p;
    if (isnan(p) || p <= 0 || p >= 1)
        return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
    if (y > 1 - tail) {
        y = 1 - y;
        low = false;
    }
    if (y > tail) {
        y -= 0.5;
        double y2 = y * y, x = y + y * (y2 * polynomial(y2, p0, 5, false) / polynomial(y2, q0, 8, true));
        return x * 2.50662827463100050242; /* sqrt(2 pi) */
    }
    double x = sqrt(-2 * log(y)), x0 = x - log(x) / x, z = 1 / x;
    double x1 = x < 8 ? z * polynomial(z, p1, 9, false) / polynomial(z, q1, 8, true)
                      : z * polynomial(z, p2, 9, false) / polynomial(z, q2, 8, true);
    return low ? x1 - x0 : x0 - x1;
}

mbr_status mbr_compile_quantile(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    quantile *p = s->params;
    (void)out;
    for (size_t i = 1; i < p->quantiles.count; i++)
        if (!(p->quantiles.items[i - 1] <= p->quantiles.items[i]))
            return mbr_node_fail(&c->read, at, "step '%s': the quantiles must not descend", s->name);
    p->least = normal_inverse(bounds_threshold - DBL_EPSILON);
    p->most = normal_inverse(1 - (bounds_threshold - DBL_EPSILON));
    return MBR_OK;
}

/* Place i of n even steps from 0 to 1. */
static double reference(size_t i, size_t n)
{
    return n == 1 ? 0 : i == n - 1 ? 1 : (double)i * (1 / (double)(n - 1));
}

/*
 * numpy.interp of the quantiles at x; turned: of their negatives, in descending order, at -x, which is the other end of
 * a stretch of equal quantiles.
 */
static double interpolate(const double *q, size_t n, double x, bool turned)
{
#define X_AT(i) (turned ? -q[n - 1 - (i)] : q[i])
#define Y_AT(i) (turned ? -reference(n - 1 - (i), n) : reference(i, n))
    size_t low = 0, high = n; /* how many are not above x */
    x = turned ? -x : x;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (X_AT(mid) <= x)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return Y_AT(0);
    size_t j = low - 1;
    if (j == n - 1 || X_AT(j) == x)
        return Y_AT(j);
    double slope = (Y_AT(j + 1) - Y_AT(j)) / (X_AT(j + 1) - X_AT(j));
    return slope * (x - X_AT(j)) + Y_AT(j);
#undef X_AT
#undef Y_AT
}

static double quantile_of(const quantile *p, double x)
{
    const double *q = p->quantiles.items;
    size_t n = p->quantiles.count;
    if (isnan(x))
        return x;
    double y = 0.5 * (interpolate(q, n, x, false) - interpolate(q, n, x, true));
    if (p->output == QUANTILE_UNIFORM)
        return x == q[0] ? 0 : x == q[n - 1] ? 1 : y;
    y = x - bounds_threshold < q[0] ? 0 : x + bounds_threshold > q[n - 1] ? 1 : y;
    y = normal_inverse(y);
    return y < p->least ? p->least : y > p->most ? p->most : y;
}

void mbr_run_quantile(const mbr_step *s, mbr_rows *rows)
{
    const quantile *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++)
        y[i] = quantile_of(p, x[i]);
}

/* ---- power: Yeo-Johnson or Box-Cox, then standardised, as PowerTransformer ---- */

typedef struct power {
    int method;
    double lambda, mean, scale;
} power;

enum { POWER_YEO_JOHNSON, POWER_BOX_COX };

const mbr_param mbr_params_power[] = {
    { .name = "method", .type = MBR_PARAM_CHOICE, .words = "yeo_johnson|box_cox", .offset = offsetof(power, method),
      .preset = POWER_YEO_JOHNSON },
    { .name = "lambda", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(power, lambda) },
    { .name = "mean", .type = MBR_PARAM_NUMBER, .offset = offsetof(power, mean), .preset = 0 },
    { .name = "scale", .type = MBR_PARAM_NUMBER, .offset = offsetof(power, scale), .preset = 1 },
    { .name = NULL }
};

mbr_status mbr_compile_power(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    const power *p = s->params;
    (void)out;
    if (p->scale == 0)
        return mbr_node_fail(&c->read, at, "step '%s': the scale is 0; use 1 for a column that does not vary", s->name);
    return MBR_OK;
}

static double yeo_johnson(double x, double lambda)
{
    if (x >= 0)
        return fabs(lambda) < DBL_EPSILON ? log1p(x) : expm1(lambda * log1p(x)) / lambda;
    return fabs(lambda - 2) > DBL_EPSILON ? -expm1((2 - lambda) * log1p(-x)) / (2 - lambda) : -log1p(-x);
}

static double box_cox(double x, double lambda)
{
    double l = log(x);
    if (fabs(lambda) < 1e-19)
        return l;
    if (lambda * l < 709.78)
        return expm1(lambda * l) / lambda;
    return copysign(1, lambda) * exp(lambda * l - log(fabs(lambda))) - 1 / lambda;
}

void mbr_run_power(const mbr_step *s, mbr_rows *rows)
{
    const power *p = s->params;
    const double *x = mbr_step_in(s, rows, 0);
    double *y = mbr_step_out(s, rows);
    size_t n = mbr_step_count(s, rows);
    for (size_t i = 0; i < n; i++) {
        double v = isnan(x[i]) ? x[i] : (p->method == POWER_BOX_COX ? box_cox : yeo_johnson)(x[i], p->lambda);
        y[i] = (v - p->mean) / p->scale;
    }
}

/* ---- polynomial: products of the columns, in the order of PolynomialFeatures ---- */

typedef struct polynomial_params {
    int64_t degree;
    bool interactions, bias;
    int features;   /* made by compile: values that are read */
    int count;      /* products */
    int32_t *terms; /* (count, 2): an earlier product (-1: none) and the value that it is multiplied by (-1: one) */
} polynomial_params;

const mbr_param mbr_params_polynomial[] = {
    { .name = "degree", .type = MBR_PARAM_INT, .offset = offsetof(polynomial_params, degree), .preset = 2 },
    { .name = "interaction_only", .type = MBR_PARAM_BOOL, .offset = offsetof(polynomial_params, interactions) },
    { .name = "bias", .type = MBR_PARAM_BOOL, .offset = offsetof(polynomial_params, bias), .preset = 1 },
    { .name = NULL }
};

/*
 * Counts the products, and lists them where p->terms is there. A product of degree d is one of degree d - 1 times a
 * value that stands before all of its factors. Stops beyond MBR_MAX_WIDTH. room: (2, features + 2).
 */
static int list_products(const polynomial_params *p, int32_t *room)
{
    /* The first product whose first factor is the k-th value or a later one: of the degree before, and of this one. */
    int32_t *before = room, *now = room + p->features + 2;
    int n = p->bias;
    if (p->bias && p->terms)
        p->terms[0] = p->terms[1] = -1;
    for (int64_t degree = 1; degree <= p->degree; degree++) {
        int end = n;
        for (int k = 0; k < p->features; k++) {
            now[k] = n;
            for (int e = degree == 1 ? end - 1 : before[p->interactions ? k + 1 : k]; e < end; e++, n++) {
                if (n >= MBR_MAX_WIDTH)
                    return MBR_MAX_WIDTH + 1;
                if (!p->terms)
                    continue;
                p->terms[2 * n] = degree == 1 ? -1 : e;
                p->terms[2 * n + 1] = k;
            }
        }
        now[p->features] = now[p->features + 1] = n;
        memcpy(before, now, ((size_t)p->features + 2) * sizeof *before);
    }
    return n;
}

mbr_status mbr_compile_polynomial(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    polynomial_params *p = s->params;
    int64_t width = 0;
    for (int i = 0; i < s->from_count; i++)
        width += c->scope->cols[s->from[i]].width;
    if (p->degree < 1 || p->degree > 8 || width > 1024)
        return mbr_node_fail(&c->read, at, "step '%s': the degree must be 1 to 8, of at most 1024 values", s->name);
    p->features = (int)width;
    int32_t *room = mbr_arena_calloc(c->read.arena, 2 * ((size_t)width + 2), sizeof *room);
    if (!room)
        return mbr_no_memory(c->read.err, 2 * ((size_t)width + 2) * sizeof *room);
    p->count = list_products(p, room);
    if (p->count > MBR_MAX_WIDTH)
        return mbr_node_fail(&c->read, at, "step '%s': more than %d products", s->name, MBR_MAX_WIDTH);
    p->terms = mbr_arena_calloc(c->read.arena, 2 * (size_t)p->count, sizeof *p->terms);
    if (!p->terms)
        return mbr_no_memory(c->read.err, 2 * (size_t)p->count * sizeof *p->terms);
    list_products(p, room);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_NUMBER, .width = p->count };
    return MBR_OK;
}

void mbr_run_polynomial(const mbr_step *s, mbr_rows *rows)
{
    const polynomial_params *p = s->params;
    double *y = mbr_step_out(s, rows);
    for (int i = 0; i < rows->count; i++, y += p->count) {
        double x[1024];
        int n = 0;
        for (int k = 0; k < s->from_count; k++) {
            int width = rows->cols[s->from[k]].width;
            memcpy(x + n, mbr_step_in(s, rows, k) + (size_t)i * (size_t)width, (size_t)width * sizeof *x);
            n += width;
        }
        for (int t = 0; t < p->count; t++) {
            int before = p->terms[2 * t], value = p->terms[2 * t + 1];
            y[t] = value < 0 ? 1 : before < 0 ? x[value] : y[before] * x[value];
        }
    }
}

_Static_assert(sizeof(polynomial_params) <= MBR_STEP_PARAMS, "room for parameters");
