/* SPDX-License-Identifier: BSD-2-Clause */
/* The fixture of tests that run graphs written as text: memory that must come back, and a team of two. */
#ifndef MBR_TESTS_IR_TEAM_H
#define MBR_TESTS_IR_TEAM_H

#include "tests/ir_text.h"

static mbr_memory memory;
static mbr_team *team;
static mbr_error err;

static inline void setup(void)
{
    mbr_memory_init(&memory);
    ck_assert_int_eq(mbr_team_new(&memory, 2, &team, &err), MBR_OK);
}

static inline void teardown(void)
{
    mbr_team_free(team);
    ck_assert_uint_eq(memory.in_use, 0);
}

#endif
