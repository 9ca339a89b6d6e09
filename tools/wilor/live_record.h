/* The binary record of an event, version 1: docs/events.md has the table of offsets. Little-endian and packed
 * wherever this runs. A record's size is a multiple of 4 when it has no float16 vertices. */
#ifndef WILOR_CLI_LIVE_RECORD_H
#define WILOR_CLI_LIVE_RECORD_H

#include "live_event.h"

enum {
    WILOR_CLI_RECORD_MAGIC = 0x31454C57, /* "WLE1" */
    WILOR_CLI_RECORD_VERSION = 1,
    WILOR_CLI_RECORD_HEADER = 96,
    WILOR_CLI_RECORD_HAND = 96,
    WILOR_CLI_RECORD_MOST_HANDS = 65535,
    WILOR_CLI_RECORD_MOST_VERTICES = 65536,
    WILOR_CLI_RECORD_MOST = 1 << 30 /* bytes of a record that is read */
};

/* The header's flags; those of arrays in the arrays' order. */
enum {
    WILOR_CLI_RECORD_MIRRORED = 1,
    WILOR_CLI_RECORD_METRIC = 2,
    WILOR_CLI_RECORD_KP2D = 4,
    WILOR_CLI_RECORD_KP2D_DET = 8,
    WILOR_CLI_RECORD_KP3D = 16,
    WILOR_CLI_RECORD_MANO = 32,
    WILOR_CLI_RECORD_XR26 = 64,
    WILOR_CLI_RECORD_VERTICES = 128,
    WILOR_CLI_RECORD_VERTICES_F16 = 256,
    WILOR_CLI_RECORD_CLIENT_CLOCK = 512,
    WILOR_CLI_RECORD_MEDIA_CLOCK = 1024,
    WILOR_CLI_RECORD_MOVED = 2048 /* by --extrinsics */
};

/* How to write. Zeroed: everything that the event includes, vertices in float32. */
typedef struct wilor_cli_record_how {
    bool half;               /* vertices in float16 */
    bool no_vertices;        /* whatever the event includes */
    bool no_place;           /* without kp2d: crops, which have no place in a picture */
    int most_hands;          /* 0: all */
    const unsigned *dropped; /* NULL, or instead of the event's */
} wilor_cli_record_how;

/* Bytes of the record; how may be NULL. */
size_t wilor_cli_record_size(const wilor_cli_live_event *e, const wilor_cli_record_how *how);
/* Write it: its size, or 0 when it does not fit into room bytes, of which none is then touched. No
 * alignment is asked of `to`. */
size_t wilor_cli_record_write(void *to, size_t room, const wilor_cli_live_event *e,
                              const wilor_cli_record_how *how);

/* ---------------------------------------------------------------- reading */

/* A record that was found sound. It points into the bytes that it was read from. */
typedef struct wilor_cli_record {
    size_t size; /* of the record; more may follow */
    uint32_t flags;
    uint64_t seq, frame;
    int64_t t_capture, t_ready; /* ns */
    uint32_t width, height;
    float fx, fy, cx, cy;
    uint32_t stream, dropped;
    int hands, vertices;
    uint8_t dtype;        /* a wilor_dtype, 255: unknown */
    uint8_t device;       /* 0 cpu, 1 cuda, 2 mlx, 255: unknown */
    const uint8_t *first; /* hand */
    size_t fixed, stride; /* bytes of a hand's fixed part, from one hand to the next */
} wilor_cli_record;

/* Where a hand's arrays lie: bytes of little-endian floats, not aligned; NULL: not in the record. */
typedef struct wilor_cli_record_hand {
    uint32_t id;
    wilor_side side;
    wilor_cli_hand_state state;
    float conf, pinch_strength, grab_strength, pinch_distance;
    float box[4], crop[3], pred_cam[3], cam_t[3], wrist_q[4];
    uint32_t age_us;
    const uint8_t *kp2d, *kp2d_det, *kp3d, *mano, *xr26, *vertices;
} wilor_cli_record_hand;

/* Check a record of untrusted bytes: magic, version, sizes, counts, flags, sides and states. Nothing behind
 * `size` is read. ERR_FORMAT names the field and the value. */
wilor_status wilor_cli_record_read(wilor_cli_record *out, const void *data, size_t size,
                                   wilor_error *err);
/* Hand i, 0 … hands - 1, of a record that wilor_cli_record_read has filled. */
void wilor_cli_record_get_hand(const wilor_cli_record *r, int i, wilor_cli_record_hand *out);
/* Float i of one of a hand's float32 arrays. */
float wilor_cli_record_float(const uint8_t *array, size_t i);
/* Coordinate i of the vertices, whichever type they have. */
float wilor_cli_record_vertex(const wilor_cli_record *r, const wilor_cli_record_hand *hand,
                              size_t i);

#endif
