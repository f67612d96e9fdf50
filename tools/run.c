/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/command.h"

#include <math.h>
#include <string.h>

static void print_element(const mbr_value *v, size_t i)
{
    const void *d = mbr_tensor_const_data(v);
    switch (mbr_tensor_dtype(v)) {
    case MBR_DTYPE_F32:
        printf("%.6g", (double)((const float *)d)[i]);
        break;
    case MBR_DTYPE_F64:
        printf("%.10g", ((const double *)d)[i]);
        break;
    case MBR_DTYPE_I64:
        printf("%lld", (long long)((const int64_t *)d)[i]);
        break;
    case MBR_DTYPE_I32:
        printf("%d", ((const int32_t *)d)[i]);
        break;
    case MBR_DTYPE_I16:
        printf("%d", ((const int16_t *)d)[i]);
        break;
    case MBR_DTYPE_U64:
        printf("%llu", (unsigned long long)((const uint64_t *)d)[i]);
        break;
    case MBR_DTYPE_U32:
        printf("%u", ((const uint32_t *)d)[i]);
        break;
    case MBR_DTYPE_U16:
        printf("%d", ((const uint16_t *)d)[i]);
        break;
    case MBR_DTYPE_U8:
        printf("%d", ((const uint8_t *)d)[i]);
        break;
    case MBR_DTYPE_I8:
        printf("%d", ((const int8_t *)d)[i]);
        break;
    case MBR_DTYPE_BOOL:
        printf("%s", ((const uint8_t *)d)[i] ? "true" : "false");
        break;
    case MBR_DTYPE_STRING:
        printf("\"%.*s\"", (int)((const mbr_string *)d)[i].size, ((const mbr_string *)d)[i].data);
        break;
    default:
        printf("?");
    }
}

/* Smallest, largest and mean of a float tensor, so that a glance tells whether it is sane. */
static void print_range(const mbr_value *v)
{
    size_t n = mbr_tensor_count(v), strange = 0;
    const float *d = mbr_tensor_const_data(v);
    double low = INFINITY, high = -INFINITY, sum = 0;
    if (mbr_tensor_dtype(v) != MBR_DTYPE_F32 || n < 2)
        return;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(d[i])) {
            strange++;
            continue;
        }
        low = fmin(low, (double)d[i]);
        high = fmax(high, (double)d[i]);
        sum += (double)d[i];
    }
    if (strange < n)
        printf("  min %.6g max %.6g mean %.6g", low, high, sum / (double)(n - strange));
    if (strange)
        printf("  %zu not finite", strange);
}

static void print_value(const char *name, const mbr_value *v, int indent)
{
    static const char *const kinds[] = { "tensor", "sequence", "optional", "map" };
    printf("%*s%s: ", indent, "", name);
    if (mbr_value_kind(v) != MBR_KIND_TENSOR) {
        size_t n = mbr_value_item_count(v);
        printf("%s of %zu\n", kinds[mbr_value_kind(v)], n);
        for (size_t i = 0; i < n && i < 8; i++) {
            char item[32];
            snprintf(item, sizeof item, "%zu", i);
            print_value(item, mbr_value_item(v, i), indent + 2);
        }
        return;
    }
    printf("%s[", mbr_dtype_name(mbr_tensor_dtype(v)));
    for (int d = 0; d < mbr_tensor_rank(v); d++)
        printf("%s%lld", d ? ", " : "", (long long)mbr_tensor_dims(v)[d]);
    printf("]");
    print_range(v);
    size_t n = mbr_tensor_count(v);
    printf("  {");
    for (size_t i = 0; i < n && i < 8; i++) {
        if (i)
            printf(", ");
        print_element(v, i);
    }
    printf("%s}\n", n > 8 ? ", ..." : "");
}

static int run_session(const command_options *o, mbr_env *env, mbr_model *model, value_set *set)
{
    mbr_error err;
    mbr_session *session = NULL;
    int st = EXIT_DONE;
    if (mbr_session_new(model, NULL, &session, &err) != MBR_OK)
        return fail_with(&err);
    for (int i = 0; i < o->n_data && st == EXIT_DONE; i++)
        st = load_folder(env, model, o->data[i], set);
    for (int i = 0; i < o->n_named && st == EXIT_DONE; i++)
        st = load_named(env, model, o->named[i], set);
    if (st == EXIT_DONE)
        st = require_inputs(model, o->positional[0], set);
    if (st == EXIT_DONE)
        st = bind_set(session, set);
    if (st == EXIT_DONE && mbr_session_run(session, &err) != MBR_OK)
        st = fail_with(&err);
    if (st == EXIT_DONE && o->save)
        st = save_outputs(env, model, session, o->save);
    for (int i = 0; i < mbr_model_output_count(model) && st == EXIT_DONE && !o->save; i++) {
        mbr_port port = { .size = sizeof port };
        if (mbr_model_output(model, i, &port, &err) == MBR_OK)
            print_value(port.name, mbr_session_output(session, i), 0);
    }
    mbr_session_release(&session);
    return st;
}

static int run(const command_options *o)
{
    mbr_env *env = NULL;
    mbr_model *model = NULL;
    value_set set = { 0 };
    int st = open_env(o, &env);
    if (st == EXIT_DONE)
        st = open_model(o, env, o->positional[0], &model);
    if (st == EXIT_DONE && !value_set_new(&set, mbr_model_input_count(model)))
        st = EXIT_RESOURCES;
    if (st == EXIT_DONE)
        st = run_session(o, env, model, &set);
    value_set_free(&set);
    mbr_model_release(&model);
    mbr_env_release(&env);
    return st;
}

const command command_run = {
    .name = "run",
    .synopsis = "MODEL [--data DIR] [--input NAME=FILE]... [--save DIR] [options]",
    .what = "one inference",
    .help = "Without --save prints a summary of each output.\n",
    .accepts = OPT_DATA | OPT_INPUT | OPT_SAVE | OPT_THREADS | OPT_PASSES | OPT_PLACE,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
