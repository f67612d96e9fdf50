/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/actions/log.h"

#include "base/checked.h"
#include "base/file_io.h"
#include "runtime/rows/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK ((size_t)64 * 1024)

/* How far a log is. */
typedef struct progress {
    uint64_t next;           /* number of the next record */
    uint64_t bytes, records; /* in the file */
    uint64_t written;
    uint64_t ticket;         /* of the last batch that was appended */
} progress;

/* A thread that waits for the disk, on its stack. */
typedef struct waiter {
    struct waiter *next;
    uint64_t ticket;
    bool done;
    int error; /* errno of what failed */
} waiter;

struct mbr_log {
    mbr_memory *memory;
    mbr_log_config config;
    pthread_mutex_t lock;
    int fd;
    progress at;
    int64_t begun;      /* time of the file's first record */
    uint64_t full;      /* number of the last full file */
    uint64_t lost;
    bool torn;          /* what could not be written could not be taken away either */
    /* With sync always: batches are appended one after the other, and one sync is for all that are there. */
    progress safe;        /* on the disk up to there */
    uint64_t epoch;     /* counts what made a sync that is under way meaningless */
    bool syncing;       /* a thread does, without the lock */
    waiter *waiters;
    pthread_cond_t settled;
    char name[];        /* scratch, room for the name of a full file */
};

/* ---- names ---- */

void mbr_log_file_name(char *to, const char *path, uint64_t number)
{
    snprintf(to, strlen(path) + 24, "%s.%06llu", path, (unsigned long long)number);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The number at the end of BASE.NNNNNN; 0: another file. */
static uint64_t number_of(const char *name, const char *base)
{
    size_t n = strlen(base), digits = 0;
    uint64_t number = 0;
    if (strncmp(name, base, n) != 0 || name[n] != '.')
        return 0;
    for (const char *s = name + n + 1; *s; s++, digits++) {
        if (*s < '0' || *s > '9' || digits == 18)
            return 0;
        number = 10 * number + (uint64_t)(*s - '0');
    }
    return digits >= 6 ? number : 0;
}

mbr_status mbr_log_files(mbr_memory *memory, const char *path, uint64_t **out, size_t *count, mbr_error *err)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t n = slash ? (size_t)(slash - path) + 1 : 0, capacity = 0;
    struct dirent *entry;
    *out = NULL;
    *count = 0;
    char *folder = mbr_alloc(memory, n + 2);
    if (!folder)
        return mbr_no_memory(err, n + 2);
    memcpy(folder, n ? path : "./", n ? n : 3);
    folder[n ? n : 2] = '\0';
    DIR *dir = opendir(folder);
    mbr_free(memory, folder);
    if (!dir)
        return mbr_fail(err, MBR_ERR_IO, "%s: its folder cannot be read: %s", path, strerror(errno));
    mbr_status st = MBR_OK;
    while (st == MBR_OK && (entry = readdir(dir)) != NULL) {
        uint64_t number = number_of(entry->d_name, base);
        if (!number)
            continue;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            uint64_t *grown = mbr_grow(memory, *out, *count * sizeof **out, capacity * sizeof **out);
            if (!grown) {
                st = mbr_no_memory(err, capacity * sizeof **out);
                break;
            }
            *out = grown;
        }
        (*out)[(*count)++] = number;
    }
    closedir(dir);
    if (st != MBR_OK) {
        mbr_free(memory, *out);
        *out = NULL;
        *count = 0;
    } else if (*count) {
        qsort(*out, *count, sizeof **out, by_value);
    }
    return st;
}

/* ---- what an earlier process left ---- */

/* {"seq":N,"time":"..." as a number and microseconds; false: not the beginning of a record. */
static bool read_head(const char *line, size_t n, uint64_t *seq, int64_t *time)
{
    static const char a[] = "{\"seq\":", b[] = ",\"time\":\"";
    size_t at = sizeof a - 1;
    double seconds;
    *seq = 0;
    if (n < at || memcmp(line, a, at) != 0)
        return false;
    size_t first = at;
    for (; at < n && at < first + 18 && line[at] >= '0' && line[at] <= '9'; at++)
        *seq = 10 * *seq + (uint64_t)(line[at] - '0');
    if (at == first || n - at < sizeof b - 1 + 27 || memcmp(line + at, b, sizeof b - 1) != 0 ||
        !mbr_text_time(line + at + sizeof b - 1, 27, &seconds))
        return false;
    *time = (int64_t)llround(seconds * 1e6);
    return true;
}

/* Where the last line end at or before `end` is: one more, or 0. */
static bool find_line_end(int fd, char *buffer, uint64_t end, uint64_t *place)
{
    for (uint64_t stop = end; stop > 0;) {
        size_t n = stop > LOOK ? LOOK : (size_t)stop;
        if (mbr_read_at(fd, buffer, n, stop - n) != (ptrdiff_t)n || end - stop > MBR_LOG_MOST_RECORD)
            return false;
        for (size_t i = n; i > 0; i--)
            if (buffer[i - 1] == '\n') {
                *place = stop - n + i;
                return true;
            }
        stop -= n;
    }
    *place = 0;
    return true;
}

static uint64_t count_lines(int fd, char *buffer, uint64_t bytes)
{
    uint64_t lines = 0;
    for (uint64_t at = 0; at < bytes;) {
        ptrdiff_t n = mbr_read_at(fd, buffer, LOOK, at);
        if (n <= 0)
            break;
        for (const char *s = buffer; (s = memchr(s, '\n', (size_t)(buffer + n - s))) != NULL; s++)
            lines++;
        at += (uint64_t)n;
    }
    return lines;
}

typedef struct found {
    uint64_t bytes;   /* of whole lines */
    uint64_t last;    /* number of the last record; 0: none */
    int64_t begun;    /* time of the first */
} found;

/* Looks at both ends of a file of `size` bytes. What is no log is refused, so that nobody's file is cut. */
static mbr_status look(int fd, const char *path, uint64_t size, char *buffer, found *f, mbr_error *err)
{
    uint64_t begin = 0, seq;
    int64_t time;
    *f = (found){ 0 };
    if (size == 0)
        return MBR_OK;
    ptrdiff_t n = mbr_read_at(fd, buffer, LOOK, 0);
    size_t shown = n > 7 ? 7 : n > 0 ? (size_t)n : 0;
    if (n < 0 || memcmp(buffer, "{\"seq\":", shown) != 0 || !find_line_end(fd, buffer, size, &f->bytes))
        return mbr_fail(err, n < 0 ? MBR_ERR_IO : MBR_ERR_INPUT,
                        "%s: is there, and is no log of decisions; give another "
                        "name", path);
    if (f->bytes == 0)
        return MBR_OK;
    if (!find_line_end(fd, buffer, f->bytes - 1, &begin))
        return mbr_fail(err, MBR_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    size_t line = f->bytes - begin > LOOK ? LOOK : (size_t)(f->bytes - begin);
    if (mbr_read_at(fd, buffer, line, begin) != (ptrdiff_t)line || !read_head(buffer, line, &f->last, &time))
        return mbr_fail(err, MBR_ERR_INPUT, "%s: its last line is no record of a decision; move the file away", path);
    n = mbr_read_at(fd, buffer, LOOK, 0);
    if (n < 0 || !read_head(buffer, (size_t)n, &seq, &f->begun))
        return mbr_fail(err, MBR_ERR_INPUT, "%s: its first line is no record of a decision; move the file away", path);
    return MBR_OK;
}

/* ---- opening ---- */

/* Opens and locks the file that has the name now; another process may be renaming it. */
static mbr_status open_locked(const char *path, int *out, struct stat *s, mbr_error *err)
{
    for (int turn = 0; turn < 100; turn++) {
        struct stat named;
        int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0)
            return mbr_fail(err, MBR_ERR_IO, "%s: cannot be opened for writing: %s", path, strerror(errno));
        if (fstat(fd, s) != 0 || !S_ISREG(s->st_mode)) {
            close(fd);
            return mbr_fail(err, MBR_ERR_IO, "%s: a log must be an ordinary file", path);
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            bool taken = errno == EWOULDBLOCK;
            int error = errno;
            close(fd);
            if (taken)
                return mbr_fail(err, MBR_ERR_INPUT, "%s: another process, or another pipeline of this one, writes this "
                                "log; give each its own", path);
            return mbr_fail(err, MBR_ERR_IO, "%s: cannot be locked: %s", path, strerror(error));
        }
        if (fstat(fd, s) == 0 && stat(path, &named) == 0 && named.st_ino == s->st_ino && named.st_dev == s->st_dev) {
            *out = fd;
            return MBR_OK;
        }
        close(fd);
    }
    return mbr_fail(err, MBR_ERR_IO, "%s: is being renamed again and again", path);
}

/* The last number in the full files, where the present one is empty. */
static mbr_status look_back(mbr_log *log, char *buffer, mbr_error *err)
{
    uint64_t *numbers;
    size_t count;
    MBR_TRY(mbr_log_files(log->memory, log->config.path, &numbers, &count, err));
    mbr_status st = MBR_OK;
    log->full = count ? numbers[count - 1] : 0;
    if (count && log->at.records == 0) {
        struct stat s;
        found f = { 0 };
        mbr_log_file_name(log->name, log->config.path, log->full);
        int fd = open(log->name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &s) != 0)
            st = mbr_fail(err, MBR_ERR_IO, "%s: cannot be read: %s", log->name, strerror(errno));
        else
            st = look(fd, log->name, (uint64_t)s.st_size, buffer, &f, err);
        if (st == MBR_OK)
            log->at.next = f.last + 1;
        if (fd >= 0)
            close(fd);
    }
    mbr_free(log->memory, numbers);
    return st;
}

static mbr_status take_up(mbr_log *log, uint64_t size, char *buffer, mbr_error *err)
{
    found f;
    MBR_TRY(look(log->fd, log->config.path, size, buffer, &f, err));
    if (f.bytes < size && ftruncate(log->fd, (off_t)f.bytes) != 0)
        return mbr_fail(err, MBR_ERR_IO, "%s: its last line is cut short and cannot be taken away: %s",
                        log->config.path,
                        strerror(errno));
    log->at.bytes = f.bytes;
    log->begun = f.begun;
    log->at.next = f.last + 1;
    log->at.records = count_lines(log->fd, buffer, f.bytes);
    return look_back(log, buffer, err);
}

/* Held for one write: who waits looks again a few times before it sleeps, where the system knows that. */
static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(lock, &how);
    pthread_mutexattr_destroy(&how);
}

mbr_status mbr_log_open(mbr_memory *memory, const mbr_log_config *config, mbr_log **out, mbr_error *err)
{
    struct stat s;
    size_t name = strlen(config->path) + 24;
    *out = NULL;
    mbr_log *log = mbr_calloc(memory, 1, sizeof *log + name);
    char *buffer = mbr_alloc(memory, LOOK);
    mbr_status st = log && buffer ? MBR_OK : mbr_no_memory(err, LOOK);
    if (log) {
        log->memory = memory;
        log->config = *config;
        log->fd = -1;
        init_lock(&log->lock);
        pthread_cond_init(&log->settled, NULL);
    }
    if (st == MBR_OK)
        st = open_locked(config->path, &log->fd, &s, err);
    if (st == MBR_OK)
        st = take_up(log, (uint64_t)s.st_size, buffer, err);
    if (st == MBR_OK)
        log->safe = log->at;
    mbr_free(memory, buffer);
    if (st == MBR_OK)
        *out = log;
    else
        mbr_log_close(&log);
    return st;
}

void mbr_log_close(mbr_log **log)
{
    if (!log || !*log)
        return;
    mbr_log *l = *log;
    *log = NULL;
    if (l->fd >= 0) {
        if (l->config.sync != MBR_LOG_SYNC_NEVER)
            (void)fdatasync(l->fd);
        close(l->fd); /* which unlocks */
    }
    pthread_cond_destroy(&l->settled);
    pthread_mutex_destroy(&l->lock);
    mbr_free(l->memory, l);
}

const mbr_log_config *mbr_log_settings(const mbr_log *log)
{
    return &log->config;
}

bool mbr_log_is(mbr_log *log, const char *path)
{
    struct stat mine, named;
    pthread_mutex_lock(&log->lock); /* meanwhile nobody renames it */
    bool same = fstat(log->fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
                mine.st_dev == named.st_dev;
    pthread_mutex_unlock(&log->lock);
    return same;
}

/* ---- writing ---- */

/* The clock may have been set back: then the age counts from there. */
static bool is_full(mbr_log *log, size_t bytes, uint64_t records, int64_t now)
{
    const mbr_log_config *c = &log->config;
    if (log->at.records == 0)
        return false;
    if (now < log->begun)
        log->begun = now;
    return (c->most_bytes && log->at.bytes + bytes > c->most_bytes) ||
           (c->most_records && log->at.records + records > c->most_records) ||
           (c->most_age && now - log->begun >= c->most_age);
}

static void drop_old(mbr_log *log, char *name)
{
    uint64_t *numbers;
    size_t count;
    if (mbr_log_files(log->memory, log->config.path, &numbers, &count, NULL) != MBR_OK)
        return;
    for (size_t i = 0; i + (size_t)log->config.keep < count; i++) {
        mbr_log_file_name(name, log->config.path, numbers[i]);
        (void)unlink(name);
    }
    mbr_free(log->memory, numbers);
}

/* Begins a new file. Where that cannot be done the old one goes on: a file that is too large loses nothing. */
static void rotate(mbr_log *log)
{
    struct stat s;
    mbr_log_file_name(log->name, log->config.path, log->full + 1);
    if (lstat(log->name, &s) == 0) {
        log->full++; /* someone else's file: not over that, but the next name may be free */
        return;
    }
    if (rename(log->config.path, log->name) != 0)
        return;
    int fd = open(log->config.path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (fd >= 0)
            close(fd);
        if (link(log->name, log->config.path) == 0) /* unlike rename not over what another process has begun there */
            (void)unlink(log->name);
        return;
    }
    if (log->config.sync != MBR_LOG_SYNC_NEVER)
        (void)fdatasync(log->fd);
    close(log->fd);
    log->fd = fd;
    log->at.bytes = log->at.records = 0;
    log->full++;
    if (log->config.keep)
        drop_old(log, log->name);
}

/* All of it or nothing; errno says why. */
static bool write_whole(mbr_log *log, const char *text, size_t bytes)
{
    size_t done = 0;
    if (log->torn && ftruncate(log->fd, (off_t)log->at.bytes) != 0)
        return false;
    log->torn = false;
    int error = 0;
    while (done < bytes && !error) {
        ssize_t n = write(log->fd, text + done, bytes - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            error = n < 0 ? errno : ENOSPC;
    }
    if (!error)
        return true;
    log->torn = done && ftruncate(log->fd, (off_t)log->at.bytes) != 0;
    errno = error;
    return false;
}

/* ---- the disk, for all that wait for it ---- */

/* Those that wait for batches up to a ticket know how it ended. */
static void settle(mbr_log *log, uint64_t ticket, int error)
{
    for (waiter **link = &log->waiters; *link;) {
        waiter *w = *link;
        if (w->ticket > ticket) {
            link = &w->next;
            continue;
        }
        *link = w->next;
        w->error = error;
        w->done = true;
    }
    pthread_cond_broadcast(&log->settled);
}

/* All that was appended is on the disk, or (error) is taken away again: who waits is told. */
static void settle_all(mbr_log *log, int error)
{
    uint64_t ticket = log->at.ticket;
    log->epoch++;
    if (error) {
        uint64_t gone = log->at.written - log->safe.written, next = log->at.next;
        log->at = log->safe;
        log->at.ticket = ticket;
        if (log->config.go_on) {
            log->lost += gone;
            log->at.next = next; /* numbers are used up, the gap tells */
        }
        log->torn = ftruncate(log->fd, (off_t)log->at.bytes) != 0;
    }
    log->safe = log->at;
    settle(log, ticket, error);
}

/* Syncs what is there by now. Others append meanwhile, or begin a new file: hence a descriptor of its own. */
static void sync_group(mbr_log *log)
{
    progress upto = log->at;
    uint64_t epoch = log->epoch;
    int error = 0, fd = dup(log->fd);
    if (fd < 0) {
        settle_all(log, fdatasync(log->fd) != 0 ? errno : 0);
        return;
    }
    log->syncing = true;
    pthread_mutex_unlock(&log->lock);
    if (fdatasync(fd) != 0)
        error = errno;
    close(fd);
    pthread_mutex_lock(&log->lock);
    log->syncing = false;
    if (epoch == log->epoch && error) {
        settle_all(log, error);
    } else if (epoch == log->epoch) {
        log->safe = upto;
        settle(log, upto.ticket, 0);
    } else {
        pthread_cond_broadcast(&log->settled); /* someone has to look after those that came later */
    }
}

/* Waits until the batch that was appended last is on the disk; errno of what failed. Lets others in meanwhile. */
static int wait_for_disk(mbr_log *log)
{
    waiter me = { .next = log->waiters, .ticket = log->at.ticket };
    log->waiters = &me;
    while (!me.done) {
        if (log->syncing)
            pthread_cond_wait(&log->settled, &log->lock);
        else
            sync_group(log);
    }
    return me.error;
}

uint64_t mbr_log_begin(mbr_log *log)
{
    pthread_mutex_lock(&log->lock);
    return log->at.next;
}

/* The batch into the file; errno of what failed: nothing of it is there then. */
static int append(mbr_log *log, const char *text, size_t bytes, uint64_t records, int64_t now)
{
    bool always = log->config.sync == MBR_LOG_SYNC_ALWAYS;
    if (!log->torn && is_full(log, bytes, records, now)) {
        if (always && log->waiters) { /* they must not have to look for a file that has another name by then */
            int error = fdatasync(log->fd) != 0 ? errno : 0;
            settle_all(log, error);
            if (error && !log->config.go_on)
                return error; /* the numbers of this batch were those after them */
        }
        rotate(log);
        log->epoch++;
        log->safe = log->at;
    }
    if (!write_whole(log, text, bytes))
        return errno;
    if (log->at.records == 0)
        log->begun = now;
    log->at.bytes += bytes;
    log->at.records += records;
    log->at.written += records;
    log->at.next += records;
    log->at.ticket++;
    return 0;
}

mbr_status mbr_log_end(mbr_log *log, const char *text, size_t bytes, uint64_t records, int64_t now, mbr_error *err)
{
    mbr_status st = MBR_OK;
    if (records) {
        int error = append(log, text, bytes, records, now);
        if (error && log->config.go_on) {
            log->lost += records;
            log->at.next += records;
        } else if (!error && log->config.sync == MBR_LOG_SYNC_ALWAYS) {
            error = wait_for_disk(log);
        }
        if (error && !log->config.go_on)
            st = mbr_fail(err, MBR_ERR_IO, "%s: the log of decisions cannot be written: %s; nothing was decided. Make "
                          "room, or say 'on_error: continue'", log->config.path, strerror(error));
    }
    pthread_mutex_unlock(&log->lock);
    return st;
}

void mbr_log_counts(mbr_log *log, uint64_t *written, uint64_t *lost)
{
    pthread_mutex_lock(&log->lock);
    *written = log->at.written;
    *lost = log->lost;
    pthread_mutex_unlock(&log->lock);
}
