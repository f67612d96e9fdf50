/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "engine/schedule/kept.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

#define SUM_CHARS 17

static void sum_of(const char *text, char *sum)
{
    snprintf(sum, SUM_CHARS + 1, "#%016llx", (unsigned long long)mbr_hash_bytes(text, strlen(text), (mbr_hash){ 0, 0 }).a);
}

void mbr_kept_find(mbr_kept *k, const char *kind, const char *key, const char *folder)
{
    char place[1000];
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME"), *cache = getenv("MBR_CACHE");
    int n = snprintf(k->key, sizeof k->key, "mbr-%s 1 version %s %s", kind, PACKAGE_VERSION, key);
    mbr_hash hash = mbr_hash_bytes(k->key, strlen(k->key), (mbr_hash){ 0, 0 });
    k->path[0] = '\0';
    if (!folder && cache && *cache && !strstr(cache, ".mbrc"))
        folder = cache;
    if (n < 0 || (folder && strcmp(folder, "off") == 0))
        return;
    if (folder)
        n = snprintf(place, sizeof place, "%s", folder);
    else if (xdg && *xdg == '/')
        n = snprintf(place, sizeof place, "%s/mbr", xdg);
    else if (home && *home == '/')
        n = snprintf(place, sizeof place, "%s/.cache/mbr", home);
    else
        return;
    if (n < 0 || (size_t)n >= sizeof place)
        return;
    snprintf(k->path, sizeof k->path, "%s/%s-%016llx", place, kind, (unsigned long long)hash.a);
}

bool mbr_kept_off(const char *folder)
{
    const char *place = folder ? folder : getenv("MBR_CACHE");
    return place && strcmp(place, "off") == 0;
}

bool mbr_kept_read(const mbr_kept *k, char *text, size_t room)
{
    char all[4096], sum[SUM_CHARS + 1];
    int fd = *k->path ? open(k->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1; /* a pipe is not waited for */
    if (fd < 0)
        return false;
    ssize_t got = read(fd, all, sizeof all - 1);
    size_t n = got > 0 ? (size_t)got : 0, line = strlen(k->key);
    close(fd);
    all[n] = '\0';
    if (n < line + SUM_CHARS + 2 || memcmp(all, k->key, line) != 0 || all[line] != '\n' ||
        all[line + SUM_CHARS + 1] != '\n')
        return false;
    const char *rest = all + line + SUM_CHARS + 2;
    sum_of(rest, sum);
    if (memcmp(all + line + 1, sum, SUM_CHARS) != 0 || strlen(rest) >= room)
        return false;
    memcpy(text, rest, strlen(rest) + 1);
    return true;
}

double mbr_kept_age(const mbr_kept *k)
{
    struct stat at;
    double age = *k->path && stat(k->path, &at) == 0 ? difftime(time(NULL), at.st_mtime) : -1;
    return age >= 0 ? age : HUGE_VAL;
}

/* Writes beside it and renames, so that no reader sees half a file. */
static bool write_file(const char *path, const char *text, size_t bytes)
{
    char fresh[1200];
    snprintf(fresh, sizeof fresh, "%s", path);
    for (char *slash = strchr(fresh + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(fresh, 0777);
        *slash = '/';
    }
    snprintf(fresh, sizeof fresh, "%s.%ld", path, (long)getpid());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 && errno == EEXIST && unlink(fresh) == 0) /* a process of this number was killed here */
        fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return false;
    bool done = write(fd, text, bytes) == (ssize_t)bytes && fsync(fd) == 0;
    done = close(fd) == 0 && done && rename(fresh, path) == 0;
    if (!done)
        unlink(fresh);
    return done;
}

void mbr_kept_write(const mbr_kept *k, const char *text, const mbr_log *log)
{
    char all[4096], sum[SUM_CHARS + 1];
    if (!*k->path)
        return;
    sum_of(text, sum);
    int n = snprintf(all, sizeof all, "%s\n%s\n%s", k->key, sum, text);
    if (n < 0 || (size_t)n >= sizeof all || !write_file(k->path, all, (size_t)n))
        mbr_log_at(log, MBR_LOG_WARNING, "%s: what was measured could not be kept there", k->path);
}
