/* Inside the server. Which thread may touch what: everything of a connection, and lists of them, belongs
 * to the service thread; what is under `lock` says so; the rest is constant after its time. */
#ifndef WILOR_SERVER_IMPL_H
#define WILOR_SERVER_IMPL_H

#include "live_json.h"
#include "live_record.h"
#include "report.h"
#include "server.h"
#include "server_limits.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    WILOR_SERVER_INBOX = 32, /* events between engine and service thread */
    WILOR_SERVER_STAGES = 7,
    WILOR_SERVER_BUCKETS = 12
};

#define WILOR_SERVER_SECOND ((int64_t)1000000000)

/* An event, ready to be sent to any number of clients. */
typedef struct wilor_server_note {
    struct wilor_server_note *next;
    unsigned refs; /* service thread, once it has it */
    uint64_t giver, frame;
    unsigned dropped;
    bool with_json, with_record;
    wilor_cli_buffer json;
    size_t dropped_at, dropped_end; /* the digits of its "dropped" */
    uint8_t *record;
    size_t record_size, record_room;
} wilor_server_note;

/* A picture of the camera as JPEG. */
typedef struct wilor_server_still {
    unsigned refs; /* under lock */
    uint8_t *jpeg;
    size_t size;
} wilor_server_still;

/* A request for POST /predict on its way through the workers. */
typedef struct wilor_server_job {
    struct wilor_server_job *next;
    uint64_t client; /* id of its connection, which may be gone by the time of the answer */
    wilor_server_ask ask;
    uint8_t *body;
    size_t size, counted;
    bool json, raw, binary;
    char width[16], height[16], format[16];
    /* The answer. */
    bool asked, answered; /* under lock: what the engine's thread has made of it */
    int status;           /* of HTTP */
    int retry;            /* seconds; 0: not said */
    char detail[512];
    wilor_cli_buffer out;
} wilor_server_job;

/* A frame that a client pushed and that waits to be decoded. */
typedef struct wilor_server_push {
    struct wilor_server_push *next;
    uint64_t client, number;
    int64_t arrival;
    uint8_t *message;
    size_t size, counted;
} wilor_server_push;

typedef enum wilor_server_kind {
    WILOR_SERVER_HTTP = 0,
    WILOR_SERVER_SSE,
    WILOR_SERVER_MJPEG,
    WILOR_SERVER_JSON,  /* WebSocket, wilor.v1.json */
    WILOR_SERVER_RECORD /* WebSocket, wilor.v1.bin */
} wilor_server_kind;

struct wilor_server_route;

typedef struct wilor_server_client {
    struct wilor_server_client *next, *before;
    struct lws *wsi;
    uint64_t id;
    wilor_server_kind kind;
    int64_t deadline; /* CLOCK_MONOTONIC ns; 0: none */
    int64_t waiting;  /* since when it has been asked to take something; 0: it has taken all */
    /* A request. */
    const struct wilor_server_route *route;
    bool head, binary, json, raw;
    char width[16], height[16], format[16];
    char origin[256]; /* to be answered with, for CORS; "" */
    wilor_server_words words;
    uint8_t *body; /* also a WebSocket message in parts */
    size_t size, room;
    bool overflow; /* of a message: there is no memory for it, its rest is skipped */
    wilor_server_job *answer;
    bool busy; /* a job of its is on the way */
    /* A stream. */
    wilor_server_note *note; /* the newest event that it has not got */
    wilor_server_still *still;
    bool greeted, farewell;
    bool informed;    /* its hello had the model's facts, or it was told that it is loaded */
    int64_t heard;    /* a WebSocket's last sign of life */
    bool asked, ping; /* for another one; the question is still to be sent */
    bool any;         /* it has got an event */
    unsigned dropped; /* frames since the last event that it got */
    char *word;       /* a status or an error to be sent; on the heap */
    int64_t pushed;   /* when it last pushed a frame or had an answer to one; 0: never */
    bool waits;       /* its last frame has had no answer yet */
    uint64_t frames;  /* that it pushed */
} wilor_server_client;

struct wilor_server {
    wilor_server_options o;
    char address[64];
    int port;
    struct lws_context *context;
    struct lws_vhost *vhost;
    lws_sorted_usec_list_t sweep;
    struct lws_protocols protocols[3];
    pthread_t service, predict[2], push, share;
    bool has_service, has_workers, has_share;

    /* The service thread's. */
    wilor_server_client *clients;
    int client_count, stream_count;
    bool told_ready; /* it knows of `ready`, and has told the clients */
    uint64_t last_id;
    uint8_t *scratch; /* a message being put together */
    size_t scratch_room;
    bool leaving;
    int64_t leaving_since;

    pthread_mutex_t lock;
    pthread_cond_t wake;  /* work for the workers */
    pthread_cond_t asked; /* a job was answered by the engine */
    wilor_server_model m; /* once ready */
    char *info;
    bool ready;
    bool stopping; /* no new work */
    bool over;     /* bye to all */
    bool closed;   /* the service thread has ended, or is about to */
    char reason[64];
    uint64_t last_seq;
    wilor_server_note *inbox[WILOR_SERVER_INBOX];
    int inbox_count;
    unsigned inbox_lost; /* frames of events that the service thread never saw */
    wilor_server_note *spare;
    wilor_server_job *jobs, *jobs_end, *done;
    int job_count;
    wilor_server_push *pushes;
    char *word; /* for all clients */
    uint64_t stage_count[WILOR_SERVER_STAGES][WILOR_SERVER_BUCKETS + 1];
    double stage_sum[WILOR_SERVER_STAGES];
    wilor_picture shared; /* the newest picture for the encoder, in shared_pixels */
    uint8_t *shared_pixels;
    size_t shared_room;
    bool shared_new;
    wilor_server_still *still; /* the newest one, for the service thread */

    atomic_int json_readers, record_readers, watchers;
    atomic_size_t held; /* bytes of bodies and messages in memory, of all clients */
};

/* Wake the service thread, if it still runs. Not under lock. */
void wilor_server_poke(wilor_server *s);

/* server_listen.c */
wilor_status wilor_server_listen(wilor_server *s, wilor_error *err);
int wilor_server_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                          void *in, size_t size);
void wilor_server_sweep(lws_sorted_usec_list_t *sul);

/* server_client.c: connections. */
wilor_server_client *wilor_server_client_of(struct lws *wsi);
void wilor_server_client_new(wilor_server *s, struct lws *wsi);
void wilor_server_client_gone(wilor_server *s, struct lws *wsi);
wilor_server_client *wilor_server_client_find(wilor_server *s, uint64_t id);
/* It becomes a reader of events or frames. False: there are too many. */
bool wilor_server_client_stream(wilor_server *s, wilor_server_client *c,
                                wilor_server_kind kind);
void wilor_server_client_request_end(wilor_server *s, wilor_server_client *c);
void wilor_server_client_write(wilor_server_client *c);
void wilor_server_client_heard(wilor_server_client *c);
void wilor_server_client_kill(wilor_server_client *c);
/* Append to the body. False: no memory, or all clients together hold too much. */
bool wilor_server_body_add(wilor_server *s, wilor_server_client *c, const void *data,
                           size_t size);
void wilor_server_body_drop(wilor_server *s, wilor_server_client *c);

/* server_route.c: requests. Each gives what the callback of libwebsockets gives. */
int wilor_server_upgrade(wilor_server *s, struct lws *wsi, const char *protocol);
int wilor_server_request(wilor_server *s, struct lws *wsi, const char *path);
int wilor_server_request_body(wilor_server *s, wilor_server_client *c, const void *data,
                              size_t size);
int wilor_server_request_whole(wilor_server *s, wilor_server_client *c);
int wilor_server_request_answer(wilor_server *s, wilor_server_client *c);

/* server_reply.c */
typedef struct wilor_server_reply {
    int status;
    const char *type;   /* of the content; NULL: there is none */
    const char *header; /* further header lines, each with \r\n; NULL: none */
    const void *body;
    size_t size;
    int retry; /* seconds, Retry-After; 0: not said */
} wilor_server_reply;

int wilor_server_send(wilor_server *s, wilor_server_client *c, const wilor_server_reply *r);
/* problem+json; then the connection is done with. */
int wilor_server_problem(wilor_server *s, wilor_server_client *c, int status, int retry,
                         const char *header, const char *format, ...) WILOR_CLI_PRINTF(6, 7);
/* The head of a stream without an end. */
int wilor_server_send_head(wilor_server *s, wilor_server_client *c, const char *type);
const char *wilor_server_status_text(int status);

/* server_hub.c: events to clients. */
void wilor_server_hub_take(wilor_server *s); /* what other threads have left */
int wilor_server_hub_write(wilor_server *s, wilor_server_client *c);
void wilor_server_note_drop(wilor_server *s, wilor_server_note *note);
void wilor_server_still_drop(wilor_server *s, wilor_server_still *still);
int wilor_server_receive(wilor_server *s, wilor_server_client *c, const void *data,
                         size_t size);
/* A message of JSON for one client; takes ownership of text, which may be NULL. */
void wilor_server_say(wilor_server_client *c, char *text);
void wilor_server_say_error(wilor_server *s, wilor_server_client *c, int code,
                            const char *message);

/* server_work.c */
wilor_status wilor_server_work_begin(wilor_server *s, wilor_error *err);
void wilor_server_work_end(wilor_server *s);
void wilor_server_job_free(wilor_server *s, wilor_server_job *job);
void wilor_server_push_free(wilor_server *s, wilor_server_push *push);
/* False: too many wait. */
bool wilor_server_job_put(wilor_server *s, wilor_server_job *job);
/* Takes the place of a frame of the same client that waits: the number of frames dropped, 0 or 1. */
unsigned wilor_server_push_put(wilor_server *s, wilor_server_push *push);

/* server_share.c */
wilor_status wilor_server_share_begin(wilor_server *s, wilor_error *err);
void wilor_server_share_take(wilor_server *s, const wilor_picture *picture);

/* server_metrics.c */
void wilor_server_metrics_count(wilor_server *s, const wilor_cli_live_timing *t);
void wilor_server_metrics_text(wilor_server *s, wilor_cli_buffer *b);
/* {"faces":[…]}, without the braces: `"faces":[[0,1,2],…]`. */
void wilor_server_faces_text(wilor_cli_buffer *b, const wilor_model *model, wilor_side side);

/* page.c, made at build time */
extern const unsigned char wilor_server_page[];
extern const size_t wilor_server_page_size;

#endif
