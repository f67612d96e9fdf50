/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/command.h"

#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* Where to: -o, --cache, MBR_CACHE; NULL after saying so where there is none. */
static const char *place_of(const command_options *o)
{
    const char *place = o->output ? o->output : o->cache ? o->cache : getenv("MBR_CACHE");
    if (o->output && o->cache)
        fail_usage("-o and --cache: one of them will do");
    else if (o->output && !ends_with(o->output, ".mbrc"))
        fail_usage("-o %s: the name of such a file ends in .mbrc", o->output);
    else if (!place || !*place || strcmp(place, "off") == 0)
        fail_usage("where to? -o FILE, --cache DIR or MBR_CACHE says it");
    else
        return place;
    return NULL;
}

static void report(const command_options *o, const mbr_model_facts *f, double ms)
{
    const char *what = f->from_cache ? "was there" : "written";
    if (o->json) {
        printf("{\"file\": ");
        print_json_string(stdout, f->cache_entry);
        printf(", \"bytes\": %zu, \"packed_bytes\": %zu, \"written\": %s, \"ms\": %.3f}\n", f->cache_bytes,
               f->packed_bytes, f->from_cache ? "false" : "true", ms);
        return;
    }
    printf("%s: %s, %.1f MB (%.1f MB of packed weights), %.0f ms\n", f->cache_entry, what, (double)f->cache_bytes / 1e6,
           (double)f->packed_bytes / 1e6, ms);
}

static int run(const command_options *given)
{
    command_options o = *given;
    mbr_env *env = NULL;
    mbr_model *model = NULL;
    mbr_error err;
    mbr_model_facts facts = { .size = sizeof facts };
    o.cache = place_of(given);
    if (!o.cache)
        return EXIT_USAGE;
    o.progress = !o.json;
    int st = open_env(&o, &env);
    double t = now_ms();
    if (st == EXIT_DONE)
        st = open_model(&o, env, o.positional[0], &model);
    if (st == EXIT_DONE && mbr_model_get_facts(model, &facts, &err) != MBR_OK)
        st = fail_with(&err);
    if (st == EXIT_DONE && !facts.cache_entry) {
        say_error("%s: nothing was written to %s", o.positional[0], o.cache);
        st = EXIT_RESOURCES;
    } else if (st == EXIT_DONE) {
        report(&o, &facts, now_ms() - t);
    }
    mbr_model_release(&model);
    mbr_env_release(&env);
    return st;
}

const command command_compile = {
    .name = "compile",
    .synopsis = "MODEL [-o FILE | --cache DIR] [--threads N] [--verify] [--json] [options]",
    .what = "packs a model's weights ahead of time",
    .help = "Whatever opens the model with that cache (--cache, MBR_CACHE) starts without parsing and packing it.\n"
            "An entry holds for one version, CPU tier and choice of passes; any other is ignored and made anew.\n",
    .accepts = OPT_THREADS | OPT_PASSES | OPT_JSON | OPT_COMPILE,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
