/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame some of whose steps run on a device. */
#include "engine/frame_parts.h"
#include "engine/device.h"

mbr_status mbr_frame_open_device(mbr_frame *f, mbr_device *device, mbr_error *err)
{
    const mbr_ir_module *m = f->p->module;
    mbr_error why;
    mbr_status st = device->fn->open(device, f, &f->device, &why);
    if (st == MBR_OK)
        return MBR_OK;
    if (st == MBR_ERR_NO_MEMORY || m->device_only)
        return mbr_fail(err, st, "%s", why.text);
    mbr_log_at(m->log, MBR_LOG_WARNING, "%s: %s: the CPU runs it", m->file, why.text);
    return MBR_OK;
}

mbr_status mbr_frame_place(mbr_frame *f, const int *devices_of, const int *threads_of, mbr_error *err)
{
    uint32_t n = f->p->n_steps;
    bool teams = false;
    if (devices_of && !f->kept)
        f->kept = mbr_arena_calloc(&f->arena, (size_t)n + 1, sizeof *f->kept);
    for (uint32_t k = 0; threads_of && k < n; k++)
        teams = teams || threads_of[k];
    if (teams && !f->threads)
        f->threads = mbr_arena_calloc(&f->arena, (size_t)n + 1, sizeof *f->threads);
    if ((devices_of && !f->kept) || (teams && !f->threads))
        return mbr_no_memory(err, n * sizeof *f->threads);
    for (uint32_t k = 0; k < n; k++) {
        if (devices_of)
            f->kept[k] = devices_of[k] == 0;
        if (f->threads)
            f->threads[k] = (uint16_t)(threads_of ? threads_of[k] : 0);
    }
    return MBR_OK;
}

static bool is_kept(const mbr_frame *f, size_t k)
{
    return f->kept && f->kept[k];
}

const char *mbr_frame_where(const mbr_frame *f, size_t k)
{
    const mbr_device *device = f->p->module->device;
    return f->device && !is_kept(f, k) && device->fn->has(f->device, k) ? device->name : "cpu";
}

static mbr_status run_on_cpu(mbr_frame *f, const mbr_program_step *ps, mbr_step *s, mbr_error *err)
{
    if (ps->dynamic)
        return mbr_frame_run_dynamic(f, ps, s, err);
    if (s->op->run)
        return mbr_frame_run_phases(f, s, err);
    mbr_frame_view_now(s);
    return MBR_OK;
}

static mbr_status not_on_device(const mbr_frame *f, const mbr_step *s, size_t k, mbr_error *err)
{
    const mbr_device *device = f->p->module->device;
    const char *why = is_kept(f, k) ? "the placement has it on the cpu" : device->fn->why(f->device, k);
    return mbr_step_fail(s, err, MBR_ERR_UNSUPPORTED, "it does not run on %s%s%s, and nothing else was allowed",
                         device->name, why && *why ? ": " : "", why ? why : "");
}

/* A step whose shapes are known now that it is reached. */
static mbr_status place_late(mbr_frame *f, size_t k, bool *there, bool *failed, mbr_error *err)
{
    const mbr_device_functions *fn = f->p->module->device->fn;
    mbr_status st = fn->fetch(f->device, &f->steps[k], false, err);
    *failed = st != MBR_OK;
    MBR_TRY(st);
    MBR_TRY(mbr_frame_infer(f, &f->p->steps[k], &f->steps[k], err));
    MBR_TRY(mbr_frame_prepare_step(f, &f->steps[k], err));
    *there = fn->late(f->device, k);
    return MBR_OK;
}

/* Step k, on either. *failed: the device did, and with it what it had. */
static mbr_status run_placed_step(mbr_frame *f, uint32_t k, bool there, bool *failed, mbr_error *err)
{
    const mbr_device_functions *fn = f->p->module->device->fn;
    const mbr_program_step *ps = &f->p->steps[k];
    mbr_step *s = &f->steps[k];
    mbr_status st;
    if (there) {
        st = fn->run(f->device, k, err);
        if (st == MBR_OK && f->hook && !f->run->spans) /* its time is its own; a picture shows what overlaps */
            st = fn->wait(f->device, err);
        *failed = st != MBR_OK;
        return st;
    }
    st = s->op->run || ps->dynamic ? fn->fetch(f->device, s, true, err) : MBR_OK;
    *failed = st != MBR_OK;
    if (st == MBR_OK)
        st = run_on_cpu(f, ps, s, err);
    fn->wrote(f->device, s);
    return st;
}

static mbr_status run_placed_steps(mbr_frame *f, bool *failed, mbr_error *err)
{
    const mbr_program *p = f->p;
    const mbr_device_functions *fn = p->module->device->fn;
    fn->begin(f->device);
    for (uint32_t k = 0; k < p->n_steps; k++) {
        const mbr_program_step *ps = &p->steps[k];
        mbr_step *s = &f->steps[k];
        bool there = !is_kept(f, k) && fn->has(f->device, k);
        if (ps->in_place && !ps->dynamic)
            continue;
        if (ps->late && !is_kept(f, k)) {
            mbr_status late = place_late(f, k, &there, failed, err);
            if (late != MBR_OK)
                return mbr_frame_blame(s, late, err);
        }
        if (!there && p->module->device_only && (s->op->run || ps->dynamic))
            return not_on_device(f, s, k, err);
        if (f->hook)
            f->hook(f->hook_user, s, true);
        mbr_status st = run_placed_step(f, k, there, failed, err);
        if (f->hook)
            f->hook(f->hook_user, s, false);
        if (st != MBR_OK)
            return mbr_frame_blame(s, st, err);
        if (mbr_run_stopped_after(f->run, there ? MBR_LEAST_NS : s->cost_ns))
            return mbr_frame_cancelled(f, err);
    }
    mbr_status st = fn->finish(f->device, err);
    *failed = st != MBR_OK;
    return st;
}

mbr_status mbr_frame_run_placed(mbr_frame *f, bool *failed, mbr_error *err)
{
    mbr_status st = run_placed_steps(f, failed, err);
    if (st != MBR_OK)
        (void)f->p->module->device->fn->wait(f->device, NULL);
    return st;
}
