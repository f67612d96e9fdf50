/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/command.h"

#include <string.h>

static void print_shape(const mbr_port *p)
{
    if (p->rank < 0) {
        printf("[...]");
        return;
    }
    printf("[");
    for (int d = 0; d < p->rank; d++) {
        printf("%s", d ? ", " : "");
        if (p->dims[d] >= 0)
            printf("%lld", (long long)p->dims[d]);
        else
            printf("%s", p->symbols[d] ? p->symbols[d] : "?");
    }
    printf("]");
}

static void print_port(const char *what, const mbr_port *p)
{
    static const char *const kinds[] = { "", "sequence of ", "optional ", "map to " };
    printf("%-7s %s: %s%s", what, p->name, kinds[p->kind], mbr_dtype_name(p->dtype));
    if (p->kind == MBR_KIND_TENSOR)
        print_shape(p);
    printf("%s\n", p->optional ? " (has a default)" : "");
}

static void json_port(const mbr_port *p)
{
    static const char *const kinds[] = { "tensor", "sequence", "optional", "map" };
    printf("{\"name\": ");
    print_json_string(stdout, p->name);
    printf(", \"kind\": \"%s\", \"dtype\": \"%s\", \"optional\": %s, \"shape\": ", kinds[p->kind],
           mbr_dtype_name(p->dtype), p->optional ? "true" : "false");
    if (p->rank < 0) {
        printf("null}");
        return;
    }
    printf("[");
    for (int d = 0; d < p->rank; d++) {
        printf("%s", d ? ", " : "");
        if (p->dims[d] >= 0)
            printf("%lld", (long long)p->dims[d]);
        else
            print_json_string(stdout, p->symbols[d] ? p->symbols[d] : "?");
    }
    printf("]}");
}

static void text_op(void *user, const char *domain, const char *name, int since, size_t nodes)
{
    (void)user;
    printf("  %6zu  %s.%s (since version %d)\n", nodes, domain, name, since);
}

static void json_op(void *user, const char *domain, const char *name, int since, size_t nodes)
{
    bool *first = user;
    printf("%s{\"domain\": \"%s\", \"name\": \"%s\", \"since\": %d, \"nodes\": %zu}", *first ? "" : ", ", domain, name,
           since, nodes);
    *first = false;
}

/* --- where steps run --- */

static void json_step(void *user, const mbr_placed_step *s)
{
    bool *first = user;
    if (s->on_device)
        return;
    printf("%s{\"op\": \"%s\", \"node\": ", *first ? "" : ", ", s->op);
    print_json_string(stdout, s->node);
    printf(", \"flop\": %.0f, \"why\": ", s->flop);
    print_json_string(stdout, s->why);
    printf("}");
    *first = false;
}

static void text_step(void *user, const mbr_placed_step *s)
{
    (void)user;
    if (!s->on_device)
        printf("  %s '%s'%s%s\n", s->op, s->node, *s->why ? ": " : "", s->why);
}

/* With free dimensions at 1, or at the first size that the model can have. */
static bool get_placement(const mbr_model *m, mbr_placement *p, mbr_placed_step_fn fn, void *user)
{
    static const int64_t sizes[] = { 1, 2, 16, 64, 224 };
    mbr_error err;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (mbr_model_get_placement(m, sizes[i], p, fn, user, &err) == MBR_OK)
            return true;
    return false;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void text_placement(const command_options *o, const mbr_model *m)
{
    mbr_placement p = { .size = sizeof p };
    if (!o->device || strcmp(o->device, "cpu") == 0 || !get_placement(m, &p, NULL, NULL))
        return;
    printf("%s: %zu of %zu steps, %.2f %% of the arithmetic%s\n", p.device, p.device_steps, p.steps,
           100 * share(p.device_flop, p.flop), p.device_steps < p.steps ? "; on the CPU:" : "");
    get_placement(m, &p, text_step, NULL);
}

static void json_placement(const command_options *o, const mbr_model *m)
{
    mbr_placement p = { .size = sizeof p };
    bool first = true;
    if (!o->device || strcmp(o->device, "cpu") == 0 || !get_placement(m, &p, NULL, NULL)) {
        printf("\"device\": \"cpu\", ");
        return;
    }
    printf("\"device\": \"%s\", \"placement\": {\"steps\": %zu, \"steps_on_device\": %zu, \"flop\": %.0f, "
           "\"flop_on_device\": %.0f, \"share\": %.6f, \"off_device\": [", p.device, p.steps, p.device_steps, p.flop,
           p.device_flop, share(p.device_flop, p.flop));
    get_placement(m, &p, json_step, &first);
    printf("]}, ");
}

static void print_text(const command_options *o, const mbr_model *m, const mbr_model_facts *f)
{
    mbr_error err;
    printf("producer %s, IR version %d, opset %d\n", *f->producer ? f->producer : "?", f->ir_version, f->opset);
    for (int i = 0; i < mbr_model_input_count(m); i++) {
        mbr_port p = { .size = sizeof p };
        if (mbr_model_input(m, i, &p, &err) == MBR_OK)
            print_port("input", &p);
    }
    for (int i = 0; i < mbr_model_output_count(m); i++) {
        mbr_port p = { .size = sizeof p };
        if (mbr_model_output(m, i, &p, &err) == MBR_OK)
            print_port("output", &p);
    }
    printf("%zu nodes in the file, %zu steps:\n", f->nodes, f->steps);
    mbr_model_each_op(m, text_op, NULL);
    printf("memory: weights in the file %.2f MB, packed %.2f MB, activations %.2f MB with free dimensions at 1\n",
           (double)f->weight_bytes / 1e6, (double)f->packed_bytes / 1e6, (double)f->activation_bytes / 1e6);
    text_placement(o, m);
}

static void print_json(const command_options *o, const mbr_model *m, const mbr_model_facts *f)
{
    mbr_error err;
    bool first = true;
    printf("{\"producer\": ");
    print_json_string(stdout, f->producer);
    printf(", \"ir_version\": %d, \"opset\": %d, \"inputs\": [", f->ir_version, f->opset);
    for (int i = 0; i < mbr_model_input_count(m); i++) {
        mbr_port p = { .size = sizeof p };
        if (mbr_model_input(m, i, &p, &err) != MBR_OK)
            continue;
        printf("%s", i ? ", " : "");
        json_port(&p);
    }
    printf("], \"outputs\": [");
    for (int i = 0; i < mbr_model_output_count(m); i++) {
        mbr_port p = { .size = sizeof p };
        if (mbr_model_output(m, i, &p, &err) != MBR_OK)
            continue;
        printf("%s", i ? ", " : "");
        json_port(&p);
    }
    printf("], \"nodes\": %zu, \"steps\": %zu, ", f->nodes, f->steps);
    json_placement(o, m);
    printf("\"operators\": [");
    mbr_model_each_op(m, json_op, &first);
    printf("], \"memory\": {\"weights\": %zu, \"packed\": %zu, \"activations\": %zu, \"copies\": %zu}}\n", f->weight_bytes,
           f->packed_bytes, f->activation_bytes, f->replica_bytes);
}

static int run(const command_options *o)
{
    mbr_env *env = NULL;
    mbr_model *model = NULL;
    mbr_error err;
    mbr_model_facts facts = { .size = sizeof facts };
    int st = open_env(o, &env);
    if (st == EXIT_DONE)
        st = open_model(o, env, o->positional[0], &model);
    if (st == EXIT_DONE && mbr_model_get_facts(model, &facts, &err) != MBR_OK)
        st = fail_with(&err);
    if (st == EXIT_DONE)
        o->json ? print_json(o, model, &facts) : print_text(o, model, &facts);
    mbr_model_release(&model);
    mbr_env_release(&env);
    return st;
}

const command command_info = {
    .name = "info",
    .synopsis = "MODEL [--json] [options]",
    .what = "inputs, outputs, operators, sizes and the memory bill of a model",
    .help = "Operators are those of the file; `mbr dump` shows what the passes made of them.\n",
    .accepts = OPT_JSON | OPT_PASSES | OPT_THREADS | OPT_PLACE,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};

/* --- mbr ops --- */

static void list_op(void *user, const mbr_op_row *row)
{
    const command_options *o = user;
    static bool first = true;
    const char *between = "";
    if (o->json)
        printf("%s{\"domain\": \"%s\", \"name\": \"%s\", \"since\": %d, \"until\": %d, \"inputs\": [%d, %d], "
               "\"kernels\": \"%s\", \"tiers\": \"%s\", \"types\": [",
               first ? "[" : ",\n ", row->domain, row->name, row->since, row->until, row->min_inputs, row->max_inputs,
               row->kernels, row->tiers);
    else
        printf("%s.%s since %d", row->domain, row->name, row->since);
    first = false;
    if (!o->json && row->until)
        printf(" until %d", row->until);
    if (!o->json)
        printf(*row->tiers ? " [%s: %s]" : " [%s]", row->kernels, row->tiers);
    if (!o->json && row->types)
        printf(":");
    for (int t = 1; t < MBR_DTYPE_COUNT; t++)
        if (row->types >> t & 1) {
            printf(o->json ? "%s\"%s\"" : "%s %s", between, mbr_dtype_name((mbr_dtype)t));
            between = o->json ? ", " : "";
        }
    printf(o->json ? "]}" : "\n");
}

static int run_ops(const command_options *o)
{
    mbr_env *env = NULL;
    mbr_error err;
    int st = open_env(o, &env);
    if (st == EXIT_DONE && mbr_env_each_op(env, list_op, (void *)o, &err) != MBR_OK)
        st = fail_with(&err);
    if (o->json && st == EXIT_DONE)
        puts("]");
    mbr_env_release(&env);
    return st;
}

const command command_ops = {
    .name = "ops",
    .synopsis = "[--json] [options]",
    .what = "lists the operators that this build knows: the versions that changed their meaning, kernels, types",
    .help = "In brackets: the family of kernels that does most of the work and the instruction sets that it is there for;\n"
            "ref: plain C; parts: it is made of other operators. After the colon: types of input 0, left out where they\n"
            "depend on attributes.\n",
    .accepts = OPT_JSON | OPT_THREADS,
    .min_positional = 0,
    .max_positional = 0,
    .run = run_ops,
};

/* --- mbr dump --- */

static mbr_status write_text(void *user, const char *text, size_t bytes)
{
    (void)user;
    return fwrite(text, 1, bytes, stdout) == bytes ? MBR_OK : MBR_ERR_IO;
}

static int run_dump(const command_options *o)
{
    mbr_env *env = NULL;
    mbr_model *model = NULL;
    mbr_error err;
    int st = open_env(o, &env);
    if (st == EXIT_DONE)
        st = open_model_afresh(o, env, o->positional[0], &model);
    if (st == EXIT_DONE && mbr_model_dump(model, o->stage, write_text, NULL, &err) != MBR_OK)
        st = fail_with(&err);
    mbr_model_release(&model);
    mbr_env_release(&env);
    return st;
}

const command command_dump = {
    .name = "dump",
    .synopsis = "MODEL [--stage PASS] [options]",
    .what = "prints a model's graph as text, after all passes or after one",
    .help = "An unknown pass name lists the passes.\n",
    .accepts = OPT_STAGE | OPT_PASSES | OPT_THREADS,
    .min_positional = 1,
    .max_positional = 1,
    .run = run_dump,
};
