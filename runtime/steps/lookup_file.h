/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables that stand in a CSV file beside the pipeline. */
#ifndef MBR_RUNTIME_LOOKUP_FILE_H
#define MBR_RUNTIME_LOOKUP_FILE_H

#include "runtime/pipeline/node.h"

typedef struct mbr_lookup_file {
    const char *path;    /* from the folder of the pipeline */
    mbr_string key;      /* columns of the file */
    mbr_strings values;
    const char *step;    /* for messages */
    const mbr_node *at;
    mbr_strings keys;    /* read, on the arena */
    double *numbers;     /* (keys.count, values.count); an empty field is missing */
} mbr_lookup_file;

/* Fills keys and numbers. What is wrong in the file is MBR_ERR_FORMAT with its line. */
mbr_status mbr_lookup_read(const mbr_reading *r, mbr_lookup_file *f);

#endif
