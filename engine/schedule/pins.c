/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "engine/schedule/pins.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const char *name_of(const mbr_ir_node *n)
{
    return n->name && *n->name ? n->name : n->n_outputs && n->outputs[0] ? n->outputs[0]->name : "";
}

static mbr_status pin_line(const mbr_pins *pins, int line, const char *node, const char *device, int threads,
                           mbr_error *err)
{
    int d = strcmp(device, "cpu") == 0 ? 0 : -1, fit = 0;
    const char *name;
    for (int i = 0; d < 0 && (name = pins->device(pins->user, i)); i++)
        d = strcmp(device, name) == 0 ? i + 1 : -1;
    if (d < 0)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "placement, line %d: there is no device '%s'", line, device);
    for (uint32_t k = 0; k < pins->p->n_steps; k++) {
        const mbr_program_step *s = &pins->p->steps[k];
        bool view = !s->op->run || (s->in_place && !s->dynamic);
        if (fnmatch(node, name_of(s->node), 0) != 0)
            continue;
        fit++;
        if (view || (d && !pins->can(pins->user, k, d - 1))) { /* of a pattern, those that can; a single name has to */
            if (!view && !strpbrk(node, "*?["))
                return mbr_fail(err, MBR_ERR_ARGUMENT, "placement, line %d: %s cannot run on %s", line, node, device);
            continue;
        }
        pins->devices[k] = d;
        pins->threads[k] = d ? 0 : threads;
    }
    if (!fit)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "placement, line %d: no step is named '%s'; `mbr plan` lists them", line,
                        node);
    return MBR_OK;
}

typedef struct pin {
    char copy[1024];
    const char *node, *device;
    int threads;
} pin;

/* The next line; *text moves on. A line without a pin has no node. */
static mbr_status read_line(const char **text, int line, pin *to, mbr_error *err)
{
    char *rest;
    size_t n = strcspn(*text, "\n");
    int used = 0;
    if (n >= sizeof to->copy)
        return mbr_fail(err, MBR_ERR_ARGUMENT, "placement, line %d: it is longer than any name", line);
    memcpy(to->copy, *text, n);
    to->copy[n] = '\0';
    *text += n + ((*text)[n] == '\n');
    to->threads = 0;
    to->node = strtok_r(to->copy, " \t\r", &rest);
    to->device = to->node ? strtok_r(NULL, " \t\r", &rest) : NULL;
    const char *more = to->device ? strtok_r(NULL, " \t\r", &rest) : NULL;
    const char *last = more && *more != '#' ? strtok_r(NULL, " \t\r", &rest) : NULL;
    if (to->node && *to->node == '#')
        to->node = NULL;
    if (to->node && (!to->device || (last && *last != '#') || (more && *more != '#' &&
                                     (sscanf(more, "threads=%d%n", &to->threads, &used) != 1 || more[used] ||
                                      to->threads < 1 || to->threads > 1024))))
        return mbr_fail(err, MBR_ERR_ARGUMENT, "placement, line %d: `NODE DEVICE [threads=N]` is due", line);
    return MBR_OK;
}

mbr_status mbr_pins_read(const mbr_pins *pins, const char *text, mbr_error *err)
{
    pin one;
    for (uint32_t k = 0; k < pins->p->n_steps; k++) {
        pins->devices[k] = -1;
        pins->threads[k] = 0;
    }
    for (int line = 1; text && *text; line++) {
        MBR_TRY(read_line(&text, line, &one, err));
        if (one.node)
            MBR_TRY(pin_line(pins, line, one.node, one.device, one.threads, err));
    }
    return MBR_OK;
}

bool mbr_pins_device(const char *text, char *name, size_t room)
{
    pin one;
    while (text && *text && read_line(&text, 0, &one, NULL) == MBR_OK)
        if (one.node && strcmp(one.device, "cpu") != 0) {
            snprintf(name, room, "%s", one.device);
            return true;
        }
    return false;
}
