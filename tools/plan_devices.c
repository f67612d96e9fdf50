/* SPDX-License-Identifier: BSD-2-Clause */
/* A file of devices: {"devices": [{"name": "opencl:0", "gflops_f32": 900, ...}]}; the members are those of mbr_plan_device. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tools/plan.h"

#ifdef HAVE_JANSSON
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NAME 24
#define MOST_NODES 4096

static const struct {
    const char *name;
    size_t at;
} numbers[] = {
#define NUMBER(field) { #field, offsetof(mbr_plan_device, field) }
    NUMBER(gflops_f32), NUMBER(gflops_f16), NUMBER(memory_gbps), NUMBER(launch_us), NUMBER(upload_gbps),
    NUMBER(download_gbps), NUMBER(upload_us), NUMBER(download_us), NUMBER(memory_bytes), NUMBER(max_alloc_bytes),
};

/* 0 stands for what is not known; what is far from any device there may be makes numbers that mean nothing. */
static bool is_fact(const json_t *v)
{
    double x = json_is_number(v) ? json_number_value(v) : -1;
    return x == 0 || (x >= 1e-6 && x <= 1e18);
}

static bool is_node(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < MOST_NODES;
}

/* A placement names it, between blanks. */
static bool is_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 127)
            return false;
    return n > 0 && n < MOST_NAME && strcmp(name, "cpu") != 0;
}

static int read_device(const char *path, int index, json_t *object, mbr_plan_device *d)
{
    const char *key;
    json_t *v;
    *d = (mbr_plan_device){ .size = sizeof *d, .node = -1 };
    if (!json_is_object(object))
        return fail_input("%s: device %d is no object", path, index);
    json_object_foreach(object, key, v) {
        size_t i = 0;
        while (i < sizeof numbers / sizeof *numbers && strcmp(key, numbers[i].name) != 0)
            i++;
        if (i < sizeof numbers / sizeof *numbers && is_fact(v))
            *(double *)((char *)d + numbers[i].at) = json_number_value(v);
        else if (strcmp(key, "name") == 0 && json_is_string(v))
            d->name = json_string_value(v);
        else if (strcmp(key, "unified") == 0 && json_is_boolean(v))
            d->unified = json_is_true(v);
        else if (strcmp(key, "node") == 0 && is_node(v))
            d->node = (int)json_integer_value(v);
        else if (strcmp(key, "comment") != 0)
            return fail_input("%s: device %d: '%s' is no fact of a device, or its value does not fit; docs/placement.md "
                              "lists them", path, index, key);
    }
    if (!d->name || !is_name(d->name))
        return fail_input("%s: device %d has no name of its own; up to %d characters without blanks are due, and not cpu",
                          path, index, MOST_NAME - 1);
    for (int other = 1; other <= index; other++)
        if (strcmp(d[-other].name, d->name) == 0)
            return fail_input("%s: devices %d and %d are both named '%s'", path, index - other, index, d->name);
    return EXIT_DONE;
}

int read_devices(const char *path, mbr_plan_device *devices, int *n, void **text)
{
    json_error_t e;
    size_t bytes;
    char *data = read_small(path, &bytes);
    if (!data)
        return EXIT_BAD_INPUT;
    json_t *root = json_loadb(data, bytes, JSON_REJECT_DUPLICATES, &e);
    free(data);
    if (!root)
        return fail_input("%s: line %d: %s", path, e.line, e.text);
    *text = root;
    json_t *list = json_object_get(root, "devices"), *one;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) > MOST_DEVICES)
        return fail_input("%s: \"devices\", a list of at most %d, is due", path, MOST_DEVICES);
    json_array_foreach(list, i, one) {
        int st = read_device(path, (int)i, one, &devices[i]);
        if (st != EXIT_DONE)
            return st;
    }
    *n = (int)json_array_size(list);
    return EXIT_DONE;
}

void drop_devices(void *text)
{
    json_decref(text);
}
#else
int read_devices(const char *path, mbr_plan_device *devices, int *n, void **text)
{
    (void)devices;
    (void)n;
    (void)text;
    return fail_usage("--devices %s: this build reads no JSON; configure it with jansson", path);
}

void drop_devices(void *text)
{
    (void)text;
}
#endif
