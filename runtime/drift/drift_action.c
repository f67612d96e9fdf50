/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling of events, and what they set off. Commands are started and looked after later; webhooks have a thread. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "runtime/drift/drift_impl.h"

#include "base/env.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_DLOPEN
#include <dlfcn.h>
#endif
#ifndef MBR_NO_THREADS
#include <pthread.h>
#endif

extern char **environ;

#define MOST_COMMANDS 16 /* that run at once */
#define MOST_POSTS 16    /* that wait */

typedef struct post {
    const mbr_drift_action *action;
    char *json;
} post;

struct mbr_actions {
    mbr_memory *memory;
    pid_t running[MOST_COMMANDS]; /* 0: free */
    const char *program[MOST_COMMANDS];
    mbr_words json;
#ifndef MBR_NO_THREADS
    pthread_t thread;
    bool started, ending;
    pthread_mutex_t lock;
    pthread_cond_t work;
#endif
    post posts[MOST_POSTS];
    size_t first, count;
    char problem[256];            /* of the last post that failed; "" when told */
};

/* ---- webhooks ---- */

#ifdef HAVE_DLOPEN

/* libcurl's numbers, which are part of its binary interface. */
enum {
    CURL_TIMEOUT_MS = 155,
    CURL_NO_SIGNAL = 99,
    CURL_FAIL_ON_ERROR = 45,
    CURL_POST_SIZE = 60,
    CURL_PROTOCOLS = 181,
    CURL_URL = 10002,
    CURL_POST_FIELDS = 10015,
    CURL_HTTP_HEADER = 10023,
    CURL_WRITE_FUNCTION = 20011,
    CURL_HTTP_AND_HTTPS = 3
};

typedef struct curl {
    void *(*easy_init)(void);
    int (*easy_setopt)(void *, int, ...);
    int (*easy_perform)(void *);
    void (*easy_cleanup)(void *);
    const char *(*easy_strerror)(int);
    void *(*slist_append)(void *, const char *);
    void (*slist_free_all)(void *);
} curl;

static size_t swallow(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

/* Opened once and kept; NULL where it is not there. */
static const curl *load_curl(void)
{
    static curl c;
    static atomic_int state; /* 0: not tried, 1: being tried, 2: there, 3: not there */
    int expected = 0;
    if (atomic_compare_exchange_strong(&state, &expected, 1)) {
        static const char *const symbols[] = { "curl_easy_init", "curl_easy_setopt", "curl_easy_perform",
                                               "curl_easy_cleanup", "curl_easy_strerror", "curl_slist_append",
                                               "curl_slist_free_all" };
        void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
        library = library ? library : dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
        void *found[7] = { NULL };
        bool all = library != NULL;
        for (int i = 0; library && i < 7; i++) {
            found[i] = dlsym(library, symbols[i]);
            all = all && found[i];
        }
        memcpy(&c, found, sizeof found); /* ISO C has no cast from data to function pointers */
        atomic_store(&state, all ? 2 : 3);
    }
    while (atomic_load(&state) == 1) {
        struct timespec pause = { .tv_nsec = 1000000 };
        nanosleep(&pause, NULL);
    }
    return atomic_load(&state) == 2 ? &c : NULL;
}

/* NULL, or what went wrong. */
static const char *send_post(const post *p)
{
    const curl *c = load_curl();
    if (!c)
        return "libcurl is not installed here";
    void *handle = c->easy_init();
    void *header = c->slist_append(NULL, "Content-Type: application/json");
    if (!handle || !header)
        return "out of memory";
    c->easy_setopt(handle, CURL_URL, p->action->target);
    c->easy_setopt(handle, CURL_PROTOCOLS, (long)CURL_HTTP_AND_HTTPS);
    c->easy_setopt(handle, CURL_NO_SIGNAL, 1L);
    c->easy_setopt(handle, CURL_FAIL_ON_ERROR, 1L);
    c->easy_setopt(handle, CURL_TIMEOUT_MS, (long)p->action->timeout_ms);
    c->easy_setopt(handle, CURL_HTTP_HEADER, header);
    c->easy_setopt(handle, CURL_POST_FIELDS, p->json);
    c->easy_setopt(handle, CURL_POST_SIZE, (long)strlen(p->json));
    c->easy_setopt(handle, CURL_WRITE_FUNCTION, swallow);
    int code = c->easy_perform(handle);
    c->slist_free_all(header);
    c->easy_cleanup(handle);
    return code ? c->easy_strerror(code) : NULL;
}

#else

static const char *send_post(const post *p)
{
    (void)p;
    return "this build cannot send webhooks";
}

#endif

#ifndef MBR_NO_THREADS

static void *send_posts(void *user)
{
    mbr_actions *a = user;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (a->count == 0 && !a->ending)
            pthread_cond_wait(&a->work, &a->lock);
        if (a->count == 0)
            break;
        post p = a->posts[a->first];
        pthread_mutex_unlock(&a->lock);
        const char *problem = send_post(&p);
        pthread_mutex_lock(&a->lock);
        if (problem)
            snprintf(a->problem, sizeof a->problem, "webhook %.120s: %.100s", p.action->target, problem);
        a->first = (a->first + 1) % MOST_POSTS;
        a->count--;
        mbr_free(a->memory, p.json);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static const char *begin_post(mbr_drift_monitor *m, post p)
{
    mbr_actions *a = m->actions;
    pthread_mutex_lock(&a->lock);
    bool room = a->count < MOST_POSTS;
    if (room)
        a->posts[(a->first + a->count++) % MOST_POSTS] = p;
    pthread_cond_signal(&a->work);
    pthread_mutex_unlock(&a->lock);
    if (room && !a->started) {
        /* A thread that takes no signal away from the program. */
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        a->started = pthread_create(&a->thread, NULL, send_posts, a) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!a->started) {
            a->count = 0;
            mbr_free(m->memory, p.json);
            return "no thread could be started";
        }
    }
    if (!room)
        mbr_free(m->memory, p.json);
    return room ? NULL : "too many are waiting already";
}

#else

static const char *begin_post(mbr_drift_monitor *m, post p)
{
    const char *problem = send_post(&p);
    mbr_free(m->memory, p.json);
    return problem;
}

#endif

/* ---- commands ---- */

static void begin_command(mbr_drift_monitor *m, const mbr_drift_action *action, const char *json, mbr_error *err)
{
    mbr_actions *a = m->actions;
    char *argv[256];
    size_t n = 0, slot = 0;
    while (slot < MOST_COMMANDS && a->running[slot])
        slot++;
    for (; action->argv[n] && n < 254; n++)
        argv[n] = (char *)(uintptr_t)action->argv[n]; /* posix_spawn does not write to them */
    argv[n] = (char *)(uintptr_t)json;
    argv[n + 1] = NULL;
    pid_t pid = 0;
    int why = slot == MOST_COMMANDS ? EAGAIN : posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (why) {
        (void)mbr_fail(err, MBR_ERR_IO, "command %.200s cannot be run: %s", argv[0],
                       slot == MOST_COMMANDS ? "16 of them are still running" : strerror(why));
        return;
    }
    a->running[slot] = pid;
    a->program[slot] = action->argv[0];
}

/* Ends of commands; what failed goes into err. */
static bool reap(mbr_actions *a, mbr_error *err)
{
    bool left = false;
    for (int i = 0; i < MOST_COMMANDS; i++) {
        int status;
        if (!a->running[i])
            continue;
        pid_t got = waitpid(a->running[i], &status, WNOHANG);
        left |= got == 0;
        if (got == 0)
            continue;
        a->running[i] = 0; /* ended, or the program looks after its children itself */
        if (got > 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
            (void)mbr_fail(err, MBR_ERR_IO, "command %.200s failed with %s %d", a->program[i],
                           WIFEXITED(status) ? "status" : "signal",
                           WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    return left;
}

/* ---- the file that asks to retrain ---- */

static void add_cell(mbr_words *w, const mbr_base_col *c, double x)
{
    if (c->type == MBR_DRIFT_NUMBER || isnan(x)) {
        mbr_words_number(w, x);
        return;
    }
    size_t place = (size_t)x;
    mbr_string name = place < c->name_count    ? c->names[place]
                      : place == c->name_count ? (mbr_string){ "(other)", 7 }
                                               : (mbr_string){ "(not UTF-8)", 11 };
    mbr_words_json(w, name.data, name.size);
}

static void write_retrain(mbr_drift_monitor *m, const mbr_drift_action *action, const char *json, mbr_error *err)
{
    const mbr_drift_baseline *b = m->baseline;
    mbr_words w = { .memory = m->memory };
    const mbr_window *from = m->last.rows ? &m->last : &m->open;
    mbr_words_add(&w, "{\"retrain\": true, \"event\": %s,\n\"rows_seen\": %llu, \"columns\": [", json,
                  (unsigned long long)from->rows);
    for (int i = 0; i < b->col_count; i++) {
        mbr_words_add(&w, i ? ", " : "");
        mbr_words_json(&w, b->cols[i].name, strlen(b->cols[i].name));
    }
    mbr_words_add(&w, "],\n\"sample\": [");
    for (size_t r = 0; r < from->reservoir.count; r++) {
        mbr_words_add(&w, r ? ",\n[" : "\n[");
        for (int i = 0; i < b->col_count; i++) {
            mbr_words_add(&w, i ? ", " : "");
            add_cell(&w, &b->cols[i], from->sample[r * (size_t)b->col_count + (size_t)i]);
        }
        mbr_words_add(&w, "]");
    }
    mbr_words_add(&w, "\n]}\n");
    if (w.failed)
        (void)mbr_no_memory(err, w.used);
    else
        (void)mbr_write_atomically(action->target, w.text, w.used, m->options.durable != 0, err);
    mbr_words_free(&w);
}

/* ---- events ---- */

static void describe(mbr_words *w, const mbr_drift_event *e)
{
    static const char *const kinds[] = { "window", "level", "concept", "problem" };
    w->used = 0;
    w->failed = false;
    mbr_words_add(w, "{\"event\": \"%s\", \"level\": \"%s\", \"before\": \"%s\", \"window\": %llu, \"rows\": %llu, "
                  "\"time\": ", kinds[e->kind], mbr_drift_level_name(e->level), mbr_drift_level_name(e->before),
                  (unsigned long long)e->window, (unsigned long long)e->rows);
    mbr_words_number(w, e->time);
    if (e->subject) {
        mbr_words_add(w, ", \"subject\": ");
        mbr_words_json(w, e->subject, strlen(e->subject));
    }
    if (e->reason)
        mbr_words_add(w, ", \"reason\": \"%s\", \"value\": ", e->reason), mbr_words_number(w, e->value);
    if (e->reason)
        mbr_words_add(w, ", \"p\": "), mbr_words_number(w, e->p);
    mbr_words_add(w, ", \"message\": ");
    mbr_words_json(w, e->message, strlen(e->message));
    mbr_words_add(w, "}");
}

static void give(mbr_drift_monitor *m, mbr_drift_event *e)
{
    e->size = sizeof *e;
    describe(&m->actions->json, e);
    e->json = m->actions->json.failed ? "{}" : m->actions->json.text;
    if (m->options.on_event)
        m->options.on_event(m->options.user, e);
}

static void give_problem(mbr_drift_monitor *m, const char *text)
{
    mbr_drift_event e = { .kind = MBR_DRIFT_EVENT_PROBLEM, .level = m->level, .before = m->level, .time = m->clock,
                          .window = m->windows, .message = text };
    give(m, &e);
    mbr_env_say(m->baseline->env, MBR_LOG_WARNING, text);
}

static void set_off(mbr_drift_monitor *m, const mbr_drift_action *action, const mbr_drift_event *e, const char *json)
{
    mbr_error err = { 0 };
    const char *problem = NULL;
    switch (action->kind) {
    case MBR_DRIFT_ACTION_LOG:
        mbr_env_say(m->baseline->env, MBR_LOG_WARNING, e->message);
        break;
    case MBR_DRIFT_ACTION_COMMAND:
        begin_command(m, action, json, &err);
        break;
    case MBR_DRIFT_ACTION_WEBHOOK: {
        post p = { action, mbr_alloc(m->memory, strlen(json) + 1) };
        if (p.json)
            memcpy(p.json, json, strlen(json) + 1);
        problem = p.json ? begin_post(m, p) : "out of memory";
        if (problem)
            (void)mbr_fail(&err, MBR_ERR_IO, "webhook %.200s: %s", action->target, problem);
        break;
    }
    case MBR_DRIFT_ACTION_FALLBACK:
        m->fallback = true;
        break;
    case MBR_DRIFT_ACTION_RETRAIN:
        write_retrain(m, action, json, &err);
        break;
    }
    if (err.status != MBR_OK)
        give_problem(m, err.text);
}

void mbr_drift_tell(mbr_drift_monitor *m, mbr_drift_event *e)
{
    mbr_actions *a = m->actions;
    if (!a)
        return;
    mbr_error err = { 0 };
    (void)reap(a, &err);
    if (err.status != MBR_OK)
        give_problem(m, err.text);
#ifndef MBR_NO_THREADS
    char problem[sizeof a->problem];
    pthread_mutex_lock(&a->lock);
    memcpy(problem, a->problem, sizeof problem);
    a->problem[0] = '\0';
    pthread_mutex_unlock(&a->lock);
    if (problem[0])
        give_problem(m, problem);
#endif
    give(m, e);
    if (e->kind != MBR_DRIFT_EVENT_LEVEL || e->level <= e->before)
        return;
    /* Problems are told by way of the same text: the actions get a copy. */
    mbr_words json = { .memory = m->memory };
    mbr_words_add(&json, "%s", e->json);
    for (int i = 0; i < m->options.action_count; i++) {
        const mbr_drift_action *action = &m->options.actions[i];
        if (e->level >= action->at_least && e->before < action->at_least)
            set_off(m, action, e, json.failed ? "{}" : json.text);
    }
    mbr_words_free(&json);
}

mbr_status mbr_actions_new(mbr_drift_monitor *m, mbr_error *err)
{
    m->actions = mbr_calloc(m->memory, 1, sizeof *m->actions);
    if (!m->actions)
        return mbr_no_memory(err, sizeof *m->actions);
    m->actions->memory = m->actions->json.memory = m->memory;
#ifndef MBR_NO_THREADS
    pthread_mutex_init(&m->actions->lock, NULL);
    pthread_cond_init(&m->actions->work, NULL);
#endif
    return MBR_OK;
}

void mbr_actions_free(mbr_drift_monitor *m)
{
    mbr_actions *a = m->actions;
#ifndef MBR_NO_THREADS
    if (a->started) {
        pthread_mutex_lock(&a->lock);
        a->ending = true;
        pthread_cond_signal(&a->work);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->work);
#endif
    for (int i = 0; i < 100 && reap(a, NULL); i++) { /* a second at most; then they are on their own */
        struct timespec pause = { .tv_nsec = 10000000 };
        nanosleep(&pause, NULL);
    }
    mbr_words_free(&a->json);
    mbr_free(m->memory, a);
    m->actions = NULL;
}
