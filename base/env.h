/* SPDX-License-Identifier: BSD-2-Clause */
/* What an environment lends to the layers that cannot see into it (runtime/). Defined by api/. */
#ifndef MBR_BASE_ENV_H
#define MBR_BASE_ENV_H

#include "base/memory.h"
#include "mbr/env.h"

/* The memory that everything of the environment comes from. */
mbr_memory *mbr_env_heap(mbr_env *env);

/* A line to the environment's log. */
void mbr_env_say(const mbr_env *env, mbr_log_level level, const char *text);

#endif
