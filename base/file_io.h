/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole ranges of a file: what comes short or is interrupted goes on. */
#ifndef MBR_BASE_FILE_IO_H
#define MBR_BASE_FILE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes read from `at` on: fewer than n at the file's end, -1 with errno on failure. */
ptrdiff_t mbr_read_at(int fd, void *to, size_t n, uint64_t at);
/* All n bytes, or false with errno; ENOSPC where nothing more is taken. */
bool mbr_write_at(int fd, const void *from, size_t n, uint64_t at);

#endif
