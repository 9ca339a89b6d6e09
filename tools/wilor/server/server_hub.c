/* Events to clients, each at its own pace.
 *
 * The engine's thread makes an event ready once for all clients and leaves it in the inbox. The service
 * thread hands it to every client that wants it; one that still has an earlier one waiting loses that and
 * counts it as dropped. So there is at most one event a client in memory besides what its socket holds,
 * which server_listen.c keeps small. */
#include "server_impl.h"

#include "wilor/wilor_io.h"
#include <stdlib.h>
#include <string.h>

void wilor_server_poke(wilor_server *s) {
    pthread_mutex_lock(&s->lock);
    if (!s->closed)
        lws_cancel_service(s->context); /* writes to a pipe, never waits */
    pthread_mutex_unlock(&s->lock);
}

/* ---------------------------------------------------------------- on the engine's thread */

static wilor_server_note *take_spare(wilor_server *s) {
    pthread_mutex_lock(&s->lock);
    wilor_server_note *note = s->spare;
    if (note)
        s->spare = note->next;
    pthread_mutex_unlock(&s->lock);
    return note ? note : calloc(1, sizeof *note);
}

/* Where the number behind "dropped": is. A string's quotes are escaped, so that it has no such text. */
static bool find_dropped(wilor_server_note *note) {
    static const char key[] = "\"dropped\":";
    const char *at = memmem(note->json.text, note->json.used, key, sizeof key - 1);
    if (!at)
        return false;
    note->dropped_at = (size_t)(at - note->json.text) + sizeof key - 1;
    note->dropped_end =
        note->dropped_at + strspn(note->json.text + note->dropped_at, "0123456789");
    return true;
}

static void fill_json(wilor_server_note *note, const wilor_cli_live_event *e) {
    note->with_json =
        wilor_cli_live_json(&note->json, e, NULL) == WILOR_OK && find_dropped(note);
}

static void fill_record(wilor_server_note *note, const wilor_cli_live_event *e) {
    size_t size = wilor_cli_record_size(e, NULL);
    if (size > note->record_room) {
        uint8_t *grown = realloc(note->record, size);
        if (!grown)
            return;
        note->record = grown;
        note->record_room = size;
    }
    note->record_size = wilor_cli_record_write(note->record, note->record_room, e, NULL);
    note->with_record = note->record_size > 0;
}

/* Full when the service thread is held up for long: the oldest goes, and all count it. */
static wilor_server_note *put_inbox(wilor_server *s, wilor_server_note *note) {
    wilor_server_note *lost = NULL;
    if (s->inbox_count == WILOR_SERVER_INBOX) {
        lost = s->inbox[0];
        s->inbox_lost += 1 + lost->dropped;
        memmove(s->inbox, s->inbox + 1, (WILOR_SERVER_INBOX - 1) * sizeof *s->inbox);
        s->inbox_count--;
    }
    s->inbox[s->inbox_count++] = note;
    return lost;
}

void wilor_server_sink(void *user, const wilor_cli_live_event *event,
                       const wilor_picture *picture, uint64_t giver) {
    wilor_server *s = user;
    wilor_server_metrics_count(s, &event->timing);
    if (giver == 0 && picture && s->has_share && atomic_load(&s->watchers) > 0)
        wilor_server_share_take(s, picture);
    bool json = atomic_load(&s->json_readers) > 0, record = atomic_load(&s->record_readers) > 0;
    wilor_server_note *note = json || record ? take_spare(s) : NULL;
    if (!note)
        return;
    note->giver = giver;
    note->frame = event->frame;
    note->dropped = event->dropped;
    note->refs = 0;
    note->with_json = note->with_record = false;
    if (json)
        fill_json(note, event);
    if (record)
        fill_record(note, event);
    pthread_mutex_lock(&s->lock);
    s->last_seq = event->seq;
    wilor_server_note *lost = put_inbox(s, note);
    if (lost) {
        lost->next = s->spare;
        s->spare = lost;
    }
    pthread_mutex_unlock(&s->lock);
    wilor_server_poke(s);
}

/* ---------------------------------------------------------------- on the service thread */

void wilor_server_note_drop(wilor_server *s, wilor_server_note *note) {
    if (--note->refs > 0)
        return;
    pthread_mutex_lock(&s->lock);
    note->next = s->spare;
    s->spare = note;
    pthread_mutex_unlock(&s->lock);
}

void wilor_server_still_drop(wilor_server *s, wilor_server_still *still) {
    pthread_mutex_lock(&s->lock);
    bool last = --still->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (last) {
        wilor_bytes_free(still->jpeg);
        free(still);
    }
}

/* ---------------------------------------------------------------- messages out */

static bool reserve(wilor_server *s, size_t size) {
    if (LWS_PRE + size <= s->scratch_room)
        return true;
    uint8_t *grown = realloc(s->scratch, LWS_PRE + size);
    if (!grown)
        return false;
    s->scratch = grown;
    s->scratch_room = LWS_PRE + size;
    return true;
}

typedef struct part {
    const void *bytes;
    size_t size;
} part;

/* Parts, one behind the other, as one message of the client's kind. */
static int write_parts(wilor_server *s, wilor_server_client *c, const part *parts, int count,
                       bool binary) {
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].size;
    if (!reserve(s, size))
        return -1;
    uint8_t *at = s->scratch + LWS_PRE;
    for (int i = 0; i < count; i++) {
        memcpy(at, parts[i].bytes, parts[i].size);
        at += parts[i].size;
    }
    enum lws_write_protocol how = c->kind == WILOR_SERVER_SSE || c->kind == WILOR_SERVER_MJPEG
                                      ? LWS_WRITE_HTTP
                                  : binary ? LWS_WRITE_BINARY
                                           : LWS_WRITE_TEXT;
    return lws_write(c->wsi, s->scratch + LWS_PRE, size, how) < 0 ? -1 : 0;
}

/* A JSON text as a WebSocket's message or as an event of SSE. */
static int write_text(wilor_server *s, wilor_server_client *c, const char *text, size_t size) {
    bool sse = c->kind == WILOR_SERVER_SSE;
    part parts[] = {{"data: ", sse ? 6 : 0}, {text, size}, {"\n\n", sse ? 2 : 0}};
    return write_parts(s, c, parts, 3, false);
}

static int write_json_note(wilor_server *s, wilor_server_client *c,
                           const wilor_server_note *note, unsigned dropped) {
    char digits[16];
    bool sse = c->kind == WILOR_SERVER_SSE;
    int n = snprintf(digits, sizeof digits, "%u", dropped);
    part parts[] = {{"data: ", sse ? 6 : 0},
                    {note->json.text, note->dropped_at},
                    {digits, (size_t)n},
                    {note->json.text + note->dropped_end, note->json.used - note->dropped_end},
                    {"\n\n", sse ? 2 : 0}};
    return write_parts(s, c, parts, 5, false);
}

static int write_record_note(wilor_server *s, wilor_server_client *c,
                             const wilor_server_note *note, unsigned dropped) {
    enum { DROPPED_AT = 76 }; /* docs/events.md */

    uint8_t little[4];
    for (int i = 0; i < 4; i++)
        little[i] = (uint8_t)(dropped >> 8 * i);
    part parts[] = {{note->record, DROPPED_AT},
                    {little, sizeof little},
                    {note->record + DROPPED_AT + 4, note->record_size - DROPPED_AT - 4}};
    return write_parts(s, c, parts, 3, true);
}

static int write_note(wilor_server *s, wilor_server_client *c) {
    wilor_server_note *note = c->note;
    /* What was dropped before it came is nothing to a client, unless its own frames were. */
    bool counts = c->any || note->giver == c->id;
    unsigned dropped = c->dropped + (counts ? note->dropped : 0);
    c->note = NULL;
    c->dropped = 0;
    c->any = true;
    int rc = c->kind == WILOR_SERVER_RECORD ? write_record_note(s, c, note, dropped)
                                            : write_json_note(s, c, note, dropped);
    wilor_server_note_drop(s, note);
    return rc;
}

/* ---------------------------------------------------------------- events to clients */

/* A client that pushes frames gets the answers to its own ones; all others get everything. A frame that the engine
 * has no event for (a source overtook it) is not waited for forever. */
static bool wants(const wilor_server_client *c, const wilor_server_note *note, int64_t now) {
    enum { SILENT_SECONDS = 2, WAIT_SECONDS = 30 };

    bool reader = c->kind == WILOR_SERVER_SSE || c->kind == WILOR_SERVER_JSON
                      ? note->with_json
                      : c->kind == WILOR_SERVER_RECORD && note->with_record;
    int seconds = c->waits ? WAIT_SECONDS : SILENT_SECONDS;
    bool pushes = c->pushed && now - c->pushed < seconds * WILOR_SERVER_SECOND;
    return reader && (!pushes || note->giver == c->id);
}

static bool must_hear_loaded(const wilor_server *s, const wilor_server_client *c) {
    return c->greeted && !c->informed && s->told_ready;
}

/* When this thread was held up, several events come at once. A client whose socket takes them gets them all:
 * that was not its fault. */
static void write_early(wilor_server *s, wilor_server_client *c) {
    if (c->greeted && !must_hear_loaded(s, c) && !c->word && !c->farewell &&
        !lws_send_pipe_choked(c->wsi) && write_note(s, c) != 0)
        wilor_server_client_kill(c);
}

/* Events before its hello are nothing to a client, unless it has pushed frames already. */
static void count_dropped(wilor_server_client *c, unsigned frames) {
    if (c->greeted || c->frames > 0)
        c->dropped += frames;
}

static void give_note(wilor_server *s, wilor_server_client *c, wilor_server_note *note) {
    if (c->note)
        write_early(s, c);
    if (c->note) {
        count_dropped(c, 1 + c->note->dropped);
        wilor_server_note_drop(s, c->note);
    }
    c->note = note;
    note->refs++;
    wilor_server_client_write(c);
}

/* Events that this thread never saw are newer than one that still waits, which goes with them. */
static void count_lost(wilor_server *s, wilor_server_client *c, unsigned lost) {
    count_dropped(c, lost);
    if (c->note) {
        count_dropped(c, 1 + c->note->dropped);
        wilor_server_note_drop(s, c->note);
        c->note = NULL;
    }
}

static void hand_out(wilor_server *s, wilor_server_note *note) {
    int64_t now = wilor_cli_nanoseconds();
    note->refs++;
    for (wilor_server_client *c = s->clients; c; c = c->next) {
        if (wants(c, note, now))
            give_note(s, c, note);
        if (note->giver == c->id) {
            c->waits = note->frame + 1 != c->frames;
            c->pushed = now;
        }
    }
    wilor_server_note_drop(s, note);
}

static void hand_out_still(wilor_server *s, wilor_server_still *still) {
    for (wilor_server_client *c = s->clients; c; c = c->next) {
        if (c->kind != WILOR_SERVER_MJPEG)
            continue;
        if (c->still)
            wilor_server_still_drop(s, c->still);
        c->still = still;
        pthread_mutex_lock(&s->lock);
        still->refs++;
        pthread_mutex_unlock(&s->lock);
        wilor_server_client_write(c);
    }
    wilor_server_still_drop(s, still);
}

void wilor_server_say(wilor_server_client *c, char *text) {
    if (!text)
        return;
    free(c->word); /* the newest one counts */
    c->word = text;
    wilor_server_client_write(c);
}

static wilor_cli_stream_name name_of(const wilor_server *s) {
    return (wilor_cli_stream_name){s->o.stream, NULL};
}

void wilor_server_say_error(wilor_server *s, wilor_server_client *c, int code,
                            const char *message) {
    wilor_cli_buffer b = {0};
    wilor_cli_stream_name name = name_of(s);
    if (wilor_cli_live_json_error(&b, &name, code, message, NULL) == WILOR_OK)
        wilor_server_say(c, b.text);
    else
        wilor_cli_buffer_free(&b);
}

static void say_to_all(wilor_server *s, char *word) {
    for (wilor_server_client *c = s->clients; c; c = c->next)
        if (c->kind != WILOR_SERVER_HTTP && c->kind != WILOR_SERVER_MJPEG)
            wilor_server_say(c, strdup(word));
    free(word);
}

static void hand_out_answers(wilor_server *s, wilor_server_job *done) {
    for (wilor_server_job *job = done, *next; job; job = next) {
        next = job->next;
        wilor_server_client *c = wilor_server_client_find(s, job->client);
        if (c && c->kind != WILOR_SERVER_HTTP) { /* of a pushed frame: an error */
            wilor_server_say_error(s, c, job->status, job->detail);
            c->waits = false;
        }
        if (c && c->busy && !c->answer) {
            c->answer = job;
            wilor_server_client_write(c);
        } else {
            wilor_server_job_free(s, job);
        }
    }
}

static void leave(wilor_server *s) {
    s->leaving = true;
    s->leaving_since = wilor_cli_nanoseconds();
    for (wilor_server_client *c = s->clients; c; c = c->next) {
        c->farewell = true;
        if (c->kind != WILOR_SERVER_HTTP || c->answer)
            wilor_server_client_write(c);
        else
            wilor_server_client_kill(c);
    }
}

/* To those whose hello came before the model. No status of s->word, which a newer one replaces: they are promised
 * this one. */
static void tell_loaded(wilor_server *s) {
    s->told_ready = true;
    for (wilor_server_client *c = s->clients; c; c = c->next)
        if (must_hear_loaded(s, c))
            wilor_server_client_write(c);
}

void wilor_server_hub_take(wilor_server *s) {
    wilor_server_note *inbox[WILOR_SERVER_INBOX];
    pthread_mutex_lock(&s->lock);
    int count = s->inbox_count;
    memcpy(inbox, s->inbox, (size_t)count * sizeof *inbox);
    s->inbox_count = 0;
    unsigned lost = s->inbox_lost;
    s->inbox_lost = 0;
    wilor_server_job *done = s->done;
    s->done = NULL;
    wilor_server_still *still = s->still;
    s->still = NULL;
    char *word = s->word;
    s->word = NULL;
    bool over = s->over, ready = s->ready;
    pthread_mutex_unlock(&s->lock);

    if (ready && !s->told_ready)
        tell_loaded(s);

    if (word)
        say_to_all(s, word);
    for (wilor_server_client *c = lost ? s->clients : NULL; c; c = c->next)
        count_lost(s, c, lost);
    for (int i = 0; i < count; i++)
        hand_out(s, inbox[i]);
    if (still)
        hand_out_still(s, still);
    hand_out_answers(s, done);
    if (over && !s->leaving)
        leave(s);
}

/* ---------------------------------------------------------------- other messages */

/* A message that was just made, or was not. */
static int write_made(wilor_server *s, wilor_server_client *c, wilor_cli_buffer *b,
                      wilor_status made) {
    int rc = made == WILOR_OK ? write_text(s, c, b->text, b->used) : -1;
    wilor_cli_buffer_free(b);
    return rc;
}

static int write_hello(wilor_server *s, wilor_server_client *c) {
    wilor_cli_buffer b = {0};
    pthread_mutex_lock(&s->lock);
    const char *info = s->ready ? s->info : NULL; /* stays as it is from then on */
    pthread_mutex_unlock(&s->lock);
    wilor_cli_stream_name name = name_of(s);
    int rc = write_made(s, c, &b, wilor_cli_live_json_hello(&b, &name, info, NULL));
    c->greeted = true;
    c->informed = info != NULL;
    return rc;
}

static int write_loaded(wilor_server *s, wilor_server_client *c) {
    wilor_cli_buffer b = {0};
    wilor_cli_stream_name name = name_of(s);
    int rc = write_made(s, c, &b, wilor_cli_live_json_status(&b, &name, "loaded", NULL, NULL));
    c->informed = true;
    return rc;
}

static int write_still(wilor_server *s, wilor_server_client *c) {
    wilor_server_still *still = c->still;
    char head[128];
    int n = snprintf(head, sizeof head,
                     "--wilorframe\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n",
                     still->size);
    part parts[] = {{head, (size_t)n}, {still->jpeg, still->size}, {"\r\n", 2}};
    c->still = NULL;
    int rc = write_parts(s, c, parts, 3, true);
    wilor_server_still_drop(s, still);
    return rc;
}

static int write_bye(wilor_server *s, wilor_server_client *c) {
    wilor_cli_buffer b = {0};
    char reason[64];
    pthread_mutex_lock(&s->lock);
    uint64_t seq = s->last_seq;
    memcpy(reason, s->reason, sizeof reason);
    pthread_mutex_unlock(&s->lock);
    wilor_cli_stream_name name = name_of(s);
    if (c->kind != WILOR_SERVER_MJPEG)
        write_made(s, c, &b, wilor_cli_live_json_bye(&b, &name, seq, reason, NULL));
    if (c->kind == WILOR_SERVER_JSON || c->kind == WILOR_SERVER_RECORD)
        lws_close_reason(c->wsi, LWS_CLOSE_STATUS_GOINGAWAY, NULL, 0);
    return -1;
}

static int write_ping(wilor_server_client *c) {
    unsigned char text[LWS_PRE + 5] = {0};
    c->ping = false;
    memcpy(text + LWS_PRE, "wilor", 5); /* of an answer without content nobody would be told */
    return lws_write(c->wsi, text + LWS_PRE, 5, LWS_WRITE_PING) < 0 ? -1 : 0;
}

/* One message; the others follow when the socket takes more. */
int wilor_server_hub_write(wilor_server *s, wilor_server_client *c) {
    int rc = 0;
    if (c->farewell)
        return write_bye(s, c);
    if (c->ping)
        rc = write_ping(c);
    else if (!c->greeted && c->kind != WILOR_SERVER_MJPEG) {
        rc = write_hello(s, c);
    } else if (must_hear_loaded(s, c)) {
        rc = write_loaded(s, c);
    } else if (c->word) {
        rc = write_text(s, c, c->word, strlen(c->word));
        free(c->word);
        c->word = NULL;
    } else if (c->note) {
        rc = write_note(s, c);
    } else if (c->still) {
        rc = write_still(s, c);
    }
    if (rc == 0 && (c->ping || must_hear_loaded(s, c) || c->word || c->note || c->still))
        wilor_server_client_write(c);
    return rc;
}

/* ---------------------------------------------------------------- messages in */

static int close_with(wilor_server_client *c, enum lws_close_status status, const char *why) {
    lws_close_reason(c->wsi, status, (unsigned char *)(uintptr_t)why, strlen(why));
    return -1;
}

static void take_frame(wilor_server *s, wilor_server_client *c) {
    wilor_server_push *push = calloc(1, sizeof *push);
    pthread_mutex_lock(&s->lock);
    bool ready = s->ready;
    pthread_mutex_unlock(&s->lock);
    c->pushed = wilor_cli_nanoseconds();
    if (!push || !ready || s->leaving) {
        free(push);
        wilor_server_body_drop(s, c);
        wilor_server_say_error(s, c, 503,
                               ready ? "out of memory" : "the model is still being loaded");
        return;
    }
    *push = (wilor_server_push){.client = c->id,
                                .number = c->frames++,
                                .arrival = c->pushed,
                                .message = c->body,
                                .size = c->size,
                                .counted = c->room};
    c->body = NULL;
    c->size = c->room = 0;
    c->waits = true;
    c->dropped += wilor_server_push_put(s, push);
}

int wilor_server_receive(wilor_server *s, wilor_server_client *c, const void *data,
                         size_t size) {
    if (!lws_frame_is_binary(c->wsi)) {
        if (lws_is_final_fragment(c->wsi) && !lws_remaining_packet_payload(c->wsi))
            wilor_server_say_error(s, c, 400,
                                   "text is not understood; frames are binary messages");
        return 0;
    }
    if (lws_is_first_fragment(c->wsi))
        c->overflow = false;
    if (c->size + size > s->o.max_body)
        return close_with(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "larger than --max-body");
    if (!c->overflow && !wilor_server_body_add(s, c, data, size)) {
        wilor_server_body_drop(s, c);
        c->overflow = true;
        wilor_server_say_error(s, c, 503,
                               "all requests together hold more memory than they may");
    }
    if (c->overflow || !lws_is_final_fragment(c->wsi) || lws_remaining_packet_payload(c->wsi))
        return 0;
    wilor_server_frame frame;
    wilor_error err;
    if (wilor_server_frame_read(&frame, c->body, c->size, &err) == WILOR_OK) {
        take_frame(s, c);
    } else {
        wilor_server_body_drop(s, c);
        wilor_server_say_error(s, c, 400, err.text);
    }
    return 0;
}
