/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "base/file_io.h"

#include <errno.h>
#include <unistd.h>

ptrdiff_t mbr_read_at(int fd, void *to, size_t n, uint64_t at)
{
    size_t done = 0;
    while (done < n) {
        ssize_t some = pread(fd, (char *)to + done, n - done, (off_t)(at + done));
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return -1;
        if (some == 0)
            break;
        done += (size_t)some;
    }
    return (ptrdiff_t)done;
}

bool mbr_write_at(int fd, const void *from, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t some = pwrite(fd, (const char *)from + done, n - done, (off_t)(at + done));
        if (some < 0 && errno == EINTR)
            continue;
        if (some == 0)
            errno = ENOSPC;
        if (some <= 0)
            return false;
        done += (size_t)some;
    }
    return true;
}
