/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "tools/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_OF_SMALL ((size_t)16 << 20)

static void *read_most(const char *path, size_t most, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    size_t used = 0, room = 0;
    if (!f) {
        say_error("%s: %s", path, strerror(errno));
        return NULL;
    }
    for (;;) {
        if (used > most) {
            say_error("%s: it is longer than %zu bytes, as nothing of its kind is", path, most);
            break;
        }
        if (used == room) {
            char *bigger = realloc(data, room ? room * 2 : 65536);
            if (!bigger) {
                say_error("%s: out of memory", path);
                break;
            }
            data = bigger;
            room = room ? room * 2 : 65536;
        }
        size_t n = fread(data + used, 1, room - used, f);
        used += n;
        if (n)
            continue;
        if (ferror(f)) {
            say_error("%s: %s", path, strerror(errno));
            break;
        }
        fclose(f);
        *bytes = used;
        return data;
    }
    free(data);
    fclose(f);
    return NULL;
}

void *read_file(const char *path, size_t *bytes)
{
    return read_most(path, SIZE_MAX, bytes);
}

void *read_small(const char *path, size_t *bytes)
{
    return read_most(path, MOST_OF_SMALL, bytes);
}

char *join_path(const char *folder, const char *name)
{
    size_t a = strlen(folder), b = strlen(name);
    char *path = malloc(a + b + 2);
    if (!path)
        return NULL;
    memcpy(path, folder, a);
    size_t at = a;
    if (a && folder[a - 1] != '/')
        path[at++] = '/';
    memcpy(path + at, name, b + 1);
    return path;
}

/* Devices, pipes and links are written where they are: to rename a file over /dev/null would end it for everybody. */
static bool is_written_in_place(const char *path)
{
    struct stat s;
    return lstat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode);
}

FILE *begin_file(const char *path, char **temporary)
{
    char suffix[32];
    int k = snprintf(suffix, sizeof suffix, ".tmp%ld", (long)getpid());
    size_t n = strlen(path);
    *temporary = NULL;
    if (is_written_in_place(path)) {
        FILE *there = fopen(path, "wb");
        if (!there)
            say_error("%s: %s; nothing was written there", path, strerror(errno));
        return there;
    }
    *temporary = malloc(n + (size_t)k + 1);
    if (!*temporary) {
        say_error("%s: out of memory", path);
        return NULL;
    }
    memcpy(*temporary, path, n);
    memcpy(*temporary + n, suffix, (size_t)k + 1);
    FILE *f = fopen(*temporary, "wb");
    if (!f) {
        say_error("%s: %s; nothing was written there", path, strerror(errno));
        free(*temporary);
    }
    return f;
}

bool end_file(FILE *f, const char *path, char *temporary, bool keep)
{
    bool ok = !ferror(f);
    ok = fclose(f) == 0 && ok;
    if (ok && keep && temporary)
        ok = rename(temporary, path) == 0;
    if (!ok)
        say_error("%s: %s; nothing was written there", path, strerror(errno));
    if (temporary && (!ok || !keep))
        unlink(temporary);
    free(temporary);
    return ok;
}

bool write_file(const char *path, const void *data, size_t bytes)
{
    char *temporary;
    FILE *f = begin_file(path, &temporary);
    if (f && bytes)
        (void)!fwrite(data, 1, bytes, f); /* end_file asks */
    return f && end_file(f, path, temporary, true);
}

bool make_folder(const char *path)
{
    size_t n = strlen(path);
    char *copy = malloc(n + 1);
    if (!copy) {
        say_error("%s: out of memory", path);
        return false;
    }
    memcpy(copy, path, n + 1);
    bool ok = true;
    for (size_t i = 1; i <= n && ok; i++) {
        if (copy[i] != '/' && copy[i] != '\0')
            continue;
        char c = copy[i];
        copy[i] = '\0';
        ok = mkdir(copy, 0777) == 0 || errno == EEXIST;
        copy[i] = c;
    }
    if (!ok)
        say_error("%s: the folder cannot be made: %s", path, strerror(errno));
    free(copy);
    return ok;
}

double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

double peak_rss_mb(void)
{
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtod(line + 6, NULL);
    fclose(f);
    return kb / 1024.0;
}

size_t put_character(FILE *f, const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            n = 0;
    /* what is spelt too long, surrogates, beyond the last one */
    if ((n == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))) ||
        (n == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))))
        n = 0;
    if (!n) {
        fputs("\xef\xbf\xbd", f);
        return 1;
    }
    fwrite(s, 1, n, f);
    return n;
}

void print_json_string(FILE *f, const char *s)
{
    fputc('"', f);
    while (*s) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20)
            fprintf(f, "\\u%04x", c);
        s += c == '"' || c == '\\' || c < 0x20 ? 1 : put_character(f, s);
    }
    fputc('"', f);
}

/* --- environment and model --- */

static void print_log(void *user, mbr_log_level level, const char *text)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    (void)user;
    fprintf(stderr, "mbr: %s: %s\n", names[level], text);
}

int open_env(const command_options *o, mbr_env **env)
{
    mbr_error err;
    mbr_env_options options = { .size = sizeof options, .threads = o->threads, .memory_limit = o->memory };
    options.log = print_log;
    /* the first start on a device builds programs: whoever waits there sees which */
    bool waits = o->device && strcmp(o->device, "cpu") != 0 && isatty(STDERR_FILENO);
    options.log_level = o->verbose ? MBR_LOG_DEBUG : o->progress || waits ? MBR_LOG_INFO : MBR_LOG_WARNING;
    if (mbr_env_new(&options, env, &err) != MBR_OK)
        return fail_with(&err);
    for (int i = 0; i < o->n_plugins; i++)
        if (mbr_env_load_plugin(*env, o->plugins[i], &err) != MBR_OK)
            return fail_with(&err);
    return EXIT_DONE;
}

char *read_text(const char *path)
{
    size_t bytes;
    char *data = read_small(path, &bytes), *text = data ? realloc(data, bytes + 1) : NULL;
    if (!text) {
        free(data);
        return NULL;
    }
    text[bytes] = '\0';
    if (strlen(text) == bytes)
        return text;
    say_error("%s: this is no text: there is a zero byte at %zu", path, strlen(text));
    free(text);
    return NULL;
}

bool is_automatic(const command_options *o)
{
    const char *device = o->device ? o->device : getenv("MBR_DEVICE");
    return device && strcmp(device, "auto") == 0;
}

int open_model_afresh(const command_options *o, mbr_env *env, const char *path, mbr_model **model)
{
    command_options afresh = *o;
    afresh.cache = "off";
    return open_model(&afresh, env, path, model);
}

int open_model(const command_options *o, mbr_env *env, const char *path, mbr_model **model)
{
    mbr_error err;
    mbr_plan_device devices[MOST_DEVICES];
    void *kept = NULL;
    mbr_model_options options = { .size = sizeof options, .passes = o->passes, .exact = o->exact,
                                  .cache_dir = o->cache, .cache_verify = o->verify,
                                  .device = o->device, .device_only = o->strict, .devices = devices,
                                  .replica_bytes = o->replicas };
    char *pins = o->placement ? read_text(o->placement) : NULL;
    int st = o->placement && !pins ? EXIT_BAD_INPUT : EXIT_DONE;
    options.placement = pins;
    if (o->devices && !is_automatic(o))
        st = fail_usage("--devices %s is for --device auto", o->devices);
    else if (o->devices && st == EXIT_DONE)
        st = read_devices(o->devices, devices, &options.n_devices, &kept);
    else
        options.devices = NULL;
    if (st == EXIT_DONE && mbr_model_open(env, path, &options, model, &err) != MBR_OK)
        st = fail_with(&err);
    drop_devices(kept);
    free(pins);
    return st;
}
