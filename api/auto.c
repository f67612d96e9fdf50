/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "api/auto.h"
#include "engine/schedule/kept.h"
#include "engine/schedule/pins.h"

#ifdef HAVE_OPENCL
#include "engine/opencl/measure.h"
#endif

#include <stdio.h>
#include <string.h>

/* A run that is shorter than this on one core would end before a device has its input and has given its answer. */
#define LEAST_NS 30e3
/* For one that is longer, the machine's devices are looked for and measured: once, it is kept. */
#define LOOK_NS 2e6
/* A driver that did not outlive its trial is tried again after this many seconds: it may have been the machine's load. */
#define BROKEN_S 600
/* A device has to win that much. */
#define WORTH 0.9

/* --- what is known of the machine --- */

mbr_status mbr_env_rates(mbr_env *env, const char *cache, const mbr_rates **rates, mbr_error *err)
{
    mbr_rates *none = NULL, *r = atomic_load(&env->rates);
    *rates = r;
    if (r)
        return MBR_OK;
    r = mbr_calloc(&env->memory, 1, sizeof *r);
    if (!r)
        return mbr_no_memory(err, sizeof *r);
    mbr_status st = mbr_rates_get(env->team, &env->memory, &env->log, cache, r, err);
    if (st != MBR_OK) {
        mbr_free(&env->memory, r);
        return st;
    }
    *rates = r;
    if (!atomic_compare_exchange_strong(&env->rates, &none, r)) { /* another thread was first */
        mbr_free(&env->memory, r);
        *rates = none;
    }
    return MBR_OK;
}

mbr_status mbr_known_of(mbr_env *env, const mbr_plan_device *devices, int n, mbr_known **out, mbr_error *err)
{
    mbr_known *k = NULL;
    if (n < 0 || n > MBR_PLACE_DEVICES)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "%d devices; at most %d make sense", n, MBR_PLACE_DEVICES);
    k = mbr_calloc(&env->memory, 1, sizeof *k);
    if (!k)
        return mbr_no_memory(err, sizeof *k);
    const char *at = (const char *)devices;
    for (k->n = 0; k->n < n; k->n++) {
        struct mbr_known_device *d = &k->devices[k->n];
        size_t size = ((const mbr_plan_device *)at)->size;
        if (!mbr_options_read(&d->facts, sizeof d->facts, at, size) || !d->facts.name ||
            strlen(d->facts.name) >= sizeof d->name) {
            mbr_free(&env->memory, k);
            return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_plan_device.size is not set, or its name is none of a device");
        }
        memcpy(d->name, d->facts.name, strlen(d->facts.name) + 1);
        d->facts.name = d->name;
        at += size;
    }
    *out = k;
    return MBR_OK;
}

#ifdef HAVE_OPENCL
#define FACTS(X) X(gflops_f32) X(gflops_f16) X(memory_gbps) X(launch_us) X(upload_gbps) X(download_gbps) X(upload_us)    \
    X(download_us) X(memory_bytes) X(max_alloc_bytes)

static void print_known(const mbr_known *k, char *text, size_t room)
{
    size_t at = (size_t)snprintf(text, room, "devices %d\n", k->broken ? -1 : k->n);
    for (int i = 0; i < k->n && at < room; i++) {
        const struct mbr_known_device *d = &k->devices[i];
        at += (size_t)snprintf(text + at, room - at, "%d %d", d->is_cpu, d->facts.unified);
#define FACT(field) if (at < room) at += (size_t)snprintf(text + at, room - at, " %.6g", d->facts.field);
        FACTS(FACT)
#undef FACT
        if (at < room)
            at += (size_t)snprintf(text + at, room - at, "\n");
    }
}

static bool parse_known(const char *text, mbr_known *k)
{
    int used = 0;
    if (sscanf(text, "devices %d%n", &k->n, &used) != 1 || k->n < -1 || k->n > MBR_PLACE_DEVICES)
        return false;
    k->broken = k->n < 0;
    k->n = k->broken ? 0 : k->n;
    for (int i = 0; i < k->n; i++) {
        struct mbr_known_device *d = &k->devices[i];
        int is_cpu = 0;
        d->facts = (mbr_plan_device){ .size = sizeof d->facts, .name = d->name, .node = -1 };
        snprintf(d->name, sizeof d->name, "opencl:%d", i);
        text += used;
        if (sscanf(text, "%d %d%n", &is_cpu, &d->facts.unified, &used) != 2)
            return false;
        d->is_cpu = is_cpu != 0;
#define FACT(field)                                                                                                    \
    text += used;                                                                                                      \
    if (sscanf(text, "%lf%n", &d->facts.field, &used) != 1 || !(d->facts.field >= 0))                                  \
        return false;
        FACTS(FACT)
#undef FACT
    }
    return true;
}

/* Looks at each device; what cannot be opened or measured is left out of what may be chosen. */
static mbr_status look_around(mbr_env *env, const char *cache, mbr_known *k, mbr_error *err)
{
    mbr_error why;
    mbr_log_at(&env->log, MBR_LOG_INFO, "looking for OpenCL devices; what is found is kept");
    why.text[0] = '\0';
    MBR_TRY(mbr_cl_count(&env->memory, &env->log, &k->n, &why));
    k->broken = k->n == 0 && mbr_cl_broken();
    if (k->broken)
        mbr_log_at(&env->log, MBR_LOG_WARNING, "%s; the CPU runs everything, and drivers are tried again after %d minutes",
                   why.text, BROKEN_S / 60);
    k->n = k->n > MBR_PLACE_DEVICES ? MBR_PLACE_DEVICES : k->n;
    for (int i = 0; i < k->n; i++) {
        struct mbr_known_device *d = &k->devices[i];
        mbr_device *device = NULL;
        snprintf(d->name, sizeof d->name, "opencl:%d", i);
        mbr_status st = mbr_env_device(env, d->name, cache, &device, &why);
        d->is_cpu = st != MBR_OK || (((mbr_cl_device *)device)->type & CL_DEVICE_TYPE_CPU);
        if (!d->is_cpu) {
            st = mbr_cl_measure((mbr_cl_device *)device, &d->facts, &why);
            if (st == MBR_ERR_NO_MEMORY)
                return mbr_fail(err, st, "%s", why.text);
            d->is_cpu = st != MBR_OK;
        }
        if (st != MBR_OK)
            mbr_log_at(&env->log, MBR_LOG_WARNING, "%s is not chosen by itself: %s", d->name, why.text);
        if (d->is_cpu)
            d->facts = (mbr_plan_device){ .size = sizeof d->facts, .node = -1 };
        d->facts.name = d->name;
    }
    return MBR_OK;
}

/* *out NULL: it would take a look, which was not allowed. */
static mbr_status known_devices(mbr_env *env, const char *cache, bool look, const mbr_known **out, mbr_error *err)
{
    mbr_known *none = NULL, *k = atomic_load(&env->known);
    char key[64], text[3000];
    mbr_kept kept;
    *out = k;
    if (k)
        return MBR_OK;
    mbr_cl_machine_key(key, sizeof key);
    mbr_kept_find(&kept, "devices", key, cache);
    bool found = mbr_kept_read(&kept, text, sizeof text);
    k = mbr_calloc(&env->memory, 1, sizeof *k);
    if (!k)
        return mbr_no_memory(err, sizeof *k);
    found = found && parse_known(text, k) && (!k->broken || mbr_kept_age(&kept) < BROKEN_S);
    if (!found && !look) {
        mbr_free(&env->memory, k);
        return MBR_OK;
    }
    if (!found) {
        memset(k, 0, sizeof *k);
        mbr_status st = look_around(env, cache, k, err);
        if (st != MBR_OK) {
            mbr_free(&env->memory, k);
            return st;
        }
        print_known(k, text, sizeof text);
        mbr_kept_write(&kept, text, &env->log);
    }
    *out = k;
    if (!atomic_compare_exchange_strong(&env->known, &none, k)) { /* another thread was first */
        mbr_free(&env->memory, k);
        *out = none;
    }
    return MBR_OK;
}
#else
static mbr_status known_devices(mbr_env *env, const char *cache, bool look, const mbr_known **out, mbr_error *err)
{
    static const mbr_known nothing = { .n = 0 };
    (void)env;
    (void)cache;
    (void)look;
    (void)err;
    *out = &nothing;
    return MBR_OK;
}
#endif

/* --- a choice --- */

/* With the rates that any machine is taken to have: only a first look, which is not to cost a measurement. */
static double quick_ns(const mbr_frame *f)
{
    const mbr_program *p = mbr_frame_program(f);
    mbr_rates rates;
    mbr_work w;
    double ns = 0;
    mbr_rates_default(&rates);
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_frame *body;
        if (p->steps[k].in_place && !p->steps[k].dynamic)
            continue;
        mbr_work_of(mbr_frame_step(f, k), &w);
        ns += mbr_rates_estimate(&rates, &w, 0);
        for (uint32_t i = 0; i < p->steps[k].n_bodies; i++)
            ns += (body = mbr_frame_body(f, k, i)) ? quick_ns(body) : 0;
    }
    return ns;
}

typedef struct plans {
    mbr_choice *c;
    mbr_machine machine;
    const mbr_rates *rates;
} plans;

static bool device_has(void *user, const mbr_step *s, const mbr_work *w, int device)
{
    const mbr_choice *c = user;
    mbr_device_frame *df = mbr_frame_device(c->frames[1]);
    (void)w;
    (void)device;
    return df && mbr_frame_program(c->frames[1])->module->device->fn->has(df, mbr_step_index(s));
}

static mbr_status plan_frame(const plans *p, int which, const mbr_plan_device *device, const char *pins,
                             mbr_schedule *out, mbr_error *err)
{
    mbr_choice *c = p->c;
    const mbr_schedule_options o = { .machine = &p->machine, .rates = p->rates, .devices = device,
                                     .n_devices = device != NULL, .threads = c->run->workers, .pins = pins,
                                     .supports = which ? device_has : NULL, .user = c };
    return mbr_schedule_new(&c->model->env->memory, &o, c->frames[which], false, out, err);
}

/* Whether the device would win where it did all that devices have kernels for: it need not be opened for that. */
static mbr_status may_win(const plans *p, const mbr_plan_device *device, double *cpu_ns, bool *may, mbr_error *err)
{
    mbr_schedule s;
    const mbr_program *program = mbr_frame_program(p->c->frames[0]);
    MBR_TRY(plan_frame(p, 0, device, NULL, &s, err));
    *cpu_ns = s.cpu_ns;
    *may = s.ns < WORTH * s.cpu_ns;
    mbr_schedule_free(&s);
    for (uint32_t k = 0; k < program->n_steps; k++) /* the device's program has their steps one by one */
        *may = *may || program->steps[k].n_bodies;
    return MBR_OK;
}

static mbr_status open_frame(mbr_choice *c, const char *name, mbr_error *err)
{
    const mbr_model *variant;
    mbr_device *device;
    if (!c->frames[1]) {
        MBR_TRY(mbr_env_device(c->model->env, name, c->model->cache_dir, &device, err));
        MBR_TRY(mbr_model_for_device(c->model, device, &variant, err));
        MBR_TRY(mbr_run_room(c->run, variant->module, err));
        MBR_TRY(mbr_frame_new(variant->program, c->run, &c->frames[1], err));
    }
    mbr_frame_take_over(c->frames[1], c->frames[0]);
    MBR_TRY(mbr_frame_place(c->frames[1], NULL, NULL, err));
    MBR_TRY(c->bind(c->user, c->frames[1], err));
    return mbr_frame_prepare(c->frames[1], err);
}

/* The device's program against the CPU's. */
static mbr_status try_device(plans *p, const struct mbr_known_device *d, bool pinned, mbr_error *err)
{
    mbr_choice *c = p->c;
    mbr_plan_device facts = d->facts;
    mbr_error why;
    double cpu_ns = 0;
    bool may = true;
    if (d->is_cpu) /* it has nothing but our cores: no step goes there that is not pinned */
        facts.gflops_f32 = facts.memory_gbps = facts.upload_gbps = facts.download_gbps = 1e-3;
    mbr_device_complete(&facts);
    MBR_TRY(may_win(p, &facts, &cpu_ns, &may, err));
    if (!may && !pinned)
        return MBR_OK;
    mbr_status st = open_frame(c, d->name, &why);
    if (st != MBR_OK && (pinned || st == MBR_ERR_NO_MEMORY))
        return mbr_fail(err, st, "%s", why.text);
    if (st != MBR_OK) {
        mbr_log_at(&c->model->env->log, MBR_LOG_WARNING, "%s: %s: the CPU runs it", c->model->module->file, why.text);
        mbr_frame_take_over(c->frames[0], c->frames[0]);
        return mbr_frame_prepare(c->frames[0], err);
    }
    MBR_TRY(plan_frame(p, 1, &facts, c->pins, &c->schedule, err));
    c->scheduled = true;
    c->which = pinned || c->schedule.ns < WORTH * cpu_ns;
    mbr_log_at(&c->model->env->log, MBR_LOG_DEBUG, "%s: %.1f us on the CPU, %.1f us with %s: %s", c->model->module->file,
               cpu_ns / 1e3, c->schedule.ns / 1e3, d->name, c->which ? "it is used" : "the CPU runs it");
    if (c->which)
        return mbr_frame_place(c->frames[1], c->schedule.devices_of, c->schedule.threads_of, err);
    mbr_schedule_free(&c->schedule);
    c->scheduled = false;
    mbr_frame_take_over(c->frames[0], c->frames[1]); /* the run has the other's sizes now */
    return mbr_frame_prepare(c->frames[0], err);
}

static mbr_status plan_cpu(plans *p, mbr_error *err)
{
    mbr_choice *c = p->c;
    MBR_TRY(plan_frame(p, 0, NULL, c->pins, &c->schedule, err));
    c->scheduled = true;
    return mbr_frame_place(c->frames[0], NULL, c->schedule.threads_of, err);
}

mbr_status mbr_choose(mbr_choice *c, mbr_error *err)
{
    mbr_env *env = c->model->env;
    const mbr_known *known = c->model->given;
    const struct mbr_known_device *device = NULL;
    char name[64];
    bool pinned = mbr_pins_device(c->pins, name, sizeof name);
    plans p = { .c = c };
    c->which = 0;
    mbr_frame_take_over(c->frames[0], c->frames[0]);
    MBR_TRY(c->bind(c->user, c->frames[0], err));
    MBR_TRY(mbr_frame_prepare(c->frames[0], err));
    double ns = pinned ? LOOK_NS : quick_ns(c->frames[0]);
    if (!known && ns >= LEAST_NS)
        MBR_TRY(known_devices(env, c->model->cache_dir, ns >= LOOK_NS, &known, err));
    for (int i = 0; known && i < known->n; i++) {
        const struct mbr_known_device *d = &known->devices[i];
        bool fits = pinned ? strcmp(d->name, name) == 0 : !d->is_cpu;
        device = fits && (!device || d->facts.gflops_f32 > device->facts.gflops_f32) ? d : device;
    }
    if (pinned && !device)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "placement: there is no device '%s'", name);
    if (!device && !c->planned && !c->pins)
        return MBR_OK;
    c->device = device ? device->name : NULL;
    MBR_TRY(mbr_machine_read(&env->memory, NULL, &p.machine, err));
    mbr_status st = mbr_env_rates(env, c->model->cache_dir, &p.rates, err);
    if (st == MBR_OK && device)
        st = try_device(&p, device, pinned, err);
    if (st == MBR_OK && !c->which && (c->planned || c->pins))
        st = plan_cpu(&p, err);
    mbr_machine_free(&env->memory, &p.machine);
    return st;
}

/* --- pins of a model whose device is given --- */

static const char *model_device(void *user, int i)
{
    const mbr_model *m = user;
    return i == 0 && m->device ? m->device->name : NULL;
}

static bool planned_for_device(void *user, uint32_t k, int device)
{
    const mbr_model *m = user;
    (void)device;
    return m->program->steps[k].on_device || m->program->steps[k].late;
}

mbr_status mbr_place_pins(const mbr_model *m, mbr_frame *f, mbr_error *err)
{
    mbr_memory *memory = &m->env->memory;
    size_t n = (size_t)m->program->n_steps + 1;
    int *devices = m->pins ? mbr_calloc(memory, 2 * n, sizeof *devices) : NULL;
    if (!m->pins)
        return MBR_OK;
    if (!devices)
        return mbr_no_memory(err, n * sizeof *devices);
    const mbr_pins pins = { .p = m->program, .device = model_device, .can = planned_for_device,
                            .user = (void *)(uintptr_t)m, .devices = devices, .threads = devices + n };
    mbr_status st = mbr_pins_read(&pins, m->pins, err);
    if (st == MBR_OK)
        st = mbr_frame_place(f, m->device ? devices : NULL, devices + n, err);
    mbr_free(memory, devices);
    return st;
}
