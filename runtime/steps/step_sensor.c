/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps over the latest samples of a key: window, lag, rolling, fft_bands, resample. With `period` the samples are the
 * points of a grid that rows settle, else the rows themselves. All but resample also read a tensor, which has the
 * samples of a row in it, and then remember nothing.
 */
#include "runtime/keyed/series.h"
#include "runtime/pipeline/element.h"
#include "runtime/steps/step_keyed.h"

#include "base/checked.h"

#include <math.h>
#include <string.h>

/* The most values that a key keeps, and samples of a tensor. */
#define MOST_VALUES ((int64_t)1 << 22)
/* What `hop` and `axis` are that nobody gave. */
#define NOT_GIVEN (-0x40000000)

/* What all of them have; the first member of each kind's parameters. */
typedef struct sensor_params {
    mbr_key_params key_params;
    mbr_string period_text, max_gap_text;
    int method;
    mbr_keyed keyed; /* made by compile, as all below */
    double period, max_gap;
    int64_t length, hop, axis;
    int channels;
    bool tensor; /* the samples are those of a tensor, along its dimension `axis` */
} sensor_params;

#define SENSOR_PARAMS(of, time_required) \
    MBR_KEY_PARAMS(of, sensor.key_params, false, time_required), \
    { .name = "max_gap", .type = MBR_PARAM_STRING, .offset = offsetof(of, sensor.max_gap_text) }, \
    { .name = "period", .type = MBR_PARAM_STRING, .offset = offsetof(of, sensor.period_text) }, \
    { .name = "method", .type = MBR_PARAM_CHOICE, .words = "linear|previous", .preset = MBR_RESAMPLE_LINEAR, \
      .offset = offsetof(of, sensor.method) }

/* Of those that read tensors, too. */
#define SAMPLE_PARAMS(of) \
    SENSOR_PARAMS(of, false), \
    { .name = "axis", .type = MBR_PARAM_INT, .preset = NOT_GIVEN, .offset = offsetof(of, sensor.axis) }
#define LENGTH_PARAM(of) { .name = "length", .type = MBR_PARAM_INT, .offset = offsetof(of, sensor.length) }
#define HOP_PARAM(of) { .name = "hop", .type = MBR_PARAM_INT, .preset = NOT_GIVEN, .offset = offsetof(of, sensor.hop) }

/* any: without a length it is all the samples that a row has; other kinds have to know how many these are. */
static mbr_status compile_tensor(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, bool any)
{
    sensor_params *p = s->params;
    const mbr_key_params *k = &p->key_params;
    const mbr_col *col = &c->scope->cols[s->from[0]];
    char shape[128];
    mbr_shape_text(col->dtype, col->rank, col->dims, shape, sizeof shape);
    if (s->from_count > 1)
        return mbr_node_fail(&c->read, at, "step '%s' reads one tensor or numbers, and '%s' is not the only one of "
                             "its columns", s->name, col->name);
    bool by_row = k->key.count || k->time.data || k->expire.data || k->keys || k->key_bytes || k->bytes;
    if (by_row || p->period_text.data || p->max_gap_text.data)
        return mbr_node_fail(&c->read, at, "step '%s': '%s' is a tensor, which has the samples of its row in it; take "
                             "'key', 'time' and what else is of samples that come row by row away", s->name, col->name);
    if (!mbr_element_numeric(col->dtype) || col->rank < 1 || col->rank > 2)
        return mbr_node_fail(&c->read, at, "step '%s': '%s' is %s; samples are numbers in a tensor of one dimension, "
                             "or of two", s->name, col->name, shape);
    p->axis = p->axis == NOT_GIVEN ? 0 : p->axis;
    if (p->axis < 0 || p->axis >= col->rank)
        return mbr_node_fail(&c->read, at, "step '%s': 'axis' is the dimension of '%s', %s, along which its samples "
                             "lie, from 0", s->name, col->name, shape);
    int64_t channels = col->rank == 1 ? 1 : col->dims[!p->axis], samples = col->dims[p->axis];
    if (channels < 1 || channels > MBR_MAX_WIDTH)
        return mbr_node_fail(&c->read, at, "step '%s': '%s' is %s; it must have 1 to %d channels, the same number in "
                             "every row", s->name, col->name, shape, MBR_MAX_WIDTH);
    if (!p->length && samples > 0 && p->hop == NOT_GIVEN)
        p->length = samples;
    if (!p->length && (!any || p->hop != NOT_GIVEN))
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'length', a number of samples: '%s' is %s", s->name,
                             col->name, shape);
    if (p->length < 0 || p->length > MOST_VALUES || (samples >= 0 && p->length > samples))
        return mbr_node_fail(&c->read, at, "step '%s' would look at %lld samples; '%s' is %s, and 1 to %lld are due",
                             s->name, (long long)p->length, col->name, shape,
                             (long long)(samples >= 0 ? samples : MOST_VALUES));
    p->channels = (int)channels;
    return MBR_OK;
}

/* A number above 0, or none. */
static mbr_status check_hop(const mbr_compiling *c, const mbr_node *at, const mbr_step *s)
{
    const sensor_params *p = s->params;
    if (p->hop != NOT_GIVEN && p->hop < 1)
        return mbr_node_fail(&c->read, at, "step '%s': 'hop' is 1 or more samples", s->name);
    return MBR_OK;
}

/* Of kinds that give something for every row that is a sample. */
static mbr_status tensor_hop(const mbr_compiling *c, const mbr_node *at, const mbr_step *s)
{
    const sensor_params *p = s->params;
    MBR_TRY(check_hop(c, at, s));
    if (p->hop != NOT_GIVEN && c->scope->cols[s->from[0]].type != MBR_COL_TENSOR)
        return mbr_node_fail(&c->read, at, "step '%s': 'hop' is of the samples in a tensor, and '%s' is none", s->name,
                             c->scope->cols[s->from[0]].name);
    return MBR_OK;
}

/* Numbers, width of them; of a tensor with a hop a tensor of as many for each place. */
static mbr_status compile_results(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, size_t each,
                                  mbr_col *out)
{
    const sensor_params *p = s->params;
    if (each > MBR_MAX_WIDTH / (size_t)p->channels)
        return mbr_node_fail(&c->read, at, "step '%s' would make more than %d values a row", s->name, MBR_MAX_WIDTH);
    int width = p->channels * (int)each;
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_NUMBER, .width = width };
    if (!p->tensor || p->hop == NOT_GIVEN)
        return MBR_OK;
    int64_t samples = c->scope->cols[s->from[0]].dims[p->axis];
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .rank = 2,
                      .dtype = MBR_DTYPE_F64,
                      .dims = { samples < 0 ? -1 : (samples - p->length) / p->hop + 1, width } };
    return MBR_OK;
}

/* length and what else the table has are there. */
static mbr_status compile_sensor(const mbr_compiling *c, const mbr_node *at, const mbr_step *s, bool any)
{
    sensor_params *p = s->params;
    mbr_resample grid;
    for (int i = 0; i < s->from_count; i++)
        p->tensor |= c->scope->cols[s->from[i]].type == MBR_COL_TENSOR;
    if (p->tensor)
        return compile_tensor(c, at, s, any);
    MBR_TRY(mbr_keyed_compile(c, at, s, &p->key_params, &p->keyed));
    for (int i = 0; i < s->from_count; i++)
        p->channels += c->scope->cols[s->from[i]].width;
    if (p->length < 1 || p->length > MOST_VALUES / p->channels)
        return mbr_node_fail(&c->read, at,
                             "step '%s' would keep %lld samples of %d values a key; 'length' is 1 to %lld values",
                             s->name, (long long)p->length, p->channels, (long long)MOST_VALUES);
    if (p->axis != NOT_GIVEN)
        return mbr_node_fail(&c->read, at, "step '%s': 'axis' is of a tensor, and '%s' is none", s->name,
                             c->scope->cols[s->from[0]].name);
    p->max_gap = INFINITY;
    if (p->max_gap_text.data)
        MBR_TRY(mbr_keyed_duration(c, at, s, "'max_gap'", &p->max_gap_text, &p->max_gap));
    if ((p->max_gap_text.data || p->period_text.data) && p->keyed.time < 0)
        return mbr_node_fail(&c->read, at, "step '%s': 'max_gap' and 'period' need the key 'time'", s->name);
    if (!p->period_text.data)
        return MBR_OK;
    MBR_TRY(mbr_keyed_duration(c, at, s, "'period'", &p->period_text, &p->period));
    if (!mbr_resample_plan(&grid, p->channels, (mbr_resample_method)p->method, p->period, p->max_gap))
        return mbr_node_fail(&c->read, at,
                             "step '%s': a 'period' needs a 'max_gap', of at most %d periods: a longer gap "
                             "begins anew", s->name, MBR_RESAMPLE_POINTS - 1);
    return MBR_OK;
}

/* ---- state: a series, and where there is a grid what it keeps behind it ---- */

typedef struct sensor {
    mbr_memory *memory;
    mbr_series series;
    mbr_resample grid;
    size_t grid_at;
    mbr_store store;
    uint8_t *room;   /* (key_bytes) */
    double *sample;  /* (channels) */
    double *points;  /* (points, channels) */
    double *scratch; /* of the kind */
    double *line;    /* (2, line_room): samples of one channel of a tensor, and scratch for as many */
    size_t line_room;
} sensor;

static bool gridded(const sensor *x)
{
    return x->grid.period > 0;
}

static void *grid_state(const sensor *x, const void *state)
{
    return (uint8_t *)(uintptr_t)state + x->grid_at;
}

static void begin_key(const void *how, void *state)
{
    const sensor *x = how;
    x->series.kind.begin(&x->series, state);
    if (gridded(x))
        x->grid.kind.begin(&x->grid, grid_state(x, state));
}

static void write_key(const void *how, const void *state, mbr_out *out)
{
    const sensor *x = how;
    x->series.kind.write(&x->series, state, out);
    if (gridded(x))
        x->grid.kind.write(&x->grid, grid_state(x, state), out);
}

static void read_key(const void *how, void *state, mbr_in *in)
{
    const sensor *x = how;
    x->series.kind.read(&x->series, state, in);
    if (gridded(x))
        x->grid.kind.read(&x->grid, grid_state(x, state), in);
}

static void sensor_end(const mbr_step *s, void *state)
{
    sensor *x = state;
    (void)s;
    mbr_store_close(&x->store);
    mbr_free(x->memory, x->room);
    mbr_free(x->memory, x->sample);
    mbr_free(x->memory, x->points);
    mbr_free(x->memory, x->scratch);
    mbr_free(x->memory, x->line);
    mbr_free(x->memory, x);
}

/* What samples that come row by row need. */
static mbr_status open_series(const mbr_step *s, sensor *x, mbr_memory *memory, mbr_error *err)
{
    const sensor_params *p = s->params;
    mbr_series_plan(&x->series, (int)p->length, p->channels, p->period > 0 ? INFINITY : p->max_gap);
    mbr_store_kind kind = { .how = x, .state_bytes = x->series.kind.state_bytes, .digest = x->series.kind.digest,
                            .begin = begin_key, .write = write_key, .read = read_key };
    size_t points = 1;
    if (p->period > 0) {
        mbr_resample_plan(&x->grid, p->channels, (mbr_resample_method)p->method, p->period, p->max_gap);
        x->grid_at = kind.state_bytes;
        kind.state_bytes += x->grid.kind.state_bytes;
        kind.digest = kind.digest * 31 + x->grid.kind.digest;
        points = (size_t)mbr_resample_most(&x->grid);
    }
    MBR_TRY(mbr_store_open(&x->store, memory, &kind, &p->keyed.limits, err));
    size_t one = (size_t)p->channels * sizeof(double);
    x->room = mbr_alloc(memory, x->store.key_bytes);
    x->sample = mbr_alloc(memory, one);
    x->points = mbr_alloc(memory, points * one);
    return x->room && x->sample && x->points ? MBR_OK : mbr_no_memory(err, points * one);
}

/* scratch: bytes that the kind wants. */
static mbr_status make_sensor(const mbr_step *s, mbr_memory *memory, size_t scratch, void **out, mbr_error *err)
{
    const sensor_params *p = s->params;
    sensor *x = mbr_calloc(memory, 1, sizeof *x);
    if (!x)
        return mbr_no_memory(err, sizeof *x);
    x->memory = memory;
    mbr_status st = p->tensor ? MBR_OK : open_series(s, x, memory, err);
    if (st == MBR_OK && !(x->scratch = mbr_alloc(memory, scratch)))
        st = mbr_no_memory(err, scratch);
    if (st == MBR_OK) {
        *out = x;
        return MBR_OK;
    }
    sensor_end(s, x);
    return mbr_fail_at(err, st, "step '%s': ", s->name);
}

static mbr_status sensor_save(const mbr_step *s, const void *state, mbr_write_fn write, void *user, mbr_error *err)
{
    const sensor_params *p = s->params;
    return p->tensor ? MBR_OK : mbr_keyed_save(&((const sensor *)state)->store, write, user, err);
}

static mbr_status sensor_restore(const mbr_step *s, void *state, const void *bytes, size_t size, mbr_error *err)
{
    const sensor_params *p = s->params;
    if (!p->tensor)
        return mbr_keyed_restore(s, &((sensor *)state)->store, bytes, size, err);
    if (size)
        return mbr_fail(err, MBR_ERR_FORMAT, "%s: this step keeps nothing, and the file has something of it", s->name);
    return MBR_OK;
}

/* The state of a row's key and its sample in x->sample; NULL: the row is faulty, or its key or time is missing. */
static void *open_row(const mbr_step *s, sensor *x, mbr_rows *rows, int row, double *t)
{
    const sensor_params *p = s->params;
    *t = p->keyed.time < 0 ? NAN : rows->lanes[p->keyed.time].num[row];
    if (rows->fault[row] || (p->keyed.time >= 0 && !isfinite(*t)))
        return NULL;
    mbr_row_key key = mbr_keyed_key(&p->keyed, s, rows, row, x->room);
    if (!key.data)
        return NULL;
    double *to = x->sample;
    for (int i = 0; i < s->from_count; i++) {
        size_t width = (size_t)rows->cols[s->from[i]].width;
        memcpy(to, mbr_step_in(s, rows, i) + (size_t)row * width, width * sizeof *to);
        to += width;
    }
    return mbr_store_take(&x->store, key.data, key.size, mbr_store_hash(&x->store, key.data, key.size), *t);
}

/*
 * Takes a row in. due: called after each sample that completes a window (every `hop`-th from the first full one).
 * False: the row came too late and is left out.
 */
typedef void (*due_fn)(const mbr_step *s, sensor *x, mbr_rows *rows, int row, void *state);

static bool push_row(const mbr_step *s, sensor *x, mbr_rows *rows, int row, void *state, double t, int64_t hop,
                     due_fn due)
{
    const sensor_params *p = s->params;
    double first = t, step = 0;
    const double *points = x->sample;
    int n = 1;
    if (gridded(x)) {
        bool anew;
        n = mbr_resample_row(&x->grid, grid_state(x, state), t, x->sample, x->points, &first, &anew);
        if (anew)
            x->series.kind.begin(&x->series, state);
        points = x->points;
        step = p->period;
    }
    for (int i = 0; i < n; i++) {
        if (!mbr_series_push(&x->series, state, first + i * step, points + (size_t)i * (size_t)p->channels))
            return false;
        uint64_t seen = mbr_series_seen(state), length = (uint64_t)p->length;
        if (due && seen >= length && (seen - length) % (uint64_t)hop == 0)
            due(s, x, rows, row, state);
    }
    return true;
}

static void put_missing(double *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = NAN;
}

/* ---- tensors ---- */

/* What a kind makes of the n latest samples of a channel, the oldest first. room: (n). */
typedef void (*look_fn)(const mbr_step *s, sensor *x, const double *samples, int n, double *room, double *out);

/* The samples that a row's tensor has; -1: there is none, or after a fault. x->line has room for them. */
static int64_t open_cell(const mbr_step *s, sensor *x, mbr_rows *rows, int row)
{
    const sensor_params *p = s->params;
    const mbr_cell *cell = &mbr_step_cells(s, rows, 0)[row];
    const mbr_col *col = &rows->cols[s->from[0]];
    if (rows->fault[row] || !cell->data)
        return -1;
    if (cell->rank != col->rank || (cell->rank == 2 && cell->dims[!p->axis] != p->channels)) {
        char shape[160];
        mbr_shape_text(col->dtype, cell->rank, cell->dims, shape, sizeof shape);
        mbr_rows_fail(rows, row, "step '%s': '%s' is %s, and samples of %d channels are due", s->name, col->name, shape,
                      p->channels);
        return -1;
    }
    int64_t n = cell->dims[p->axis];
    if (n > MOST_VALUES) {
        mbr_rows_fail(rows, row, "step '%s': '%s' has %lld samples, more than %lld", s->name, col->name, (long long)n,
                      (long long)MOST_VALUES);
        return -1;
    }
    if ((size_t)n > x->line_room) {
        double *grown = mbr_grow(x->memory, x->line, 0, 2 * (size_t)n * sizeof *grown);
        if (!grown) {
            mbr_rows_fail(rows, row, "step '%s': out of memory: %lld samples", s->name, (long long)n);
            return -1;
        }
        x->line = grown;
        x->line_room = (size_t)n;
    }
    return n;
}

/* Puts a channel of a row's tensor into x->line. */
static void load_line(const mbr_step *s, sensor *x, const mbr_rows *rows, int row, int channel)
{
    const sensor_params *p = s->params;
    const mbr_cell *cell = &mbr_step_cells(s, rows, 0)[row];
    mbr_dtype dtype = rows->cols[s->from[0]].dtype;
    size_t n = (size_t)cell->dims[p->axis], c = (size_t)channel, channels = (size_t)p->channels;
    for (size_t i = 0; i < n; i++)
        x->line[i] = mbr_element_load(dtype, cell->data, p->axis ? c * n + i : i * channels + c);
}

/* How many places of a tensor of n samples have `length` of them behind each other. */
static int64_t places(const sensor_params *p, int64_t n)
{
    return n < p->length ? 0 : (n - p->length) / p->hop + 1;
}

/* each: results of a channel. whole: there are none of fewer samples than `length`. */
static void run_tensor(const mbr_step *s, mbr_rows *rows, int each, bool whole, look_fn look)
{
    const sensor_params *p = s->params;
    sensor *x = mbr_step_state(s, rows);
    int width = p->channels * each;
    bool many = p->hop != NOT_GIVEN;
    mbr_rows_clear(rows, s->out);
    for (int i = 0; i < rows->count; i++) {
        int64_t n = open_cell(s, x, rows, i), length = p->length && p->length < n ? p->length : n;
        int64_t dims[2] = { many ? places(p, n) : n > 0 && !(whole && n < p->length), width };
        if (n < 0 || !dims[0])
            continue;
        double *out = mbr_step_out(s, rows) + (size_t)i * (size_t)width;
        if (many)
            out = mbr_rows_cell(rows, i, s->out, 2, dims);
        for (int c = 0; out && c < p->channels; c++) {
            load_line(s, x, rows, i, c);
            for (int64_t k = 0; k < dims[0]; k++)
                look(s, x, x->line + (many ? k * p->hop : n - length), (int)length, x->line + x->line_room,
                     out + (size_t)k * (size_t)width + (size_t)c * (size_t)each);
        }
    }
}

/* ---- window: the latest samples as a tensor ---- */

typedef struct window_params {
    sensor_params sensor;
    int layout, dtype;
} window_params;

const mbr_param mbr_params_window[] = {
    SAMPLE_PARAMS(window_params), LENGTH_PARAM(window_params), HOP_PARAM(window_params),
    { .name = "layout", .type = MBR_PARAM_CHOICE, .words = "samples_first|channels_first",
      .offset = offsetof(window_params, layout) },
    { .name = "dtype", .type = MBR_PARAM_CHOICE, .words = "f32|f64", .offset = offsetof(window_params, dtype) },
    { .name = NULL }
};

mbr_status mbr_compile_window(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    window_params *p = s->params;
    MBR_TRY(check_hop(c, at, s));
    MBR_TRY(compile_sensor(c, at, s, false));
    bool many = p->sensor.tensor && p->sensor.hop != NOT_GIVEN;
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .rank = 2 + many,
                      .dtype = p->dtype ? MBR_DTYPE_F64 : MBR_DTYPE_F32 };
    if (many) {
        int64_t samples = c->scope->cols[s->from[0]].dims[p->sensor.axis];
        out->dims[0] = samples < 0 ? -1 : places(&p->sensor, samples);
    }
    out->dims[many + p->layout] = p->sensor.length;
    out->dims[many + !p->layout] = p->sensor.channels;
    mbr_col *ready = mbr_step_part(c, s, "ready");
    if (!ready)
        return c->read.err ? c->read.err->status : MBR_ERR_NO_MEMORY;
    ready->type = MBR_COL_BOOL;
    return MBR_OK;
}

static mbr_status window_begin(const mbr_step *s, mbr_memory *memory, void **state, mbr_error *err)
{
    const window_params *p = s->params;
    return make_sensor(s, memory, (size_t)p->sensor.length * sizeof(double), state, err);
}

/* One channel of one window; data: where the window begins. */
static void put_window(const window_params *p, mbr_dtype dtype, void *data, size_t at, size_t c, const double *samples)
{
    size_t n = (size_t)p->sensor.length, channels = (size_t)p->sensor.channels;
    for (size_t i = 0; i < n; i++)
        mbr_element_store(dtype, data, at + (p->layout ? c * n + i : i * channels + c), samples[i]);
}

static void window_due(const mbr_step *s, sensor *x, mbr_rows *rows, int row, void *state)
{
    const window_params *p = s->params;
    const mbr_col *col = &rows->cols[s->out];
    void *data = mbr_rows_cell(rows, row, s->out, 2, col->dims);
    for (int c = 0; data && c < p->sensor.channels; c++) {
        mbr_series_copy(&x->series, state, c, x->scratch, 1);
        put_window(p, col->dtype, data, 0, (size_t)c, x->scratch);
    }
    rows->lanes[s->outs[1]].num[row] = data != NULL;
}

static void window_tensor(const mbr_step *s, mbr_rows *rows, int row)
{
    const window_params *p = s->params;
    sensor *x = mbr_step_state(s, rows);
    const mbr_col *col = &rows->cols[s->out];
    bool many = p->sensor.hop != NOT_GIVEN;
    int64_t n = open_cell(s, x, rows, row), length = p->sensor.length, dims[MBR_MAX_RANK];
    int64_t count = many ? places(&p->sensor, n) : n >= length;
    if (n < 0 || !count)
        return;
    memcpy(dims, col->dims, sizeof dims);
    if (many)
        dims[0] = count;
    void *data = mbr_rows_cell(rows, row, s->out, col->rank, dims);
    for (int c = 0; data && c < p->sensor.channels; c++) {
        load_line(s, x, rows, row, c);
        for (int64_t k = 0; k < count; k++)
            put_window(p, col->dtype, data, (size_t)(k * length) * (size_t)p->sensor.channels, (size_t)c,
                       x->line + (many ? k * p->sensor.hop : n - length));
    }
    rows->lanes[s->outs[1]].num[row] = data != NULL;
}

void mbr_run_window(const mbr_step *s, mbr_rows *rows)
{
    const window_params *p = s->params;
    sensor *x = mbr_step_state(s, rows);
    int64_t hop = p->sensor.hop == NOT_GIVEN ? 1 : p->sensor.hop;
    for (int i = 0; i < rows->count; i++) {
        double t;
        rows->lanes[s->out].cell[i] = (mbr_cell){ 0 };
        rows->lanes[s->outs[1]].num[i] = 0;
        if (p->sensor.tensor) {
            window_tensor(s, rows, i);
            continue;
        }
        void *state = open_row(s, x, rows, i, &t);
        if (state)
            (void)push_row(s, x, rows, i, state, t, hop, window_due);
    }
}

const mbr_step_keeper mbr_keeper_window = { window_begin, sensor_end, sensor_save, sensor_restore };

/* ---- lag: values of earlier samples ---- */

typedef struct lag_params {
    sensor_params sensor;
    mbr_numbers lags;
} lag_params;

const mbr_param mbr_params_lag[] = {
    SAMPLE_PARAMS(lag_params), HOP_PARAM(lag_params),
    { .name = "lags", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(lag_params, lags) },
    { .name = NULL }
};

mbr_status mbr_compile_lag(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    lag_params *p = s->params;
    double most = 0;
    for (size_t i = 0; i < p->lags.count; i++) {
        double k = p->lags.items[i];
        if (!(k >= 0 && k < (double)MOST_VALUES && k == floor(k)))
            return mbr_node_fail(&c->read, at, "step '%s': 'lags' are whole numbers of samples", s->name);
        most = k > most ? k : most;
    }
    p->sensor.length = (int64_t)most + 1;
    MBR_TRY(tensor_hop(c, at, s));
    MBR_TRY(compile_sensor(c, at, s, false));
    return compile_results(c, at, s, p->lags.count, out);
}

static mbr_status lag_begin(const mbr_step *s, mbr_memory *memory, void **state, mbr_error *err)
{
    return make_sensor(s, memory, 0, state, err);
}

static void lag_look(const mbr_step *s, sensor *x, const double *samples, int n, double *room, double *out)
{
    const lag_params *p = s->params;
    (void)x;
    (void)room;
    for (size_t k = 0; k < p->lags.count; k++)
        out[k] = (int)p->lags.items[k] < n ? samples[n - 1 - (int)p->lags.items[k]] : NAN;
}

void mbr_run_lag(const mbr_step *s, mbr_rows *rows)
{
    const lag_params *p = s->params;
    sensor *x = mbr_step_state(s, rows);
    int width = rows->cols[s->out].width;
    if (p->sensor.tensor) {
        run_tensor(s, rows, (int)p->lags.count, false, lag_look);
        return;
    }
    for (int i = 0; i < rows->count; i++) {
        double t, *out = mbr_step_out(s, rows) + (size_t)i * (size_t)width;
        void *state = open_row(s, x, rows, i, &t);
        put_missing(out, width);
        if (!state || !push_row(s, x, rows, i, state, t, 1, NULL))
            continue;
        for (int c = 0; c < p->sensor.channels; c++)
            for (size_t k = 0; k < p->lags.count; k++)
                *out++ = mbr_series_before(&x->series, state, c, (int)p->lags.items[k]);
    }
}

const mbr_step_keeper mbr_keeper_lag = { lag_begin, sensor_end, sensor_save, sensor_restore };

/* ---- rolling: statistics of the latest samples ---- */

#define MOST_OPS 16

typedef struct rolling_params {
    sensor_params sensor;
    int64_t min_samples;
    mbr_strings ops;
    uint8_t codes[MOST_OPS];
} rolling_params;

const mbr_param mbr_params_rolling[] = {
    SAMPLE_PARAMS(rolling_params), LENGTH_PARAM(rolling_params), HOP_PARAM(rolling_params),
    { .name = "min_samples", .type = MBR_PARAM_INT, .offset = offsetof(rolling_params, min_samples) },
    { .name = "ops", .type = MBR_PARAM_STRINGS, .required = true, .offset = offsetof(rolling_params, ops) },
    { .name = NULL }
};

mbr_status mbr_compile_rolling(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    static const char *const names[] = { "mean", "std", "min", "max", "median", "slope", "rms", "kurtosis" };
    rolling_params *p = s->params;
    MBR_TRY(tensor_hop(c, at, s));
    MBR_TRY(compile_sensor(c, at, s, true));
    if (p->ops.count > MOST_OPS)
        return mbr_node_fail(&c->read, at, "step '%s': at most %d 'ops'", s->name, MOST_OPS);
    if (p->min_samples < 0 || p->min_samples > (p->sensor.length ? p->sensor.length : MOST_VALUES))
        return mbr_node_fail(&c->read, at, "step '%s': 'min_samples' is 1 to 'length'", s->name);
    for (size_t i = 0; i < p->ops.count; i++) {
        while (p->codes[i] < MBR_COUNT_OF(names) &&
               !mbr_text_is(p->ops.items[i].data, p->ops.items[i].size, names[p->codes[i]]))
            p->codes[i]++;
        if (p->codes[i] == MBR_COUNT_OF(names))
            return mbr_node_fail(&c->read, at, "step '%s': there is no op '%s'; there are " MBR_ROLLING_OPS, s->name,
                                 p->ops.items[i].data);
    }
    return compile_results(c, at, s, p->ops.count, out);
}

static mbr_status rolling_begin(const mbr_step *s, mbr_memory *memory, void **state, mbr_error *err)
{
    const rolling_params *p = s->params;
    size_t samples = p->sensor.tensor ? 0 : (size_t)p->sensor.length;
    return make_sensor(s, memory, 2 * samples * sizeof(double), state, err);
}

static void rolling_look(const mbr_step *s, sensor *x, const double *samples, int n, double *room, double *out)
{
    const rolling_params *p = s->params;
    int64_t least = p->min_samples ? p->min_samples : p->sensor.length ? p->sensor.length : n;
    (void)x;
    for (size_t k = 0; k < p->ops.count; k++)
        out[k] = mbr_rolling((mbr_rolling_op)p->codes[k], samples, n, (int)least, room);
}

void mbr_run_rolling(const mbr_step *s, mbr_rows *rows)
{
    const rolling_params *p = s->params;
    sensor *x = mbr_step_state(s, rows);
    int width = rows->cols[s->out].width;
    if (p->sensor.tensor) {
        run_tensor(s, rows, (int)p->ops.count, false, rolling_look);
        return;
    }
    for (int i = 0; i < rows->count; i++) {
        double t, *out = mbr_step_out(s, rows) + (size_t)i * (size_t)width;
        void *state = open_row(s, x, rows, i, &t);
        put_missing(out, width);
        if (!state || !push_row(s, x, rows, i, state, t, 1, NULL))
            continue;
        for (int c = 0; c < p->sensor.channels; c++, out += p->ops.count) {
            int n = mbr_series_copy(&x->series, state, c, x->scratch, 1);
            rolling_look(s, x, x->scratch, n, x->scratch + p->sensor.length, out);
        }
    }
}

const mbr_step_keeper mbr_keeper_rolling = { rolling_begin, sensor_end, sensor_save, sensor_restore };

/* ---- fft_bands: power of the latest samples in bands of frequency ---- */

typedef struct bands_params {
    sensor_params sensor;
    double rate;
    mbr_numbers bands;
    int taper;
    bool centre;
} bands_params;

const mbr_param mbr_params_fft_bands[] = {
    SAMPLE_PARAMS(bands_params), LENGTH_PARAM(bands_params), HOP_PARAM(bands_params),
    { .name = "rate", .type = MBR_PARAM_NUMBER, .required = true, .offset = offsetof(bands_params, rate) },
    { .name = "bands", .type = MBR_PARAM_NUMBERS, .required = true, .offset = offsetof(bands_params, bands) },
    { .name = "taper", .type = MBR_PARAM_CHOICE, .words = "none|hann|hamming|blackman",
      .offset = offsetof(bands_params, taper) },
    { .name = "centre", .type = MBR_PARAM_BOOL, .preset = 1, .offset = offsetof(bands_params, centre) },
    { .name = NULL }
};

mbr_status mbr_compile_fft_bands(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    bands_params *p = s->params;
    MBR_TRY(check_hop(c, at, s));
    MBR_TRY(compile_sensor(c, at, s, false));
    if (p->sensor.length < 2 || p->sensor.length > 1 << 16 || !(p->rate > 0))
        return mbr_node_fail(&c->read, at, "step '%s': 'length' is 2 to %d samples, 'rate' above 0", s->name, 1 << 16);
    for (size_t i = 0; i < p->bands.count; i++)
        if (!(p->bands.items[i] >= 0) || (i > 0 && !(p->bands.items[i] > p->bands.items[i - 1])))
            return mbr_node_fail(&c->read, at,
                                 "step '%s': 'bands' are ascending frequencies, each the end of one band and "
                                 "the begin of the next", s->name);
    if (p->bands.count < 2)
        return mbr_node_fail(&c->read, at, "step '%s': 'bands' needs two frequencies at least", s->name);
    return compile_results(c, at, s, p->bands.count - 1, out);
}

static void plan_bands(const mbr_step *s, mbr_bands *b)
{
    const bands_params *p = s->params;
    mbr_bands_plan(b, (int)p->sensor.length, p->rate, p->bands.items, (int)p->bands.count - 1, p->taper - 1, p->centre);
}

/* Scratch: the samples of a channel, then that of mbr_bands on a place aligned for it. */
static size_t bands_at(const mbr_step *s)
{
    return ((size_t)((const bands_params *)s->params)->sensor.length + 7) / 8 * 8;
}

static mbr_status bands_begin(const mbr_step *s, mbr_memory *memory, void **state, mbr_error *err)
{
    mbr_bands b;
    plan_bands(s, &b);
    MBR_TRY(make_sensor(s, memory, bands_at(s) * sizeof(double) + mbr_bands_scratch(&b), state, err));
    mbr_bands_init(&b, ((sensor *)*state)->scratch + bands_at(s));
    return MBR_OK;
}

static void bands_due(const mbr_step *s, sensor *x, mbr_rows *rows, int row, void *state)
{
    mbr_bands b;
    plan_bands(s, &b);
    double *out = mbr_step_out(s, rows) + (size_t)row * (size_t)rows->cols[s->out].width;
    for (int c = 0; c < x->series.channels; c++) {
        mbr_series_copy(&x->series, state, c, x->scratch, 1);
        mbr_bands_row(&b, x->scratch + bands_at(s), x->scratch, out + (size_t)c * (size_t)b.band_count);
    }
}

static void bands_look(const mbr_step *s, sensor *x, const double *samples, int n, double *room, double *out)
{
    mbr_bands b;
    (void)n;
    (void)room;
    plan_bands(s, &b);
    mbr_bands_row(&b, x->scratch + bands_at(s), samples, out);
}

void mbr_run_fft_bands(const mbr_step *s, mbr_rows *rows)
{
    const bands_params *p = s->params;
    sensor *x = mbr_step_state(s, rows);
    int width = rows->cols[s->out].width;
    int64_t hop = p->sensor.hop == NOT_GIVEN ? 1 : p->sensor.hop;
    if (p->sensor.tensor) {
        run_tensor(s, rows, (int)p->bands.count - 1, true, bands_look);
        return;
    }
    for (int i = 0; i < rows->count; i++) {
        double t;
        void *state = open_row(s, x, rows, i, &t);
        put_missing(mbr_step_out(s, rows) + (size_t)i * (size_t)width, width);
        if (state)
            (void)push_row(s, x, rows, i, state, t, hop, bands_due);
    }
}

const mbr_step_keeper mbr_keeper_fft_bands = { bands_begin, sensor_end, sensor_save, sensor_restore };

/* ---- resample: the points of a grid that a row settles ---- */

typedef struct resample_params {
    sensor_params sensor;
} resample_params;

const mbr_param mbr_params_resample[] = {
    SENSOR_PARAMS(resample_params, true),
    { .name = NULL }
};

mbr_status mbr_compile_resample(const mbr_compiling *c, const mbr_node *at, mbr_step *s, mbr_col *out)
{
    sensor_params *p = s->params;
    p->length = 1;
    p->axis = NOT_GIVEN;
    MBR_TRY(compile_sensor(c, at, s, false));
    if (!(p->period > 0))
        return mbr_node_fail(&c->read, at, "step '%s' needs the key 'period'", s->name);
    *out = (mbr_col){ .name = out->name, .line = out->line, .type = MBR_COL_TENSOR, .width = 1, .rank = 2,
                      .dtype = MBR_DTYPE_F64, .dims = { -1, p->channels } };
    mbr_col *first = mbr_step_part(c, s, "first");
    if (!first)
        return c->read.err ? c->read.err->status : MBR_ERR_NO_MEMORY;
    first->type = MBR_COL_TIME;
    return MBR_OK;
}

void mbr_run_resample(const mbr_step *s, mbr_rows *rows)
{
    const sensor_params *p = s->params;
    sensor *x = mbr_step_state(s, rows);
    for (int i = 0; i < rows->count; i++) {
        double t, *first = &rows->lanes[s->outs[1]].num[i];
        bool anew;
        void *state = open_row(s, x, rows, i, &t);
        rows->lanes[s->out].cell[i] = (mbr_cell){ 0 };
        *first = NAN;
        if (!state)
            continue;
        int n = mbr_resample_row(&x->grid, grid_state(x, state), t, x->sample, x->points, first, &anew);
        int64_t dims[2] = { n, p->channels };
        void *data = mbr_rows_cell(rows, i, s->out, 2, dims);
        if (data && n)
            memcpy(data, x->points, (size_t)n * (size_t)p->channels * sizeof(double));
        if (!n)
            *first = NAN;
    }
}

const mbr_step_keeper mbr_keeper_resample = { lag_begin, sensor_end, sensor_save, sensor_restore };

_Static_assert(sizeof(window_params) <= MBR_STEP_PARAMS && sizeof(lag_params) <= MBR_STEP_PARAMS &&
               sizeof(rolling_params) <= MBR_STEP_PARAMS && sizeof(bands_params) <= MBR_STEP_PARAMS,
        "room for parameters");
