/* Detector and model as the options want them: found, fetched, loaded, packed weights kept. */
#ifndef WILOR_CLI_MODEL_OPEN_H
#define WILOR_CLI_MODEL_OPEN_H

#include "default_files.h"
#include "packed_cache.h"
#include "predict_options.h"
#include "report.h"

typedef struct wilor_cli_opened {
    wilor_cli_files files;       /* what the options point at, when it was looked for */
    wilor_cli_packed_use packed; /* of the cache */
    wilor_detector *detector;    /* NULL where no detector is wanted */
    wilor_model *model;
} wilor_cli_opened;

/* Nothing is open; due before anything else. */
void wilor_cli_opened_init(wilor_cli_opened *m);

/* Files that the options name and that are simply not there: ERR_MISSING. */
wilor_status wilor_cli_model_files_check(const wilor_cli_predict_options *o, wilor_error *err);

/* From here on the options name files. Late: a download should not precede a mistyped picture. */
wilor_status wilor_cli_model_files_find(wilor_cli_opened *m, wilor_cli_predict_options *o,
                                        wilor_cli_report *report, wilor_error *err);

wilor_status wilor_cli_model_open(wilor_cli_opened *m, const wilor_cli_predict_options *o,
                                  wilor_cli_report *report, wilor_error *err);

/* Both, for commands with nothing in between: 0, or the exit status, with *err filled unless that is
 * INTERRUPTED. */
int wilor_cli_model_get(wilor_cli_opened *m, wilor_cli_predict_options *o,
                        wilor_cli_report *report, wilor_error *err);
void wilor_cli_opened_close(wilor_cli_opened *m);

#endif
