/* Where a stream's events go: standard output or a file, arrays, takes, a video, OSC, shared memory. */
#ifndef WILOR_CLI_LIVE_OUTPUTS_H
#define WILOR_CLI_LIVE_OUTPUTS_H

#include "live_engine.h"
#include "live_options.h"
#include "live_source.h"

typedef struct wilor_cli_outputs wilor_cli_outputs;

/* What can be opened before the model. */
wilor_status wilor_cli_outputs_open(wilor_cli_outputs **out, const wilor_cli_live_options *o,
                                    wilor_error *err);
/* The rest, and the engine gets its sinks. The source's info says what an overlay video is to be like. */
wilor_status wilor_cli_outputs_begin(wilor_cli_outputs *o, wilor_cli_engine *engine,
                                     const wilor_model *model, const wilor_video_info *info,
                                     wilor_error *err);
/* hello, status, error and bye, between the events. Any thread. */
void wilor_cli_outputs_hello(wilor_cli_outputs *o,
                             const char *info); /* info: JSON text, or NULL */
void wilor_cli_outputs_status(wilor_cli_outputs *o, const char *status, const char *detail);
void wilor_cli_outputs_error(wilor_cli_outputs *o, const char *message);
void wilor_cli_outputs_bye(wilor_cli_outputs *o, const char *reason);

/* Whether something could not be written: then the run should end. Any thread. */
bool wilor_cli_outputs_failed(wilor_cli_outputs *o);
/* Nobody reads the standard output any more: that is not to be told. */
bool wilor_cli_outputs_closed(const wilor_cli_outputs *o);

/* After the engine's end, before bye: what waited for it (--two-sided) is given out. */
void wilor_cli_outputs_settle(wilor_cli_outputs *o);
/* Complete all files, after that. The first error of the whole run. */
wilor_status wilor_cli_outputs_finish(wilor_cli_outputs *o, wilor_error *err);
/* Hands given out so far. */
uint64_t wilor_cli_outputs_hands(const wilor_cli_outputs *o);
void wilor_cli_outputs_free(wilor_cli_outputs **o); /* discards what is not finished */

#endif
