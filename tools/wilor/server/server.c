/* The server from beginning to end: creation, the service thread, readiness, the last words. */
#include "server_impl.h"

#include <stdlib.h>
#include <string.h>

enum { LEAVE_SECONDS = 3 /* for the last words */ };

static bool all_left(const wilor_server *s) {
    return s->leaving && (s->client_count == 0 || wilor_cli_nanoseconds() - s->leaving_since >
                                                      LEAVE_SECONDS * WILOR_SERVER_SECOND);
}

static void *serve(void *user) {
    wilor_server *s = user;
    while (!all_left(s) && lws_service(s->context, 0) >= 0)
        continue;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    pthread_mutex_unlock(&s->lock);
    lws_context_destroy(s->context);
    return NULL;
}

wilor_status wilor_server_create(wilor_server **out, const wilor_server_options *o,
                                 wilor_error *err) {
    wilor_server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    s->o = *o;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    pthread_cond_init(&s->asked, NULL);
    wilor_status st = wilor_server_listen(s, err);
    if (st == WILOR_OK && pthread_create(&s->service, NULL, serve, s) == 0)
        s->has_service = true;
    else if (st == WILOR_OK)
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "no more threads can be had");
    if (st != WILOR_OK) {
        if (s->context)
            lws_context_destroy(s->context);
        wilor_server_free(&s);
    }
    *out = s;
    return st;
}

int wilor_server_port(const wilor_server *server) { return server->port; }

wilor_status wilor_server_ready(wilor_server *s, const wilor_server_model *m,
                                wilor_error *err) {
    char *info = strdup(m->info);
    if (!info)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    pthread_mutex_lock(&s->lock);
    s->m = *m;
    s->m.info = NULL;
    s->info = info;
    pthread_mutex_unlock(&s->lock);
    wilor_status st = wilor_server_work_begin(s, err);
    if (st == WILOR_OK && s->o.share_frames)
        st = wilor_server_share_begin(s, err);
    if (st != WILOR_OK)
        return st;
    pthread_mutex_lock(&s->lock);
    s->ready = true;
    pthread_mutex_unlock(&s->lock);
    wilor_server_poke(s);
    return WILOR_OK;
}

void wilor_server_tell(wilor_server *s, const char *status, const char *detail) {
    wilor_cli_buffer b = {0};
    wilor_cli_stream_name name = {s->o.stream, NULL};
    if (wilor_cli_live_json_status(&b, &name, status, detail, NULL) != WILOR_OK) {
        wilor_cli_buffer_free(&b);
        return;
    }
    pthread_mutex_lock(&s->lock);
    free(s->word); /* the newest counts */
    s->word = b.text;
    pthread_mutex_unlock(&s->lock);
    wilor_server_poke(s);
}

void wilor_server_stop(wilor_server *s, const char *reason) {
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    wilor_server_work_end(s);
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_mutex_unlock(&s->lock);
    wilor_server_poke(s);
    if (s->has_service)
        pthread_join(s->service, NULL);
    s->has_service = false;
}

static void free_note(wilor_server_note *note) {
    wilor_cli_buffer_free(&note->json);
    free(note->record);
    free(note);
}

static void free_lists(wilor_server *s) {
    for (int i = 0; i < s->inbox_count; i++)
        free_note(s->inbox[i]);
    for (wilor_server_note *note = s->spare, *next; note; note = next) {
        next = note->next;
        free_note(note);
    }
    for (wilor_server_job *job = s->done, *next; job; job = next) {
        next = job->next;
        wilor_server_job_free(s, job);
    }
    if (s->still)
        wilor_server_still_drop(s, s->still);
}

void wilor_server_free(wilor_server **server) {
    wilor_server *s = *server;
    *server = NULL;
    if (!s)
        return;
    free_lists(s);
    pthread_cond_destroy(&s->asked);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s->word);
    free(s->info);
    free(s->scratch);
    free(s->shared_pixels);
    free(s);
}
