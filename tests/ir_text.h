/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests that write graphs as text: parsing, printing, and running a program on random inputs. */
#ifndef MBR_TESTS_IR_TEXT_H
#define MBR_TESTS_IR_TEXT_H

#include "engine/frame.h"
#include "engine/passes/pass.h"
#include "engine/text.h"
#include "tests/random.h"

#include <check.h>
#include <string.h>

typedef struct ir_text {
    char *text;
    size_t size, room;
} ir_text;

static inline mbr_status ir_write(void *user, const char *text, size_t bytes)
{
    ir_text *t = user;
    if (t->size + bytes + 1 > t->room) {
        t->room = 2 * (t->size + bytes) + 256;
        t->text = realloc(t->text, t->room);
        ck_assert_ptr_nonnull(t->text);
    }
    memcpy(t->text + t->size, text, bytes);
    t->size += bytes;
    t->text[t->size] = '\0';
    return MBR_OK;
}

/* Freed with free(). */
static inline char *ir_print(const mbr_ir_module *m)
{
    ir_text t = { 0 };
    mbr_error err;
    ck_assert_msg(mbr_text_print(m, ir_write, &t, &err) == MBR_OK, "%s", err.text);
    return t.text;
}

static inline mbr_ir_module *ir_parse(mbr_memory *memory, const char *text)
{
    mbr_ir_module *m;
    mbr_error err;
    ck_assert_msg(mbr_text_parse(memory, NULL, text, strlen(text), &m, &err) == MBR_OK, "%s\n%.2000s", err.text, text);
    ck_assert_msg(mbr_ir_check(m, &err) == MBR_OK, "%s", err.text);
    return m;
}

static inline void ir_passes(mbr_ir_module *m, const char *passes)
{
    mbr_pass_set set;
    mbr_error err;
    ck_assert_msg(mbr_pass_set_parse(passes, &set, &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_passes_run(m, &set, NULL, &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_ir_check(m, &err) == MBR_OK, "%s", err.text);
}

/* --- a program in one session --- */

typedef struct ir_session {
    mbr_ir_module *m;
    mbr_program *p;
    mbr_run run; /* the frame points here: a session stays where it was opened */
    mbr_frame *f;
} ir_session;

/* Text through passes to a frame. */
static inline void ir_open(ir_session *s, mbr_memory *memory, mbr_team *team, const char *text, const char *passes)
{
    mbr_error err;
    s->m = ir_parse(memory, text);
    ir_passes(s->m, passes);
    ck_assert_msg(mbr_program_new(s->m->main, &s->p, &err) == MBR_OK, "%s", err.text);
    ck_assert_int_eq(mbr_run_init(&s->run, memory, team, team ? mbr_team_size(team) : 1, s->m, &err), MBR_OK);
    ck_assert_msg(mbr_frame_new(s->p, &s->run, &s->f, &err) == MBR_OK, "%s", err.text);
}

static inline void ir_close(ir_session *s)
{
    mbr_frame_free(s->f);
    mbr_run_destroy(&s->run);
    mbr_program_free(s->p);
    mbr_ir_module_free(s->m);
}

/* Values of input i at the given sizes of the symbols, by name; those that are not named are `other`. */
typedef struct ir_size {
    const char *name;
    int64_t size;
} ir_size;

/* The size of every expression of the module at those of the symbols; freed with free(). */
static inline int64_t *ir_dims(const mbr_ir_module *m, const ir_size *sizes, int64_t other)
{
    int64_t *dims = calloc(m->dims.n + 1, sizeof *dims);
    mbr_error err;
    ck_assert_ptr_nonnull(dims);
    for (size_t i = 0; i < m->dims.n; i++) {
        const mbr_dim_expr *e = &m->dims.exprs[i];
        if (e->op != MBR_DIM_SYMBOL)
            continue;
        dims[i] = other;
        for (const ir_size *s = sizes; s && s->name && e->name; s++)
            if (strcmp(s->name, e->name) == 0)
                dims[i] = s->size;
    }
    ck_assert_msg(mbr_dim_table_eval(&m->dims, m->main->scope, dims, &err) == MBR_OK, "%s", err.text);
    return dims;
}

static inline mbr_value *ir_input(mbr_memory *memory, const ir_session *s, size_t i, const ir_size *sizes, int64_t other)
{
    const mbr_ir_value *ir = s->m->main->inputs[i];
    int64_t dims[MBR_MAX_RANK], *all = ir_dims(s->m, sizes, other);
    mbr_value *v;
    mbr_error err;
    ck_assert_int_ge(ir->type.rank, 0);
    for (int d = 0; d < ir->type.rank; d++)
        dims[d] = mbr_dim_is_known(ir->type.dims[d]) ? mbr_dim_value(ir->type.dims[d], all) : other;
    free(all);
    ck_assert_msg(mbr_value_create_tensor(memory, ir->type.dtype, ir->type.rank, dims, &v, &err) == MBR_OK, "%s", err.text);
    for (size_t k = 0; k < mbr_value_count(v); k++)
        switch (v->dtype) {
        case MBR_DTYPE_F32:
            ((float *)v->data)[k] = random_real();
            break;
        case MBR_DTYPE_I64:
            ((int64_t *)v->data)[k] = random_below(3);
            break;
        case MBR_DTYPE_BOOL:
        case MBR_DTYPE_U8:
            ((uint8_t *)v->data)[k] = (uint8_t)random_below(2);
            break;
        default:
            ck_abort_msg("inputs of type %s are not made here", mbr_dtype_name(v->dtype));
        }
    return v;
}

static inline void ir_run(ir_session *s, mbr_value *const *inputs)
{
    mbr_error err;
    for (size_t i = 0; i < s->m->main->n_inputs; i++)
        ck_assert_msg(mbr_frame_bind(s->f, i, inputs[i], &err) == MBR_OK, "%s", err.text);
    ck_assert_msg(mbr_frame_run(s->f, &err) == MBR_OK, "%s", err.text);
}

/* Do two outputs agree? f32 within 1e-4 of the larger of 1 and the value, the rest bit by bit. */
static inline bool ir_close_enough(const mbr_value *a, const mbr_value *b)
{
    if (a->kind != MBR_KIND_TENSOR || a->dtype != MBR_DTYPE_F32)
        return mbr_value_equal(a, b);
    if (b->dtype != MBR_DTYPE_F32 || a->rank != b->rank ||
        (a->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0))
        return false;
    const float *x = a->data, *y = b->data;
    for (size_t i = 0; i < mbr_value_count(a); i++) {
        float d = x[i] - y[i], large = y[i] < 0 ? -y[i] : y[i];
        d = d < 0 ? -d : d;
        if (!(d <= 1e-4f * (large > 1 ? large : 1)) && !(x[i] != x[i] && y[i] != y[i]) && x[i] != y[i])
            return false;
    }
    return true;
}

#endif
