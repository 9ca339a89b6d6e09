/* A bar with size, rate and time left, at most ten times a second, only on a terminal; elsewhere one line
 * a file. */
#include "hub_calls.h"

#include "commands.h"
#include "interrupt.h"
#include <stdio.h>
#include <string.h>

enum { BAR = 24 };

const char *wilor_cli_bytes(char out[WILOR_CLI_BYTES], double bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int unit = 0;
    while (unit < 4 && bytes >= 999.5) {
        bytes /= 1000;
        unit++;
    }
    snprintf(out, WILOR_CLI_BYTES, "%.3g %s", bytes, units[unit]);
    return out;
}

int wilor_cli_hub_exit(wilor_status status) {
    return status == WILOR_OK                ? WILOR_CLI_DONE
           : status == WILOR_ERR_CANCELLED   ? WILOR_CLI_INTERRUPTED
           : status == WILOR_ERR_MISSING     ? WILOR_CLI_NO_MODEL
           : status == WILOR_ERR_UNSUPPORTED ? WILOR_CLI_NO_MODEL
           : status == WILOR_ERR_ARG         ? WILOR_CLI_USAGE
                                             : WILOR_CLI_FAILED;
}

static void logged(void *user, wilor_log_level level, const char *text) {
    wilor_cli_hub_calls *c = user;
    (void)level;
    wilor_cli_report_note(c->report, "%s", text);
}

static void draw(const wilor_cli_hub_calls *c, uint64_t done, uint64_t total, double now) {
    char bar[BAR + 1], size[WILOR_CLI_BYTES], rate[WILOR_CLI_BYTES];
    double elapsed = now - c->started;
    double speed = elapsed > 0.2 ? (double)(done - c->from) / elapsed : 0;
    double part = total ? (double)done / (double)total : 0;
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(part * BAR) ? '#' : '-';
    bar[BAR] = 0;
    fprintf(stderr, "\r\033[K%s", c->what);
    if (total)
        fprintf(stderr, " [%s] %.0f %% of %s", bar, 100 * part,
                wilor_cli_bytes(size, (double)total));
    else
        fprintf(stderr, " %s", wilor_cli_bytes(size, (double)done));
    if (speed > 0)
        fprintf(stderr, ", %s/s", wilor_cli_bytes(rate, speed));
    if (speed > 0 && total) {
        double left = (double)(total - done) / speed;
        unsigned long s = left < 1e7 ? (unsigned long)left : 9999999;
        fprintf(stderr, ", %lu:%02lu:%02lu left", s / 3600, s / 60 % 60, s % 60);
    }
    fflush(stderr);
}

static void progress(void *user, const char *what, uint64_t done, uint64_t total) {
    wilor_cli_hub_calls *c = user;
    wilor_cli_report *r = c->report;
    char name[sizeof c->what], size[WILOR_CLI_BYTES];
    double now = wilor_cli_seconds();
    snprintf(name, sizeof name, "%.60s", wilor_cli_base_name(what));
    if (strcmp(name, c->what) != 0 || done < c->last) {
        snprintf(c->what, sizeof c->what, "%s", name);
        c->started = now;
        c->from = done;
        r->drawn = 0;
        if (!r->terminal && total > 1000000)
            wilor_cli_report_note(r, "%s: %s", name, wilor_cli_bytes(size, (double)total));
    }
    c->last = done;
    if (!r->terminal || r->quiet || (r->shown && now - r->drawn < 0.1))
        return;
    r->drawn = now;
    r->shown = true;
    draw(c, done, total, now);
}

wilor_callbacks wilor_cli_hub_calls_begin(wilor_cli_hub_calls *c, wilor_cli_report *report) {
    *c = (wilor_cli_hub_calls){.report = report};
    /* Quiet: the library is to know that nobody saw the notice on licences. */
    return (wilor_callbacks){.user = c,
                             .log = report->quiet ? NULL : logged,
                             .progress = progress,
                             .cancel = wilor_cli_cancel};
}
