/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "engine/opencl/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 8
#define MOST_SECONDS 3600

/* Runs before what the process itself wants done at its exit, and before stdio writes out, once more, what it has not
   written yet. */
static void leave(void)
{
    _exit(1);
}

static void quiet_child(unsigned seconds)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGALRM, SIGTERM, SIGPIPE };
    const struct rlimit none = { 0, 0 };
    sigset_t all;
    (void)setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < MBR_COUNT_OF(signals); i++)
        (void)signal(signals[i], SIG_DFL);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    (void)alarm(seconds + 1); /* should the parent be gone by then */
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        (void)dup2(null, fd);
}

static _Noreturn void child(int to, unsigned seconds)
{
    mbr_cl cl;
    cl_platform_id platforms[16];
    cl_uint n = 0, devices;
    char answer = 1;
    quiet_child(seconds);
    (void)atexit(leave); /* a driver may call exit */
    if (!mbr_cl_find(&cl) && cl.clGetPlatformIDs(MBR_COUNT_OF(platforms), platforms, &n) == CL_SUCCESS)
        for (cl_uint p = 0; p < n && p < MBR_COUNT_OF(platforms); p++)
            (void)cl.clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 0, NULL, &devices);
    (void)!write(to, &answer, 1);
    _exit(0);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1: something came; 0: the other end is closed; -1: time is up. */
static int read_answer(int from, unsigned seconds)
{
    int64_t end = now_ms() + (int64_t)seconds * 1000;
    for (;;) {
        int64_t left = end - now_ms();
        struct pollfd p = { .fd = from, .events = POLLIN };
        char answer;
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n == 0)
            return -1;
        if (n < 0 && errno == EINTR)
            continue;
        ssize_t got = n < 0 ? 0 : read(from, &answer, 1);
        if (got < 0 && errno == EINTR)
            continue;
        return got == 1;
    }
}

/* Ends the child where it is still ours: a process that ignores SIGCHLD, or waits for any child, may have seen it off.
   Its status, 0 where nobody knows. */
static int see_off(pid_t pid)
{
    int status = 0;
    pid_t gone = waitpid(pid, &status, WNOHANG);
    if (gone == 0) {
        kill(pid, SIGKILL);
        while ((gone = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
            ;
    }
    return gone == pid ? status : 0;
}

/* 1: it answered; 0: it ended; -1: it hung; -2: there was no child. */
static int ask(unsigned seconds, int *ended_by)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -2;
    pid_t pid = fork();
    if (pid == 0)
        child(ends[1], seconds);
    close(ends[1]);
    int answer = pid < 0 ? -2 : read_answer(ends[0], seconds);
    close(ends[0]);
    if (pid > 0) {
        if (answer == 0) { /* the pipe closes a moment before there is a status */
            struct timespec moment = { 0, 1000000 };
            siginfo_t info = { 0 };
            for (int i = 0; i < 1000 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && !info.si_pid; i++)
                nanosleep(&moment, NULL);
        }
        int status = see_off(pid);
        *ended_by = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    }
    return answer;
}

/* What MBR_OPENCL_TIMEOUT says; what is no number leaves the default, and with it the trial. */
static unsigned seconds_allowed(void)
{
    const char *limit = getenv("MBR_OPENCL_TIMEOUT");
    size_t digits = limit ? strspn(limit, "0123456789") : 0;
    unsigned long n = SECONDS;
    if (digits && !limit[digits])
        n = strtoul(limit, NULL, 10);
    return n < MOST_SECONDS ? (unsigned)n : MOST_SECONDS;
}

const char *mbr_cl_probe(char *text, size_t room)
{
    unsigned seconds = seconds_allowed();
    int ended_by = 0;
    if (seconds == 0)
        return NULL;
    int answer = ask(seconds, &ended_by);
    if (answer == -1)
        answer = ask(seconds, &ended_by);
    if (answer == 1)
        return NULL;
    if (answer == -2)
        snprintf(text, room, "no child process can be started to try its drivers");
    else if (answer == -1)
        snprintf(text, room, "a driver hangs when it is asked for its devices (longer than %u s, see MBR_OPENCL_TIMEOUT)",
                 seconds);
    else if (ended_by)
        snprintf(text, room, "a driver crashes when it is asked for its devices (signal %d)", ended_by);
    else
        snprintf(text, room, "a driver ends the process that asks it for its devices");
    return text;
}
