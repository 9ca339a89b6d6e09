/* OSC over UDP: an encoder of what is sent here (strings, floats, integers, bundles), and the messages.
 *
 * Our own page of code: a library for OSC brings threads, servers and its own sockets for what is padding to four
 * bytes and big-endian words. Messages go in bundles of at most 1400 bytes, so that no packet is cut on its way.
 *
 * Axes. Unity is left-handed: a point (x, y, z) of the camera is (x, -y, z) there. VMC's bones are rotations
 * from the T pose, in which an avatar looks along +z, its right fingers along +x and its left ones along -x, palms
 * down. MANO's flat right hand has its fingers along -x, palm down, thumb along +z, a left one is mirrored in x:
 * of both, a point (x, y, z) is (-x, y, z) in the T pose. Both maps are reflections, M and N, so that a
 * finger's rotation R becomes N R N, and the hand's, which leads from MANO's axes to the camera's, M R N. */
#include "live_osc.h"

#include "cli_text.h"
#include "hand_math.h"
#include "system_process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PACKET = 1400, BUNDLE_HEAD = 16, MESSAGE = 160, HOST_MOST = 255 };

struct wilor_cli_osc {
    int socket;
    uint64_t lost;
    size_t used;
    unsigned char packet[PACKET];
};

/* ---------------------------------------------------------------- OSC */

/* A message in the making; every part is padded to four bytes. */
typedef struct message {
    size_t used;
    unsigned char bytes[MESSAGE];
} message;

static void put_word(message *m, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        m->bytes[m->used++] = (unsigned char)(value >> shift);
}

static void put_text(message *m, const char *text) {
    size_t n = strlen(text);
    memcpy(m->bytes + m->used, text, n);
    memset(m->bytes + m->used + n, 0, 4 - n % 4);
    m->used += n + 4 - n % 4;
}

static void put_float(message *m, double value) {
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    put_word(m, bits);
}

static void flush(wilor_cli_osc *o) {
    if (o->used > BUNDLE_HEAD && !wilor_sys_udp_send(o->socket, o->packet, o->used))
        o->lost++;
    o->used = BUNDLE_HEAD;
}

/* Into the bundle, which goes off when it is full. */
static void put_message(wilor_cli_osc *o, const message *m) {
    if (o->used + 4 + m->used > PACKET)
        flush(o);
    message size = {0};
    put_word(&size, (uint32_t)m->used);
    memcpy(o->packet + o->used, size.bytes, 4);
    memcpy(o->packet + o->used + 4, m->bytes, m->used);
    o->used += 4 + m->used;
}

/* ---------------------------------------------------------------- messages */

static void say_available(wilor_cli_osc *o, double seconds) {
    message ok = {0}, time = {0};
    put_text(&ok, "/VMC/Ext/OK");
    put_text(&ok, ",i");
    put_word(&ok, 1);
    put_message(o, &ok);
    put_text(&time, "/VMC/Ext/T");
    put_text(&time, ",f");
    put_float(&time, seconds);
    put_message(o, &time);
}

static void say_pose(wilor_cli_osc *o, const char *address, const char *name, const double p[3],
                     const double q[4]) {
    message m = {0};
    put_text(&m, address);
    put_text(&m, ",sfffffff");
    put_text(&m, name);
    for (int i = 0; i < 3; i++)
        put_float(&m, p[i]);
    for (int i = 0; i < 4; i++)
        put_float(&m, q[i]);
    put_message(o, &m);
}

/* N R N: mirrored in x. */
static void finger_rotation(const double q[4], double out[4]) {
    out[0] = q[0];
    out[1] = -q[1];
    out[2] = -q[2];
    out[3] = q[3];
}

/* M R N = (M N)(N R N), and M N = diag(-1, -1, 1): half a turn about z. */
static void hand_rotation(const double q[4], double out[4]) {
    static const double half_turn[4] = {0, 0, 1, 0};
    double mirrored[4];
    finger_rotation(q, mirrored);
    wilor_cli_quat_mul(half_turn, mirrored, out);
    wilor_cli_quat_unit(out);
}

static void widen(const float *from, double *to) {
    for (int i = 0; i < 3; i++)
        to[i] = (double)from[i];
}

/* A bone's place about its parent, in MANO's axes at rest: the difference of the joints, turned back by all
 * rotations down to the parent. */
static void say_finger(wilor_cli_osc *o, const wilor_cli_live_hand *h, int bone,
                       double turn[WILOR_CLI_BONES][4]) {
    const wilor_cli_bone *b = &wilor_cli_bones[bone];
    const float *at = h->keypoints_3d[b->keypoint];
    const float *from = h->keypoints_3d[wilor_cli_bones[b->parent].keypoint];
    double v[3], q[4], p[3], back[4];
    char name[40];
    widen(h->hand_pose + 3 * (bone - 1), v);
    wilor_cli_quat_from_vector(v, q);
    wilor_cli_quat_mul(turn[b->parent], q, turn[bone]);
    for (int i = 0; i < 3; i++)
        p[i] = (double)at[i] - (double)from[i];
    wilor_cli_quat_conj(turn[b->parent], back);
    wilor_cli_quat_turn(back, p, p);
    p[0] = -p[0];
    finger_rotation(q, q);
    snprintf(name, sizeof name, "%s%s", h->side == WILOR_LEFT ? "Left" : "Right", b->unity);
    say_pose(o, "/VMC/Ext/Bone/Pos", name, p, q);
}

static void say_bones(wilor_cli_osc *o, const wilor_cli_live_hand *h) {
    double turn[WILOR_CLI_BONES][4], p[3], q[4];
    for (int i = 0; i < 4; i++)
        turn[0][i] = (double)h->wrist_q[i];
    for (int i = 0; i < 3; i++)
        p[i] = (double)h->keypoints_3d[0][i] + (double)h->cam_t[i];
    p[1] = -p[1];
    hand_rotation(turn[0], q);
    say_pose(o, "/VMC/Ext/Bone/Pos", h->side == WILOR_LEFT ? "LeftHand" : "RightHand", p, q);
    for (int bone = 1; bone < WILOR_CLI_BONES; bone++)
        say_finger(o, h, bone, turn);
}

static void say_gesture(wilor_cli_osc *o, const wilor_cli_live_hand *h, const char *address,
                        float strength, float measure) {
    message m = {0};
    put_text(&m, address);
    put_text(&m, ",siff");
    put_text(&m, h->side == WILOR_LEFT ? "left" : "right");
    put_word(&m, h->id);
    put_float(&m, (double)strength);
    put_float(&m, (double)measure);
    put_message(o, &m);
}

static void say_hand(wilor_cli_osc *o, const wilor_cli_live_hand *h) {
    message m = {0};
    put_text(&m, "/wilor/hand");
    put_text(&m, ",sifi");
    put_text(&m, h->side == WILOR_LEFT ? "left" : "right");
    put_word(&m, h->id);
    put_float(&m, (double)h->conf);
    put_word(&m, (uint32_t)h->state);
    put_message(o, &m);
    say_gesture(o, h, "/wilor/pinch", h->gesture.pinch_strength, h->gesture.pinch_distance);
    say_gesture(o, h, "/wilor/grab", h->gesture.grab_strength, h->gesture.grab_angle);
}

static void say_lost(wilor_cli_osc *o, uint32_t id) {
    message m = {0};
    put_text(&m, "/wilor/lost");
    put_text(&m, ",i");
    put_word(&m, id);
    put_message(o, &m);
}

/* The avatar has two hands: of several on a side the one that was found first. */
static const wilor_cli_live_hand *oldest(const wilor_cli_live_event *e, wilor_side side) {
    const wilor_cli_live_hand *found = NULL;
    for (int i = 0; i < e->n; i++)
        if (e->hands[i].side == side && (!found || e->hands[i].age_ns > found->age_ns))
            found = &e->hands[i];
    return found;
}

void wilor_cli_osc_send(wilor_cli_osc *o, const wilor_cli_live_event *e) {
    static const double nowhere[3] = {0, 0, 0}, upright[4] = {0, 0, 0, 1};
    say_available(o, (double)e->t_capture * 1e-9);
    say_pose(o, "/VMC/Ext/Root/Pos", "root", nowhere, upright);
    for (int side = WILOR_LEFT; side <= WILOR_RIGHT; side++) {
        const wilor_cli_live_hand *h = oldest(e, (wilor_side)side);
        if (h)
            say_bones(o, h);
    }
    for (int i = 0; i < e->n; i++)
        say_hand(o, &e->hands[i]);
    for (int i = 0; i < e->lost_count; i++)
        say_lost(o, e->lost[i]);
    flush(o);
}

uint64_t wilor_cli_osc_lost(const wilor_cli_osc *o) { return o->lost; }

/* ---------------------------------------------------------------- begin and end */

static wilor_status bad_target(const char *target, wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_ARG,
                          "--osc %s: it should be HOST:PORT, with a port from 1 to 65535",
                          wilor_cli_quote(&q, target));
}

/* The host into `host`; the port is behind the last colon, and a host with colons stands in brackets. */
static wilor_status split_target(const char *target, char host[HOST_MOST + 1],
                                 const char **port, wilor_error *err) {
    const char *colon = strrchr(target, ':'), *from = target;
    long number;
    if (!colon || !wilor_cli_parse_long(colon + 1, 1, 65535, &number))
        return bad_target(target, err);
    size_t n = (size_t)(colon - target);
    if (n >= 2 && target[0] == '[' && colon[-1] == ']') {
        from++;
        n -= 2;
    } else if (memchr(target, ':', n)) {
        return bad_target(target, err);
    }
    if (n == 0 || n > HOST_MOST)
        return bad_target(target, err);
    memcpy(host, from, n);
    host[n] = 0;
    *port = colon + 1;
    return WILOR_OK;
}

wilor_status wilor_cli_osc_open(wilor_cli_osc **out, const char *target, wilor_error *err) {
    char host[HOST_MOST + 1], why[256];
    const char *port = NULL;
    wilor_cli_quoted q;
    *out = NULL;
    wilor_status st = split_target(target, host, &port, err);
    if (st != WILOR_OK)
        return st;
    wilor_cli_osc *o = calloc(1, sizeof *o);
    if (!o)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    o->socket = wilor_sys_udp_open(host, port, why, sizeof why);
    if (o->socket < 0) {
        st =
            wilor_cli_fail(err, WILOR_ERR_IO, "--osc %s: %s", wilor_cli_quote(&q, target), why);
        free(o);
        return st;
    }
    memcpy(o->packet, "#bundle\0\0\0\0\0\0\0\0\1", BUNDLE_HEAD); /* time 1: at once */
    o->used = BUNDLE_HEAD;
    *out = o;
    return WILOR_OK;
}

void wilor_cli_osc_close(wilor_cli_osc **osc) {
    if (!osc || !*osc)
        return;
    wilor_sys_udp_close((*osc)->socket);
    free(*osc);
    *osc = NULL;
}
