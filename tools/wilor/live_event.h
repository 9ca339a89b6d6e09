/* One processed frame of a stream: what JSON, binary records, OSC, shared memory and the server's clients
 * are told of it. docs/events.md. Plain data: whoever makes an event owns everything it points at, and
 * it is valid until that maker's next one. Units and frames: wilor.h; times in nanoseconds. */
#ifndef WILOR_CLI_LIVE_EVENT_H
#define WILOR_CLI_LIVE_EVENT_H

#include "wilor/wilor.h"
#include <stdbool.h>

enum {
    WILOR_CLI_POINTS = 21,
    WILOR_CLI_XR_JOINTS = 26,
    WILOR_CLI_ANGLES_OF = 15, /* joints */
    WILOR_CLI_SESSION_DIGITS = 32
};

/* A place: metres, and x y z w with w >= 0. */
typedef struct wilor_cli_pose {
    double p[3], q[4];
} wilor_cli_pose;

typedef enum wilor_cli_clock {
    WILOR_CLI_MONOTONIC = 0, /* CLOCK_MONOTONIC of this machine */
    WILOR_CLI_MEDIA = 1,     /* the file's time, from 0 */
    WILOR_CLI_CLIENT = 2     /* given with the frame */
} wilor_cli_clock;

typedef enum wilor_cli_hand_state {
    WILOR_CLI_DETECTED = 0, /* its box came from the detector */
    WILOR_CLI_TRACKED = 1,  /* from its pose in the frame before */
    WILOR_CLI_PREDICTED = 2 /* nothing in this frame speaks for it */
} wilor_cli_hand_state;

typedef struct wilor_cli_live_hand {
    uint32_t id; /* never 0 */
    wilor_side side;
    wilor_cli_hand_state state;
    float conf;     /* of its last detection */
    int64_t age_ns; /* since it was found */
    float box[4], crop[3];
    float pred_cam[3], cam_t[3];
    float keypoints_2d[WILOR_CLI_POINTS][2]; /* projection of keypoints_3d + cam_t */
    bool has_detected_keypoints;
    float detected_keypoints[WILOR_CLI_POINTS][3]; /* x, y, visibility */
    float fit_px;                                  /* of both; NaN without the detector's */
    float keypoints_3d[WILOR_CLI_POINTS][3];       /* about the MANO origin */
    float global_orient[3], hand_pose[45], betas[10];
    float wrist_q[4]; /* x y z w, w >= 0 */
    bool has_velocity;
    float velocity[3], angular_velocity[3]; /* of the wrist: m/s, rad/s */
    wilor_gesture gesture;
    wilor_xr_joint xr26[WILOR_CLI_XR_JOINTS]; /* all flags 0: there are none */
    float angles[WILOR_CLI_ANGLES_OF][2];     /* flexion, abduction; with WILOR_CLI_ANGLES */
    const float *vertices_3d;                 /* event.vertices × 3, or NULL: not kept */
} wilor_cli_live_hand;

/* The same for all events of an engine. */
typedef struct wilor_cli_live_model {
    const char *name;   /* "wilor" */
    const char *label;  /* what test weights say of themselves; NULL or "": nothing */
    const char *sha256; /* of the weights' file; "" unknown */
    const char *dtype;  /* "bf16" */
    const char *device; /* "cpu" */
} wilor_cli_live_model;

/* Where the time of a frame went. */
typedef struct wilor_cli_live_timing {
    int64_t wait, decode, detect, crop, pose, post,
        total; /* nanoseconds; wait: arrival to start */
} wilor_cli_live_timing;

typedef struct wilor_cli_live_event {
    const char *stream; /* "cam0" */
    char session[WILOR_CLI_SESSION_DIGITS + 1];
    uint64_t seq;   /* grows by 1 */
    uint64_t frame; /* of the input; may jump */
    int64_t t_capture, t_ready;
    int64_t t_utc; /* wall clock of t_ready */
    wilor_cli_clock clock;
    int width, height;
    bool mirrored;
    bool camera_given, metric;
    double fx, fy, cx, cy;
    wilor_cli_live_timing timing;
    unsigned dropped; /* frames since the event before */
    int lost_count;
    const uint32_t *lost;
    unsigned include; /* WILOR_CLI_MANO … of options: what the JSON event and the record hold */
    int vertices;     /* a hand's */
    int n;
    const wilor_cli_live_hand *hands;
    const wilor_cli_live_model *model;
    /* NULL: 3D is in the camera's frame. Else the camera's place in the frame that 3D is in
     * (extrinsics_file.h): makers leave it NULL. */
    const wilor_cli_pose *extrinsics;
    /* What the hands were made of, in the camera's frame, failed ones among them; NULL: not at hand. */
    const wilor_hands *results;
} wilor_cli_live_event;

#endif
