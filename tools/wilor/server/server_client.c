/* Connections: from accept to close, with what they hold in memory. */
#include "server_impl.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SECONDS = 15 /* from connecting to the first whole head of a request */ };

wilor_server_client *wilor_server_client_of(struct lws *wsi) {
    return lws_get_opaque_user_data(wsi);
}

void wilor_server_client_new(wilor_server *s, struct lws *wsi) {
    wilor_server_client *c = calloc(1, sizeof *c);
    if (!c) { /* its requests get no answer */
        lws_set_timeout(wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
        return;
    }
    c->wsi = wsi;
    c->id = ++s->last_id;
    c->deadline = wilor_cli_nanoseconds() + FIRST_SECONDS * WILOR_SERVER_SECOND;
    c->next = s->clients;
    if (c->next)
        c->next->before = c;
    s->clients = c;
    s->client_count++;
    lws_set_opaque_user_data(wsi, c);
}

bool wilor_server_client_stream(wilor_server *s, wilor_server_client *c,
                                wilor_server_kind kind) {
    if (s->stream_count >= WILOR_SERVER_STREAMS_MOST || s->leaving)
        return false;
    s->stream_count++;
    c->kind = kind;
    c->deadline = 0;
    if (kind == WILOR_SERVER_MJPEG)
        atomic_fetch_add(&s->watchers, 1);
    else if (kind == WILOR_SERVER_RECORD)
        atomic_fetch_add(&s->record_readers, 1);
    else
        atomic_fetch_add(&s->json_readers, 1);
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
    return true;
}

static void leave_stream(wilor_server *s, wilor_server_client *c) {
    if (c->kind == WILOR_SERVER_HTTP)
        return;
    s->stream_count--;
    if (c->kind == WILOR_SERVER_MJPEG)
        atomic_fetch_sub(&s->watchers, 1);
    else if (c->kind == WILOR_SERVER_RECORD)
        atomic_fetch_sub(&s->record_readers, 1);
    else
        atomic_fetch_sub(&s->json_readers, 1);
}

/* What belongs to one request; the connection may bring another. */
void wilor_server_client_request_end(wilor_server *s, wilor_server_client *c) {
    wilor_server_words_free(&c->words);
    wilor_server_body_drop(s, c);
    if (c->answer)
        wilor_server_job_free(s, c->answer);
    c->answer = NULL;
    c->busy = c->binary = c->json = c->raw = c->head = false;
    c->route = NULL;
    c->origin[0] = c->width[0] = c->height[0] = c->format[0] = 0;
    c->deadline = 0; /* libwebsockets ends idle connections itself */
}

void wilor_server_client_gone(wilor_server *s, struct lws *wsi) {
    wilor_server_client *c = wilor_server_client_of(wsi);
    if (!c)
        return;
    lws_set_opaque_user_data(wsi, NULL);
    leave_stream(s, c);
    wilor_server_client_request_end(s, c);
    if (c->note)
        wilor_server_note_drop(s, c->note);
    if (c->still)
        wilor_server_still_drop(s, c->still);
    free(c->word);
    *(c->before ? &c->before->next : &s->clients) = c->next;
    if (c->next)
        c->next->before = c->before;
    s->client_count--;
    free(c);
}

wilor_server_client *wilor_server_client_find(wilor_server *s, uint64_t id) {
    wilor_server_client *c = s->clients;
    while (c && c->id != id)
        c = c->next;
    return c;
}

void wilor_server_client_write(wilor_server_client *c) {
    if (!c->waiting)
        c->waiting = wilor_cli_nanoseconds();
    lws_callback_on_writable(c->wsi);
}

void wilor_server_client_heard(wilor_server_client *c) {
    c->heard = wilor_cli_nanoseconds();
    c->asked = false;
}

void wilor_server_client_kill(wilor_server_client *c) {
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

bool wilor_server_body_add(wilor_server *s, wilor_server_client *c, const void *data,
                           size_t size) {
    enum { FIRST = 16384 };

    size_t budget = (size_t)s->o.max_body * 4;
    if (budget < (size_t)256 << 20)
        budget = (size_t)256 << 20;
    if (size > c->room - c->size) {
        size_t room = c->room ? c->room : FIRST;
        while (size > room - c->size)
            room *= 2; /* at most twice max_body, which is checked before */
        if (atomic_load(&s->held) + (room - c->room) > budget)
            return false;
        uint8_t *grown = realloc(c->body, room);
        if (!grown)
            return false;
        atomic_fetch_add(&s->held, room - c->room);
        c->body = grown;
        c->room = room;
    }
    if (size)
        memcpy(c->body + c->size, data, size);
    c->size += size;
    return true;
}

void wilor_server_body_drop(wilor_server *s, wilor_server_client *c) {
    atomic_fetch_sub(&s->held, c->room);
    free(c->body);
    c->body = NULL;
    c->size = c->room = 0;
}
