/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "tools/command.h"

#include <unistd.h>

/* Between two looks at the clock, and two lines. */
#define LOOK 256
#define SHOW_MS 500.0

void show_progress(progress *p, uint64_t count)
{
    if (p->off || count % LOOK)
        return;
    double now = now_ms();
    if (p->begun == 0.0) {
        p->begun = p->shown = now;
        p->off = !isatty(STDERR_FILENO) || isatty(STDOUT_FILENO);
        return;
    }
    if (now - p->shown < SHOW_MS)
        return;
    p->shown = now;
    p->any = true;
    fprintf(stderr, "\r%llu %s, %.0f a second ", (unsigned long long)count, p->what,
            (double)count / (now - p->begun) * 1e3);
}

void end_progress(progress *p)
{
    if (p->any)
        fputs("\r\033[K", stderr);
    p->any = false;
}
