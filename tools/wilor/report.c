/* Messages and progress on stderr. Results never go here, and nothing but them goes to stdout. */
#include "report.h"

#include "system_process.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t wilor_cli_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double wilor_cli_seconds(void) { return 1e-9 * (double)wilor_cli_nanoseconds(); }

void wilor_cli_report_begin(wilor_cli_report *r, bool quiet) {
    *r = (wilor_cli_report){0};
    r->quiet = quiet;
    r->terminal = wilor_sys_is_terminal(STDERR_FILENO);
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

/* Columns of the terminal. */
static size_t columns(void) {
    unsigned known = wilor_sys_terminal_columns();
    return known ? known : 80;
}

/* The bar takes what the numbers leave, always the same; a narrow terminal has the numbers alone,
 * cut. */
static void draw(const char *numbers, double part) {
    enum { LEAST = 8, MOST = 40, NUMBERS = 62 };

    size_t width = columns() - 1, used = strlen(numbers);
    size_t room = width > NUMBERS + 3 ? width - NUMBERS - 3 : 0;
    room = room < MOST ? room : MOST;
    fputs("\r\033[K", stderr);
    if (room >= LEAST) {
        fputc('[', stderr);
        for (size_t i = 0; i < room; i++)
            fputc((double)i < part * (double)room ? '#' : '-', stderr);
        fputs("] ", stderr);
    }
    fprintf(stderr, "%.*s", (int)(used < width ? used : width), numbers);
    fflush(stderr);
}

void wilor_cli_report_pictures(wilor_cli_report *r, const wilor_cli_progress *p) {
    char text[160];
    if (p->total < 2 || !due(r))
        return;
    double elapsed = r->drawn - r->started;
    int n = snprintf(text, sizeof text, "%zu/%zu", p->done, p->total);
    if (p->done > p->before && elapsed > 0) {
        double rate = (double)(p->done - p->before) / elapsed;
        double left = (double)(p->total - p->done) / rate;
        unsigned long seconds = left < 1e9 ? (unsigned long)(left + 0.5) : 999999999ul;
        snprintf(text + n, sizeof text - (size_t)n,
                 "  %.3g pictures/s  %.3g hands/s  %lu:%02lu:%02lu left", rate,
                 (double)p->hands / elapsed, seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    draw(text, (double)p->done / (double)p->total);
}

void wilor_cli_report_loading(wilor_cli_report *r, const char *what, uint64_t done,
                              uint64_t total) {
    if (total == 0 || !due(r))
        return;
    fprintf(stderr, "\r\033[K%s: %.0f %% of %.3g GB", what,
            100.0 * (double)done / (double)total, (double)total * 1e-9);
    fflush(stderr);
}
