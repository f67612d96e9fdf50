/* SPDX-License-Identifier: BSD-2-Clause */
/* Tensor columns at the model: cells of several rows stacked into one input, padded where they differ, and outputs cut
 * into cells again. */
#include "runtime/pipeline/decider.h"

#include "base/checked.h"
#include "runtime/pipeline/element.h"

#include <string.h>

/* ---- in ---- */

/* Dimensions of a row in a feed; -1: unknown. */
static int row_rank(const mbr_feed *feed)
{
    return feed->rank < 0 ? -1 : feed->rank - feed->batched;
}

/* Whether a cell has a shape that the input can take, as it is or padded. */
static bool fits(const mbr_feed *feed, const mbr_cell *cell)
{
    const int64_t *want = feed->dims + feed->batched;
    int rank = row_rank(feed);
    if (rank >= 0 && cell->rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (want[i] >= 0 && cell->dims[i] != want[i] && !(feed->padded && cell->dims[i] < want[i]))
            return false;
    return true;
}

void mbr_decider_check_cells(mbr_decider *d, const mbr_feed *feed)
{
    mbr_rows *rows = &d->rows;
    const mbr_col *col = &rows->cols[feed->from[0]];
    bool convert = col->dtype != feed->dtype && !mbr_element_real(feed->dtype);
    for (int i = 0; i < rows->count; i++) {
        const mbr_cell *cell = &rows->lanes[feed->from[0]].cell[i];
        if (rows->fault[i])
            continue;
        if (!cell->data) {
            mbr_decider_lacks(d, feed, col, i);
            continue;
        }
        if (!fits(feed, cell)) {
            char have[160], want[160];
            mbr_shape_text(col->dtype, cell->rank, cell->dims, have, sizeof have);
            mbr_shape_text(feed->dtype, row_rank(feed), feed->dims + feed->batched, want, sizeof want);
            mbr_rows_fail(rows, i, "column '%s' is a tensor %s, and the model's input '%s' takes %s a row", col->name,
                          have, feed->name, want);
            continue;
        }
        size_t n = convert ? mbr_cell_count(cell) : 0;
        for (size_t k = 0; k < n && !rows->fault[i]; k++) {
            double x = mbr_element_load(col->dtype, cell->data, k);
            if (!mbr_element_holds(feed->dtype, x))
                mbr_rows_fail(rows, i, "column '%s': %.17g does not fit the model's input '%s' of %s", col->name, x,
                              feed->name, mbr_dtype_name(feed->dtype));
        }
    }
}

bool mbr_decider_alike(const mbr_decider *d, int a, int b)
{
    for (int i = 0; i < d->pipeline->feed_count; i++) {
        const mbr_feed *feed = &d->pipeline->feeds[i];
        if (!feed->tensor)
            continue;
        const mbr_cell *cells = d->rows.lanes[feed->from[0]].cell;
        if (cells[a].rank != cells[b].rank)
            return false;
        size_t bytes = (size_t)cells[a].rank * sizeof cells[a].dims[0];
        if (!feed->padded && memcmp(cells[a].dims, cells[b].dims, bytes) != 0)
            return false;
    }
    return !d->streams || mbr_streams_alike(d->streams, a, b);
}

static mbr_status copy_elements(mbr_value *tensor, size_t to, mbr_dtype from_type, const void *data, size_t from,
                                size_t n, mbr_error *err)
{
    mbr_dtype type = mbr_tensor_dtype(tensor);
    char *out = mbr_tensor_data(tensor);
    size_t one = mbr_dtype_size(type);
    if (type == MBR_DTYPE_STRING) {
        const mbr_string *s = (const mbr_string *)data + from;
        for (size_t i = 0; i < n; i++)
            MBR_TRY(mbr_tensor_set_string(tensor, to + i, s[i].data, s[i].size, err));
    } else if (type == from_type) {
        memcpy(out + to * one, (const char *)data + from * one, n * one);
    } else {
        for (size_t i = 0; i < n; i++)
            mbr_element_store(type, out, to + i, mbr_element_load(from_type, data, from + i));
    }
    return MBR_OK;
}

/* Copies a cell to element `base` of a tensor, whose rows have the shape dims: line by line where it is larger. */
static mbr_status place_cell(mbr_value *tensor, size_t base, const int64_t *dims, mbr_dtype type, const mbr_cell *cell,
                             mbr_error *err)
{
    size_t count = mbr_cell_count(cell);
    size_t line = cell->rank ? (size_t)cell->dims[cell->rank - 1] : 1;
    if (!count || memcmp(dims, cell->dims, (size_t)cell->rank * sizeof *dims) == 0)
        return count ? copy_elements(tensor, base, type, cell->data, 0, count, err) : MBR_OK;
    for (size_t from = 0; from < count; from += line) {
        size_t to = 0, step = 1, at = from / line;
        for (int i = cell->rank - 1; i >= 0; i--) {
            if (i < cell->rank - 1) {
                to += at % (size_t)cell->dims[i] * step;
                at /= (size_t)cell->dims[i];
            }
            step *= (size_t)dims[i];
        }
        MBR_TRY(copy_elements(tensor, base + to, type, cell->data, from, line, err));
    }
    return MBR_OK;
}

mbr_status mbr_decider_feed_cells(mbr_decider *d, const mbr_feed *feed, mbr_value *tensor, const int *which, int n,
                                  mbr_error *err)
{
    const mbr_cell *cells = d->rows.lanes[feed->from[0]].cell;
    mbr_dtype type = d->rows.cols[feed->from[0]].dtype;
    int64_t dims[MBR_MAX_RANK], *row = dims + feed->batched;
    int rank = cells[which[0]].rank;
    size_t one = 1;
    bool differ = false;
    if (rank + feed->batched > MBR_MAX_RANK)
        return mbr_fail(err, MBR_ERR_RUN, "input '%s' of the model would have more than %d dimensions", feed->name,
                        MBR_MAX_RANK);
    dims[0] = n;
    for (int k = 0; k < rank; k++) {
        row[k] = cells[which[0]].dims[k];
        for (int i = 0; feed->padded && i < n; i++)
            row[k] = cells[which[i]].dims[k] > row[k] ? cells[which[i]].dims[k] : row[k];
        if (feed->rank >= 0 && feed->dims[feed->batched + k] >= 0)
            row[k] = feed->dims[feed->batched + k];
        for (int i = 0; i < n; i++)
            differ |= cells[which[i]].dims[k] != row[k];
    }
    if (!mbr_shape_count(row, rank, &one))
        return mbr_fail(err, MBR_ERR_RUN, "input '%s' of the model would be too large", feed->name);
    MBR_TRY(mbr_tensor_set_shape(tensor, rank + feed->batched, dims, err));
    for (size_t k = 0; differ && k < one * (size_t)n; k++)
        mbr_element_store(feed->dtype, mbr_tensor_data(tensor), k, feed->pad);
    for (int i = 0; i < n; i++)
        MBR_TRY(place_cell(tensor, (size_t)i * one, row, type, &cells[which[i]], err));
    return MBR_OK;
}

/* ---- out ---- */

static mbr_status take_cell(mbr_decider *d, const mbr_fetch *fetch, int row, int rank, const int64_t *dims,
                            const char *data, mbr_error *err)
{
    const mbr_col *col = &d->rows.cols[fetch->col];
    bool as_promised = col->rank < 0 || rank == col->rank;
    for (int k = 0; as_promised && k < col->rank; k++)
        as_promised = col->dims[k] < 0 || dims[k] == col->dims[k];
    if (!as_promised)
        return mbr_fail(err, MBR_ERR_RUN, "output '%s' of the model has another shape than the model says",
                        fetch->name);
    void *to = mbr_rows_cell(&d->rows, row, fetch->col, rank, dims);
    size_t count = to ? mbr_cell_count(&d->rows.lanes[fetch->col].cell[row]) : 0;
    if (col->dtype == MBR_DTYPE_STRING)
        for (size_t i = 0; i < count; i++) {
            const mbr_string *s = (const mbr_string *)(const void *)data + i;
            ((mbr_string *)to)[i] = mbr_decider_keep_text(d, row, s->data, s->size);
        }
    else if (count)
        memcpy(to, data, count * mbr_dtype_size(col->dtype));
    return MBR_OK;
}

mbr_status mbr_decider_take_cells(mbr_decider *d, const mbr_fetch *fetch, const mbr_value *v, const int *which, int n,
                                  mbr_error *err)
{
    const int64_t *dims = mbr_tensor_dims(v);
    mbr_dtype dtype = d->rows.cols[fetch->col].dtype;
    int rank = mbr_tensor_rank(v);
    if (mbr_tensor_dtype(v) != dtype)
        return mbr_fail(err, MBR_ERR_RUN, "output '%s' of the model came as %s", fetch->name,
                        mbr_dtype_name(mbr_tensor_dtype(v)));
    if (fetch->whole)
        return take_cell(d, fetch, which[0], rank, dims, mbr_tensor_const_data(v), err);
    if (rank < 1 || dims[0] != n)
        return mbr_fail(err, MBR_ERR_RUN, "output '%s' of the model came with another first dimension than the %d rows "
                        "of the batch; say 'tensor: whole' where it has none for rows", fetch->name, n);
    size_t bytes = mbr_tensor_bytes(v) / (size_t)n;
    for (int i = 0; i < n; i++)
        MBR_TRY(take_cell(d, fetch, which[i], rank - 1, dims + 1,
                          (const char *)mbr_tensor_const_data(v) + (size_t)i * bytes, err));
    return MBR_OK;
}
