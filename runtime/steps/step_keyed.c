/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/steps/step_keyed.h"

#include <math.h>
#include <string.h>

#define DEFAULT_KEYS 10000

mbr_status mbr_keyed_column(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const mbr_string *name,
                            unsigned types, int *col)
{
    *col = mbr_scope_find(c->scope, name->data, name->size);
    if (*col < 0) {
        const char *near = mbr_scope_near(c->scope, name->data);
        return mbr_node_fail(&c->read, at, "step '%s': there is no column '%s' before it%s%s%s", s->name, name->data,
                             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    const mbr_col *found = &c->scope->cols[*col];
    if (!(types & MBR_TYPE_BIT(found->type)) || found->width != 1)
        return mbr_node_fail(&c->read, at, "step '%s': '%s' is a %s of %d values a row, which cannot be used here",
                             s->name,
                             found->name, mbr_col_type_name(found->type), found->width);
    return MBR_OK;
}

mbr_status mbr_keyed_duration(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const char *what,
                              const mbr_string *text, double *seconds)
{
    static const char units[] = "smhdw";
    static const double sizes[] = { 1, 60, 3600, 86400, 604800 };
    size_t n = text->size;
    const char *unit = n ? memchr(units, text->data[n - 1], sizeof units - 1) : NULL;
    if (!mbr_text_number(text->data, n - (unit != NULL), seconds) || !(*seconds > 0))
        return mbr_node_fail(&c->read, at, "step '%s': %s is a time such as 90s, 15m, 1h, 30d or 2w, not '%s'", s->name,
                             what, text->data);
    *seconds *= unit ? sizes[unit - units] : 1;
    return MBR_OK;
}

mbr_status mbr_keyed_compile(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, const mbr_key_params *p,
                             mbr_keyed *out)
{
    *out = (mbr_keyed){ .time = -1 };
    if (p->key.count > MBR_KEY_COLUMNS)
        return mbr_node_fail(&c->read, at, "step '%s': a key has at most %d columns", s->name, MBR_KEY_COLUMNS);
    for (size_t i = 0; i < p->key.count; i++)
        MBR_TRY(mbr_keyed_column(c, at, s, &p->key.items[i], MBR_TYPES_ANY, &out->cols[out->count++]));
    if (p->time.data)
        MBR_TRY(mbr_keyed_column(c, at, s, &p->time, MBR_TYPES_TIME | MBR_TYPES_NUMBER, &out->time));
    if (p->expire.data && out->time < 0)
        return mbr_node_fail(&c->read, at, "step '%s': 'expire' needs the key 'time'", s->name);
    if (p->keys < 0 || p->keys > (int64_t)MBR_STORE_MOST_KEYS || p->key_bytes < 0 || p->key_bytes > 4096 ||
        p->bytes < 0)
        return mbr_node_fail(&c->read, at, "step '%s': 'keys' is 1 to %zu, 'key_bytes' 1 to 4096, 'bytes' above 0",
                             s->name,
                             MBR_STORE_MOST_KEYS);
    out->limits = (mbr_store_limits){ .keys = p->keys ? (size_t)p->keys : out->count ? DEFAULT_KEYS : 1,
                                      .key_bytes = p->key_bytes ? (size_t)p->key_bytes : MBR_STORE_KEY_BYTES,
                                      .bytes = (size_t)p->bytes };
    if (p->expire.data)
        MBR_TRY(mbr_keyed_duration(c, at, s, "'expire'", &p->expire, &out->limits.expiry));
    return MBR_OK;
}

mbr_row_key mbr_keyed_key(const mbr_keyed *k, const mbr_step *s, mbr_rows *rows, int row, uint8_t *room)
{
    const mbr_row_key none = { NULL, 0 };
    mbr_row_key key = { room, 0 };
    for (int i = 0; i < k->count; i++) {
        const mbr_lane *lane = &rows->lanes[k->cols[i]];
        bool text = rows->cols[k->cols[i]].type == MBR_COL_STRING;
        double number = text ? 0 : lane->num[row] + 0.0; /* -0 is 0 */
        mbr_string part = { (const char *)&number, sizeof number };
        if (text)
            part = lane->str[row];
        if (!part.data || isnan(number))
            return none;
        size_t end = text && i + 1 < k->count; /* a zero, so that "ab" "c" is not "a" "bc" */
        if (part.size > k->limits.key_bytes || key.size + part.size + end > k->limits.key_bytes) {
            mbr_rows_fail(rows, row, "step '%s': the key has more than %zu bytes; give 'key_bytes: %zu' or more",
                          s->name,
                          k->limits.key_bytes, key.size + part.size + end);
            return none;
        }
        if (k->count == 1 && text)
            return (mbr_row_key){ part.data, part.size };
        memcpy(room + key.size, part.data, part.size);
        key.size += part.size;
        if (end)
            room[key.size++] = 0;
    }
    return key;
}

mbr_status mbr_keyed_save(const mbr_store *store, mbr_write_fn write, void *user, mbr_error *err)
{
    mbr_out out = { 0 };
    mbr_snapshot_begin(&out, store->memory);
    mbr_store_write(store, &out);
    mbr_status st = mbr_snapshot_end(&out, err);
    if (st == MBR_OK)
        st = write(user, (const char *)out.data, out.used);
    mbr_out_free(&out);
    return st;
}

mbr_status mbr_keyed_restore(const mbr_step *s, mbr_store *store, const void *bytes, size_t size, mbr_error *err)
{
    mbr_in in;
    MBR_TRY(mbr_snapshot_open(&in, bytes, size, s->name, err));
    MBR_TRY(mbr_store_read(store, &in, s->name, err));
    return mbr_snapshot_close(&in, s->name, err);
}
