/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "api/env.h"

#include "base/env.h"
#include "engine/limits.h"

#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

bool mbr_options_read(void *to, size_t full, const void *from, size_t size)
{
    memset(to, 0, full);
    if (!from)
        return true;
    if (size < sizeof(size_t))
        return false;
    memcpy(to, from, size < full ? size : full);
    return true;
}

mbr_status mbr_env_new(const mbr_env_options *options, mbr_env **out, mbr_error *err)
{
    mbr_env_options o;
    *out = NULL;
    if (!mbr_options_read(&o, sizeof o, options, options ? options->size : 0))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_env_options.size is not set; set it to sizeof(mbr_env_options)");
    if (!o.alloc != !o.release)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "an allocator needs both alloc and release");
    mbr_memory first;
    mbr_memory_init(&first);
    if (o.alloc) {
        first.alloc = o.alloc;
        first.release = o.release;
        first.user = o.alloc_user;
    }
    mbr_env *env = first.alloc(first.user, sizeof *env);
    if (!env)
        return mbr_no_memory(err, sizeof *env);
    memset(env, 0, sizeof *env);
    mbr_memory_init(&env->memory);
    env->memory.alloc = first.alloc;
    env->memory.release = first.release;
    env->memory.user = first.user;
    env->memory.limit = o.memory_limit;
    env->log = (mbr_log){ o.log, o.log_user, o.log_level };
    mbr_status st = mbr_team_new(&env->memory, o.threads, &env->team, err);
    if (st != MBR_OK) {
        first.release(first.user, env);
        return st;
    }
    const char *tier = mbr_limits_unknown_tier();
    if (tier)
        mbr_log_at(&env->log, MBR_LOG_WARNING, "MBR_CPU=%.40s: there is no such tier, and all that this CPU has is used",
                   tier);
    *out = env;
    return MBR_OK;
}

void mbr_env_release(mbr_env **env)
{
    if (!env || !*env)
        return;
    mbr_env *e = *env;
    *env = NULL;
    mbr_devices_close(e);
    mbr_free(&e->memory, atomic_load(&e->known));
    mbr_free(&e->memory, atomic_load(&e->rates));
    mbr_team_free(e->team);
    mbr_custom_drop(&e->ops, &e->memory, NULL);
    mbr_plugins_unload(e);
    e->memory.release(e->memory.user, e);
}

mbr_memory *mbr_env_heap(mbr_env *env)
{
    return &env->memory;
}

void mbr_env_say(const mbr_env *env, mbr_log_level level, const char *text)
{
    mbr_log_at(&env->log, level, "%s", text);
}

int mbr_env_threads(const mbr_env *env)
{
    return mbr_team_size(env->team);
}

void mbr_env_memory(const mbr_env *env, mbr_memory_use *use)
{
    use->in_use = atomic_load(&env->memory.in_use);
    use->peak = atomic_load(&env->memory.peak);
    use->allocations = atomic_load(&env->memory.count);
}

mbr_status mbr_env_measure(mbr_env *env, mbr_limits *limits, mbr_error *err)
{
    mbr_limits_measured m;
    if (limits->size < sizeof limits->size)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "mbr_limits.size is not set");
    MBR_TRY(mbr_limits_measure(env->team, &env->memory, &m, err));
    mbr_limits l = { .size = limits->size, .tier = m.tier, .threads = mbr_team_size(env->team), .flops = m.flops };
    for (int i = 0; i < MBR_LEVELS; i++) {
        l.read[i] = m.read[i];
        l.read_bytes[i] = m.bytes[i];
    }
    memcpy(limits, &l, limits->size < sizeof l ? limits->size : sizeof l);
    return MBR_OK;
}

const char *mbr_version(void)
{
    return PACKAGE_VERSION;
}
