/* From the options of a command to the files that it needs: given, cached, or fetched. */
#ifndef WILOR_CLI_DEFAULT_FILES_H
#define WILOR_CLI_DEFAULT_FILES_H

#include "report.h"

/* The values of the options of those names, NULL where not given. */
typedef struct wilor_cli_wanted_files {
    /* "wilor", "nano", "mini", "mlx", "org/name[@revision][:path]", a path, "random:NAME" */
    const char *weights;
    const char *detector; /* "nano" or a path; the others: paths */
    const char *mano, *mean;
    bool need_detector;
    bool offline;
} wilor_cli_wanted_files;

/* What to open, NULL: nothing. Each is on the heap. */
typedef struct wilor_cli_files {
    char *weights, *detector, *mano, *mean;
    bool nano; /* the weights are the free model that comes with wilor */
} wilor_cli_files;

/* w->weights, else the environment's WILOR_WEIGHTS; NULL: neither. */
const char *wilor_cli_weights_wanted(const wilor_cli_wanted_files *w);

/* Whether the weights are still to be found, perhaps by a download, so that other mistakes should be
 * looked for first; else they are a path that was given. */
bool wilor_cli_files_are_found(const wilor_cli_wanted_files *w);

/* Find, or fetch. Paths that are given are handed through, without a look. On error *f is empty;
 * wilor_cli_hub_exit gives the exit status. */
wilor_status wilor_cli_files_find(wilor_cli_files *f, const wilor_cli_wanted_files *w,
                                  wilor_cli_report *report, wilor_error *err);
void wilor_cli_files_free(wilor_cli_files *f);

#endif
