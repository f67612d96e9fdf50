/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs steps of a pipeline on columns from a file, without pipeline or model: what tests/tabular_equal.py compares.
 *
 *     run_steps STEPS.yaml COLUMNS OUT
 *
 * STEPS.yaml is a list of steps. COLUMNS: for each column a line "number NAME WIDTH ROWS" and its values as doubles, or
 * "string NAME 1 ROWS" and a line for each row, in which a single byte 1 is missing. OUT gets "NAME WIDTH" and the
 * doubles of each step, or its texts likewise. The kinds are those that need no environment.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/steps/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_COLUMNS 256

#ifdef HAVE_YAML

static mbr_lane lanes[MOST_COLUMNS];
static mbr_memory memory;
static mbr_arena arena;
static mbr_scope scope = { .arena = &arena };
static mbr_rows rows = { .lanes = lanes };
static mbr_error err;

static void quit(const char *why)
{
    fprintf(stderr, "run_steps: %s\n", why);
    exit(2);
}

static void *room(size_t count, size_t size)
{
    void *p = mbr_arena_calloc(&arena, count ? count : 1, size);
    if (!p)
        quit("out of memory");
    return p;
}

static void add_lane(int index)
{
    if (index >= MOST_COLUMNS)
        quit("too many columns");
    rows.cols = scope.cols;
    lanes[index].num = room((size_t)rows.capacity, mbr_col_bytes(&scope.cols[index]));
}

static void read_column(FILE *f, const char *type, const char *name, int width, int count)
{
    mbr_col col = { .name = mbr_arena_strdup(&arena, name), .width = width, .line = 1,
                    .type = strcmp(type, "string") == 0 ? MBR_COL_STRING
                            : strcmp(type, "time") == 0 ? MBR_COL_TIME
                                                        : MBR_COL_NUMBER };
    int index;
    char line[4096];
    rows.count = rows.capacity = count;
    if (mbr_scope_add(&scope, &col, &index, &err) != MBR_OK)
        quit(err.text);
    add_lane(index);
    if (col.type != MBR_COL_STRING) {
        size_t n = (size_t)width * (size_t)count;
        if (fread(lanes[index].num, sizeof(double), n, f) != n)
            quit("a column is cut short");
        return;
    }
    for (int i = 0; i < count; i++) {
        if (!fgets(line, sizeof line, f))
            quit("a column is cut short");
        size_t n = strcspn(line, "\n");
        if (n != 1 || line[0] != 1)
            lanes[index].str[i] = (mbr_string){ mbr_arena_strndup(&arena, line, n), n };
    }
}

static void read_columns(const char *path)
{
    FILE *f = fopen(path, "rb");
    char line[256], type[16], name[64];
    int width, count;
    if (!f)
        quit("the columns cannot be opened");
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%15s %63s %d %d", type, name, &width, &count) != 4)
            quit("a line that is no column's");
        read_column(f, type, name, width, count);
    }
    fclose(f);
    rows.fault = room((size_t)rows.capacity, sizeof *rows.fault);
}

static const char *read_text(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    char *text = room(1, MBR_PIPELINE_BYTES + 1);
    if (!f)
        quit("the steps cannot be opened");
    *bytes = fread(text, 1, MBR_PIPELINE_BYTES + 1, f);
    fclose(f);
    return text;
}

static void write_column(FILE *out, int index)
{
    const mbr_col *col = &scope.cols[index];
    fprintf(out, "%s %d\n", col->name, col->width);
    if (col->type != MBR_COL_STRING)
        fwrite(lanes[index].num, sizeof(double), (size_t)rows.count * (size_t)col->width, out);
    for (int i = 0; col->type == MBR_COL_STRING && i < rows.count; i++)
        fprintf(out, "%.*s\n", (int)lanes[index].str[i].size, lanes[index].str[i].data);
}

int main(int argc, char **argv)
{
    size_t bytes;
    mbr_node *list;
    if (argc != 4)
        quit("STEPS.yaml COLUMNS OUT are due");
    mbr_memory_init(&memory);
    mbr_arena_init(&arena, &memory, 0);
    mbr_pool_init(&rows.pool, &memory);
    read_columns(argv[2]);
    mbr_compiling c = { .read = { .arena = &arena, .file = argv[1], .err = &err }, .scope = &scope };
    const char *text = read_text(argv[1], &bytes);
    if (mbr_yaml_read(&c.read, text, bytes, &list) != MBR_OK)
        quit(err.text);
    FILE *out = fopen(argv[3], "wb");
    if (!out)
        quit("the output cannot be written");
    for (size_t i = 0; i < list->count; i++) {
        mbr_step step;
        if (mbr_step_compile(&c, list->items[i], &step) != MBR_OK)
            quit(err.text);
        for (int k = 0; k < step.out_count; k++)
            add_lane(step.outs[k]);
        step.kind->run(&step, &rows);
        for (int k = 0; k < step.out_count; k++)
            write_column(out, step.outs[k]);
    }
    for (int i = 0; i < rows.count; i++)
        if (rows.fault[i])
            printf("row %d: %s\n", i, rows.fault[i]);
    bool written = fclose(out) == 0;
    mbr_pool_destroy(&rows.pool);
    mbr_arena_destroy(&arena);
    return written ? 0 : 2;
}

#else

int main(void)
{
    printf("built without libyaml\n");
    return 77;
}

#endif
