/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the device keeps on disk between processes: binaries of programs, and which families passed their test.
 *
 * The folder is the cache of the first model that asked for the device (mbr_model_options.cache_dir, else MBR_CACHE);
 * where that is not set, $XDG_CACHE_HOME/mbr or ~/.cache/mbr, since a driver may take seconds for what is read in
 * milliseconds. "off": nothing is kept. A folder that somebody else might write to is not used.
 *
 * A file is a header with its own key and a checksum of everything, then the bytes. It is written under a name of the
 * process and renamed. What is wrong with it is found before any byte of it reaches the driver; then it is made anew.
 * Nothing here ever fails a model.
 */
#ifndef MBR_ENGINE_OPENCL_STORE_H
#define MBR_ENGINE_OPENCL_STORE_H

#include "base/hash.h"
#include "engine/opencl/device.h"

/* The folder to use, from mbr_alloc; NULL: none. dir: what the model says, or NULL. */
char *mbr_cl_store_folder(mbr_memory *memory, const char *dir);

/* A key for texts (n; NULL ones are left out) on this device, driver, platform and version of the library. */
mbr_hash mbr_cl_store_key(const mbr_cl_device *d, const char *const *texts, size_t n);

/* The bytes under a key, from mbr_alloc; NULL: there are none, or not as they were written. */
void *mbr_cl_store_read(const mbr_cl_device *d, mbr_hash key, size_t *bytes);
void mbr_cl_store_write(const mbr_cl_device *d, mbr_hash key, const void *data, size_t bytes);

#endif
