/* Messages and progress on stderr. Results never go here, and nothing but them goes to stdout. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double wilor_cli_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void wilor_cli_report_begin(wilor_cli_report *r, bool quiet) {
    *r = (wilor_cli_report){0};
    r->quiet = quiet;
    r->terminal = isatty(STDERR_FILENO) == 1;
    r->started = wilor_cli_seconds();
}

void wilor_cli_report_clear(wilor_cli_report *r) {
    if (r->shown)
        fputs("\r\033[K", stderr);
    r->shown = false;
    r->drawn = 0;
}

static void say(wilor_cli_report *r, const char *format, va_list args) {
    wilor_cli_report_clear(r);
    fputs("wilor: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void wilor_cli_report_error(wilor_cli_report *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    say(r, format, args);
    va_end(args);
}

void wilor_cli_report_note(wilor_cli_report *r, const char *format, ...) {
    if (r->quiet)
        return;
    va_list args;
    va_start(args, format);
    say(r, format, args);
    va_end(args);
}

/* Whether it is time to draw a progress line again. */
static bool due(wilor_cli_report *r) {
    if (!r->terminal || r->quiet)
        return false;
    double now = wilor_cli_seconds();
    if (r->shown && now - r->drawn < 0.1)
        return false;
    r->drawn = now;
    r->shown = true;
    return true;
}

void wilor_cli_report_pictures(wilor_cli_report *r, size_t done, size_t total) {
    if (total < 2 || !due(r))
        return;
    double elapsed = r->drawn - r->started;
    fprintf(stderr, "\r\033[K%zu/%zu", done, total);
    if (done > 0 && elapsed > 0) {
        double rate = (double)done / elapsed;
        double left = (double)(total - done) / rate;
        unsigned long seconds = left < 1e9 ? (unsigned long)left : 999999999ul;
        fprintf(stderr, ", %.3g a second, %lu:%02lu:%02lu left", rate, seconds / 3600,
                seconds / 60 % 60, seconds % 60);
    }
    fflush(stderr);
}

void wilor_cli_report_loading(wilor_cli_report *r, const char *what, uint64_t done,
                              uint64_t total) {
    if (total == 0 || !due(r))
        return;
    fprintf(stderr, "\r\033[K%s: %.0f %% of %.3g GB", what,
            100.0 * (double)done / (double)total, (double)total * 1e-9);
    fflush(stderr);
}
