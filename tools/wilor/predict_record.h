/* The event of a picture as a binary record: docs/events.md. */
#ifndef WILOR_CLI_PREDICT_RECORD_H
#define WILOR_CLI_PREDICT_RECORD_H

#include "event_json.h"

/* picture: its place in the run, from 0, which is the record's seq and frame. Hands that failed are left out, the
 * others have the ids 1, 2 … The caller frees *out. */
wilor_status wilor_cli_predict_record(char **out, size_t *size, const wilor_cli_event *e,
                                      size_t picture, const wilor_model *model,
                                      const wilor_hands *hands, wilor_error *err);

#endif
