/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of the public handles. */
#ifndef MBR_API_ENV_H
#define MBR_API_ENV_H

#include "base/log.h"
#include "base/memory.h"
#include "engine/cache.h"
#include "engine/device.h"
#include "engine/frame.h"
#include "engine/ir.h"
#include "engine/ops/custom.h"
#include "engine/passes/pass.h"
#include "engine/profile.h"
#include "engine/program.h"
#include "engine/team.h"
#include "mbr/mbr.h"

/* A plug-in file. */
typedef struct mbr_loaded {
    void *handle;
    struct mbr_loaded *next;
} mbr_loaded;

#define MBR_MOST_DEVICES 16

struct mbr_known; /* api/auto.h */
struct mbr_rates;

struct mbr_env {
    mbr_memory memory;
    mbr_log log;
    mbr_team *team;
    mbr_custom_ops ops;
    mbr_loaded *loaded; /* the latest first */
    _Atomic(mbr_device *) devices[MBR_MOST_DEVICES]; /* opened when a model asks for them */
    _Atomic(struct mbr_known *) known; /* what `auto` found; NULL: it has not looked */
    _Atomic(struct mbr_rates *) rates; /* NULL: nobody has asked */
};

/* Once their operators are gone. */
void mbr_plugins_unload(mbr_env *env);
void mbr_devices_close(mbr_env *env);

/* Where a model's bytes came from, so that it can be lowered again for a dump. */
typedef struct mbr_model_source {
    char *path;          /* NULL: from memory */
    const void *data;    /* from memory */
    size_t bytes;
    void *kept;          /* bytes that the model owns (from a reader); NULL otherwise */
} mbr_model_source;

struct mbr_model {
    mbr_env *env;
    atomic_int refs;     /* the caller's handle and one for each session */
    mbr_model_source source;
    mbr_pass_set passes;
    mbr_device *device;  /* of the environment; NULL: the CPU */
    bool device_only;
    bool automatic;      /* which device is decided when sizes are known */
    struct mbr_known *given; /* devices that it may choose from instead of this machine's; else NULL */
    char *pins;          /* text of a placement file, NULL: none */
    char *cache_dir;     /* as the options have it; NULL: none */
    _Atomic(mbr_model *) variant; /* of an automatic one: the same for a device */
    mbr_ir_module *module;
    mbr_program *program;
    uint32_t *inputs;    /* (n_inputs) indices of those graph inputs that are asked for: see model.c */
    int n_inputs;
    mbr_op_use *uses;    /* (n_uses) operators of the file, before any pass */
    size_t n_uses;
    char *cache_entry;   /* what was read or written; NULL: none */
    size_t cache_bytes;
    bool from_cache;
    size_t replica_budget, replica_bytes; /* for copies on further NUMA nodes, and what they take */
};

/* Whether states[i] holds what the last run left, and whether the output's memory went along, so that it is the output. */
typedef enum mbr_carried { MBR_CARRIED_NOT, MBR_CARRIED_COPY, MBR_CARRIED_MOVED } mbr_carried;

struct mbr_session {
    mbr_model *model;
    mbr_run run;
    mbr_frame *frame;     /* one of the two */
    mbr_frame *frames[2]; /* of the model's program; of its variant's, NULL: it has not come to that */
    double considered;    /* bytes of the inputs when an automatic model's device was chosen; negative: it was not yet */
    mbr_profile *profile; /* NULL: off */
    mbr_value **states;  /* (n_inputs) the carried value of an input with a state edge; else NULL */
    int *state_outputs;  /* (n_inputs) output that feeds it, -1: none */
    const mbr_value **bound; /* (n_inputs) */
    mbr_carried *carried; /* (n_inputs) */
    bool *appends;       /* (n_inputs) what feeds it may leave room for more (mbr_frame_lend) */
    bool ran;
};

/* The model lowered for a device, with weights packed for the CPU, too; it lives as long as the model. */
mbr_status mbr_model_for_device(mbr_model *m, mbr_device *device, const mbr_model **out, mbr_error *err);

/* The graph of the model's file, as it was before any pass. On success *out is the caller's. */
mbr_status mbr_model_import(const mbr_model *m, mbr_ir_module **out, mbr_error *err);

/* Takes struct fields up to the size that the caller knows. Returns false when `size` was not set. */
bool mbr_options_read(void *to, size_t full, const void *from, size_t size);

/* The device of a name ("cpu", "auto", "opencl", "opencl:1"); *out NULL: the CPU. It belongs to the environment.
   cache: a folder for what the device keeps between processes, "off", NULL: as it is by default. */
mbr_status mbr_env_device(mbr_env *env, const char *name, const char *cache, mbr_device **out, mbr_error *err);

#endif
