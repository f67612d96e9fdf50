/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of mbr_value: what the public API hands out, what constants are, and what a step reads and writes.
 *
 * Storage: `data` is what to read and write. `own` is the block of data that the value itself owns (data then equals
 * own); where own is NULL, data lies in a slab, a mapped file or memory of the caller.
 * Text of strings: elements point to it; `text` (an arena) holds what the value itself owns. Within a run, elements
 * point into the run's arena, to constants or to the caller's values.
 * Room: a decoder's past has some behind each head, so that the next token's goes there. Only inputs of operators that
 * say so (mbr_op.roomy_inputs), what they append to, and states between runs have it; everything else is dense.
 * Containers hold references to items; an item in a container is never changed.
 */
#ifndef MBR_ENGINE_VALUE_H
#define MBR_ENGINE_VALUE_H

#include "base/error.h"
#include "base/memory.h"
#include "mbr/value.h"

#include <stdbool.h>

struct mbr_value {
    mbr_kind kind;
    mbr_dtype dtype;  /* of the tensor; of the items where they are tensors; of a map's values */
    mbr_dtype key;    /* map: dtype of the keys */
    int rank;         /* tensor */
    int64_t dims[MBR_MAX_RANK];
    void *data;       /* (dims), row-major, never NULL for a tensor with elements */
    int room_axis;    /* where room is set: */
    int64_t room;     /* the elements lie as if that axis had this many entries, which there is room for; 0: dense */
    size_t capacity;  /* bytes at data */
    void *own;
    mbr_arena text;
    mbr_value **items; /* sequence: any number; optional: 0 or 1; map: keys, values (1-D tensors of one length) */
    size_t n_items, items_capacity;
    mbr_memory *memory;
    atomic_int refs;   /* holders; a value inside a frame has one */
    const char *name;  /* NULL, or text that lives as long as the value */
    bool any_address;  /* a constant in the file's bytes, perhaps not aligned to its elements; see mbr_ir_align */
};

/* Entries of the axis that there is memory for. */
static inline size_t mbr_value_entries(const mbr_value *v, int axis)
{
    return (size_t)(v->room && v->room_axis == axis ? v->room : v->dims[axis]);
}

/* --- life --- */

/* A fresh value with one reference and no storage: a tensor of rank 0 without data, or an empty container. */
mbr_status mbr_value_create(mbr_memory *memory, mbr_kind kind, mbr_dtype dtype, mbr_value **out, mbr_error *err);

/* The same in place, for values embedded in frames; mbr_value_clear frees what it owns. */
void mbr_value_init(mbr_value *v, mbr_memory *memory, mbr_kind kind, mbr_dtype dtype);
void mbr_value_clear(mbr_value *v);

/* A tensor with its own zeroed storage. */
mbr_status mbr_value_create_tensor(mbr_memory *memory, mbr_dtype dtype, int rank, const int64_t *dims, mbr_value **out,
                                   mbr_error *err);

mbr_value *mbr_value_retain(mbr_value *v);
void mbr_value_drop(mbr_value *v); /* one reference less; NULL is fine */

/* --- tensors --- */

size_t mbr_value_count(const mbr_value *v);                                       /* elements; dims were checked */
static inline size_t mbr_value_bytes(const mbr_value *v)
{
    return mbr_value_count(v) * mbr_dtype_size(v->dtype);
}

/* Bytes that a shape needs; fails on negative dimensions, rank beyond MBR_MAX_RANK and overflow. */
mbr_status mbr_shape_bytes(mbr_dtype dtype, int rank, const int64_t *dims, size_t *bytes, mbr_error *err);

/*
 * Gives an owning tensor a dtype and shape; storage grows geometrically when it must and never shrinks. New elements
 * are not cleared, except strings, which become empty. Content is lost when the storage moves.
 */
mbr_status mbr_value_resize(mbr_value *v, mbr_dtype dtype, int rank, const int64_t *dims, mbr_error *err);

/* Makes v show the data of another tensor (no storage of its own is used; own is kept for later). */
void mbr_value_alias(mbr_value *v, const mbr_value *of);

/* Takes the room out: what v owns becomes dense, in place. */
void mbr_value_close_up(mbr_value *v);

/* Deep copies: from's content into to (which keeps its storage where it suffices). Text is copied into to->text. */
mbr_status mbr_value_assign(mbr_value *to, const mbr_value *from, mbr_error *err);

/* Same kind, dtype, shape and bits (NaN by bits, strings by bytes). */
bool mbr_value_equal(const mbr_value *a, const mbr_value *b);

/* Reads element i of an integer or bool tensor. */
int64_t mbr_value_int(const mbr_value *v, size_t i);
/* Reads element i of any real numeric tensor as double. */
double mbr_value_real(const mbr_value *v, size_t i);
bool mbr_dtype_is_int(mbr_dtype t);   /* signed and unsigned integers of every width; not bool */
bool mbr_dtype_is_float(mbr_dtype t); /* f64, f32, f16, bf16, float8, float4 */

/* --- containers --- */

/* Appends a reference (retained). Capacity grows geometrically. */
mbr_status mbr_value_push(mbr_value *container, mbr_value *item, mbr_error *err);
/* Drops all items; keeps the room. */
void mbr_value_empty(mbr_value *container);

#endif
