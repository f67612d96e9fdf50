/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/trial.h"
#include "engine/infer.h"
#include "engine/text.h"

#include <string.h>

mbr_status mbr_trial_open(mbr_trial *t, mbr_memory *memory, const mbr_log *log, mbr_device *device, mbr_team *team,
                          const char *text, mbr_error *err)
{
    memset(t, 0, sizeof *t);
    MBR_TRY(mbr_text_parse(memory, log, text, strlen(text), &t->module, err));
    t->module->device = device;
    MBR_TRY(mbr_infer_graph(t->module->main, err));
    MBR_TRY(mbr_program_new(t->module->main, &t->program, err));
    MBR_TRY(mbr_run_init(&t->run, memory, team, team ? mbr_team_size(team) : 1, t->module, err));
    return mbr_frame_new(t->program, &t->run, &t->frame, err);
}

mbr_status mbr_trial_input(mbr_trial *t, size_t i, mbr_error *err)
{
    const mbr_ir_value *ir = t->module->main->inputs[i];
    int64_t dims[MBR_MAX_RANK];
    for (int d = 0; d < ir->type.rank; d++)
        dims[d] = mbr_dim_is_const(ir->type.dims[d]) ? ir->type.dims[d] : 1;
    MBR_TRY(mbr_value_create_tensor(t->run.memory, ir->type.dtype, ir->type.rank, dims, &t->inputs[i], err));
    memset(t->inputs[i]->data, 0, mbr_value_bytes(t->inputs[i]));
    return mbr_frame_bind(t->frame, i, t->inputs[i], err);
}

mbr_status mbr_trial_start(mbr_trial *t, mbr_error *err)
{
    MBR_TRY(mbr_trial_input(t, 0, err));
    return mbr_frame_run(t->frame, err);
}

void mbr_trial_close(mbr_trial *t)
{
    mbr_device *device = t->module ? t->module->device : NULL;
    mbr_frame_free(t->frame);
    if (t->run.memory)
        mbr_run_destroy(&t->run);
    mbr_program_free(t->program);
    if (device)
        device->fn->forget(device, t->module);
    mbr_ir_module_free(t->module);
    for (size_t i = 0; i < MBR_TRIAL_INPUTS; i++)
        mbr_value_drop(t->inputs[i]);
}
