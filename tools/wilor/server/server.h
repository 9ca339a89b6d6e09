/* The server of `wilor serve`: HTTP, server-sent events and WebSockets over an engine. docs/server.md.
 *
 * It listens from wilor_server_create on, so that /health answers while weights are still loaded; with
 * wilor_server_ready it gets the engine. Its own threads: one that serves all sockets (libwebsockets),
 * two that decode and ask for POST /predict, one that decodes pushed frames, and with share_frames one
 * that encodes the camera's picture. Events come in through wilor_server_sink, on the engine's thread,
 * which never waits for a client. */
#ifndef WILOR_SERVER_H
#define WILOR_SERVER_H

#include "live_engine.h"
#include "server_guard.h"
#include "server_request.h"

typedef struct wilor_server wilor_server;

typedef struct wilor_server_options {
    wilor_server_guard guard; /* its texts, and the others here, must outlive the server */
    int port;                 /* 0: any that is free */
    const char *cert, *key;   /* PEM files, both or neither */
    uint64_t max_body;        /* bytes of a request's body or of a message */
    uint64_t max_pixels;
    bool share_frames;  /* GET /frames.mjpeg */
    const char *stream; /* its name in events */
} wilor_server_options;

/* Bind, and serve from now on. ERR_IO: the address cannot be had, or a file of TLS cannot be used. */
wilor_status wilor_server_create(wilor_server **out, const wilor_server_options *o,
                                 wilor_error *err);
int wilor_server_port(const wilor_server *server);

/* What the server needs once the weights are there. */
typedef struct wilor_server_model {
    wilor_cli_engine *engine; /* stays the caller's, and must outlive wilor_server_stop */
    const wilor_model *model;
    wilor_cli_live_model facts;
    const wilor_server_words *own; /* options for POST /predict, of the command line */
    const char *info;              /* JSON object: what GET /info gives. Copied */
    const float *betas;            /* NULL, or 10 numbers */
} wilor_server_model;

wilor_status wilor_server_ready(wilor_server *server, const wilor_server_model *m,
                                wilor_error *err);

/* A wilor_cli_sink_fn; user is the server, which is ready. */
void wilor_server_sink(void *user, const wilor_cli_live_event *event,
                       const wilor_picture *picture, uint64_t giver);

/* For wilor_cli_engine_options.failed; user is the server: who gave the frame hears why it has no event. */
void wilor_server_failed(void *user, const wilor_cli_frame *frame, const wilor_error *err);

/* Tell all clients of the stream: status "opened", "lost" …; detail NULL or a line. Any thread. */
void wilor_server_tell(wilor_server *server, const char *status, const char *detail);

/* `bye` to all, answers to what is in work, then no thread of the server's runs any more. Sinks may
 * still be called. */
void wilor_server_stop(wilor_server *server, const char *reason);
void wilor_server_free(wilor_server **server);

#endif
