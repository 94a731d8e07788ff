/* The clocks of one process, as the files in the folder that CLOCKS names have them: `wall` moves the wall clock by
 * so many seconds, `still` makes the clock of all timers stand at that second. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long said(const char *name) {
    char path[4096], text[32] = {0};
    const char *folder = getenv("CLOCKS");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    long number = read(file, text, sizeof text - 1) > 0 ? atol(text) : 0;
    close(file);
    return number;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += said("wall");
    if (clock == CLOCK_MONOTONIC) {
        long still = said("still");
        if (still) *now = (struct timespec){.tv_sec = still};
    }
    return result;
}
