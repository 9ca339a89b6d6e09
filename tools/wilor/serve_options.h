/* The command line of `wilor serve`, checked and converted. */
#ifndef WILOR_CLI_SERVE_OPTIONS_H
#define WILOR_CLI_SERVE_OPTIONS_H

#include "live_options.h"

enum { WILOR_CLI_TOKEN_ROOM = 128 };

typedef struct wilor_cli_serve_options {
    wilor_cli_predict_options p;
    wilor_cli_tracking_options tracking;
    wilor_cli_source_options source; /* source.source NULL: frames come from clients only */
    const char *stream;              /* the events' name of it */
    const char *host, *token_file, *cert, *key, *cors;
    int port;
    uint64_t max_body;
    bool share_frames;
    char token[WILOR_CLI_TOKEN_ROOM]; /* of the token file; "" without one */
} wilor_cli_serve_options;

/* argv are the words behind `serve`. As wilor_cli_predict_options_parse; free o->p after it. */
wilor_status wilor_cli_serve_options_parse(wilor_cli_serve_options *o, int argc, char **argv,
                                           wilor_error *err);
/* Read --token-file: its first line. *loose: others on the machine may read it. */
wilor_status wilor_cli_serve_token_read(wilor_cli_serve_options *o, bool *loose,
                                        wilor_error *err);
void wilor_cli_serve_help(FILE *to);

#endif
