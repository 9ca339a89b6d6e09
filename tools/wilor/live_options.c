#include "live_options.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    ID_STREAM = WILOR_CLI_SHARED_IDS,
    ID_NDJSON,
    ID_BIN,
    ID_OUT,
    ID_NPZ,
    ID_GLTF,
    ID_BVH,
    ID_OVERLAY,
    ID_OSC,
    ID_SHM,
    ID_EXTRINSICS,
    ID_TWO_SIDED
};

static const wilor_cli_option g_options[] = {
    WILOR_CLI_SHARED_OPTIONS,
    {"--stream", "NAME", "the stream's name in the events; cam0", ID_STREAM, 0, NULL},
    {"--two-sided", NULL,
     "files: smooth from before and behind, without lag; events come at the end", ID_TWO_SIDED,
     0, NULL},
    {"--ndjson", NULL, "one event a line: the default", ID_NDJSON, 0, NULL},
    {"--bin", NULL, "binary records instead, one behind the other", ID_BIN, 0, NULL},
    {"-o", "FILE", "write the events there instead of to the standard output", ID_OUT, 0, NULL},
    {"--npz", "FILE", "all hands' arrays for numpy, under WiLoR-mini's names", ID_NPZ, 0, NULL},
    {"--gltf", "FILE.glb", "the take as skinned, animated glTF", ID_GLTF, 0, NULL},
    {"--bvh", "FILE.bvh", "the take as BVH, a file a hand", ID_BVH, 0, NULL},
    {"--overlay", "FILE.mp4", "the video with the hands drawn into it, sound kept", ID_OVERLAY,
     0, NULL},
    {"--osc", "HOST:PORT", "VMC bones and gestures by OSC over UDP", ID_OSC, 0, NULL},
    {"--shm", "NAME", "binary records in a ring of shared memory", ID_SHM, 0, NULL},
    {"--extrinsics", "FILE", "where the camera stands: events in the room's frame",
     ID_EXTRINSICS, 0, NULL},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

static wilor_status bad(const wilor_cli_option *o, const char *value, const char *wanted,
                        wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s %s: it should be %s", o->name,
                          wilor_cli_quote(&q, value), wanted);
}

static bool parse_size(const char *value, int *width, int *height) {
    char first[8];
    const char *x = strchr(value, 'x');
    long w, h;
    if (!x || (size_t)(x - value) >= sizeof first)
        return false;
    memcpy(first, value, (size_t)(x - value));
    first[x - value] = 0;
    if (!wilor_cli_parse_long(first, 1, 65535, &w) ||
        !wilor_cli_parse_long(x + 1, 1, 65535, &h))
        return false;
    *width = (int)w;
    *height = (int)h;
    return true;
}

void wilor_cli_shared_defaults(wilor_cli_tracking_options *t, wilor_cli_source_options *s) {
    *t = (wilor_cli_tracking_options){.track = true, .smooth = 0.5};
    *s = (wilor_cli_source_options){0};
}

static wilor_status take_tracking(wilor_cli_tracking_options *t, const wilor_cli_option *o,
                                  const char *value, wilor_error *err) {
    long n;
    double x;
    switch (o->id) {
    case WILOR_CLI_ID_SMOOTH:
        if (!wilor_cli_parse_double(value, 0, 1, &t->smooth))
            return bad(o, value, "a number from 0 to 1", err);
        return WILOR_OK;
    case WILOR_CLI_ID_HOLD:
        if (!wilor_cli_parse_double(value, 0, 60000, &x))
            return bad(o, value, "milliseconds from 0 to 60000", err);
        t->hold = x * 1e-3;
        return WILOR_OK;
    case WILOR_CLI_ID_DETECT_EVERY:
        if (!wilor_cli_parse_long(value, 1, 1000, &n))
            return bad(o, value, "a whole number from 1 to 1000", err);
        t->detect_every = (int)n;
        return WILOR_OK;
    case WILOR_CLI_ID_NO_TRACK:
        t->track = false;
        return WILOR_OK;
    case WILOR_CLI_ID_SKIP_EMPTY:
        t->skip_empty = true;
        return WILOR_OK;
    default: /* --track is the default */
        return WILOR_OK;
    }
}

wilor_status wilor_cli_shared_option(wilor_cli_tracking_options *t, wilor_cli_source_options *s,
                                     const wilor_cli_option *o, const char *value,
                                     wilor_error *err) {
    switch (o->id) {
    case WILOR_CLI_ID_FPS:
        if (!wilor_cli_parse_double(value, 0.001, 1000, &s->fps))
            return bad(o, value, "frames a second from 0.001 to 1000", err);
        return WILOR_OK;
    case WILOR_CLI_ID_SIZE:
        if (!parse_size(value, &s->width, &s->height))
            return bad(o, value, "WIDTHxHEIGHT in pixels, such as 640x480", err);
        return WILOR_OK;
    case WILOR_CLI_ID_FORMAT:
        s->format = value;
        return WILOR_OK;
    case WILOR_CLI_ID_PIXEL_FORMAT:
        s->pixel_format = value;
        return WILOR_OK;
    case WILOR_CLI_ID_SOURCE_OPTIONS:
        s->extra = value;
        return WILOR_OK;
    case WILOR_CLI_ID_LOOP:
        s->loop = true;
        return WILOR_OK;
    case WILOR_CLI_ID_REALTIME:
        s->realtime = true;
        return WILOR_OK;
    default:
        return take_tracking(t, o, value, err);
    }
}

wilor_status wilor_cli_shared_source(wilor_cli_source_options *s, const char *text,
                                     wilor_error *err) {
    wilor_cli_quoted q;
    if (s->source)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "one source at a time; %s is a second one",
                              wilor_cli_quote(&q, text));
    s->source = text;
    return WILOR_OK;
}

static bool given(uint64_t seen, int id) { return seen >> id & 1; }

wilor_status wilor_cli_shared_check(uint64_t seen, wilor_error *err) {
    if (given(seen, WILOR_CLI_ID_TRACK) && given(seen, WILOR_CLI_ID_NO_TRACK))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "--track and --no-track exclude each other");
    if (given(seen, WILOR_CLI_ID_NO_TRACK) &&
        (given(seen, WILOR_CLI_ID_SMOOTH) || given(seen, WILOR_CLI_ID_HOLD) ||
         given(seen, WILOR_CLI_ID_DETECT_EVERY)))
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--smooth, --hold and --detect-every have no meaning with "
                              "--no-track");
    return WILOR_OK;
}

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    wilor_cli_live_options *l = user;
    const char **path = o->id == ID_STREAM       ? &l->stream
                        : o->id == ID_OUT        ? &l->out
                        : o->id == ID_NPZ        ? &l->npz
                        : o->id == ID_GLTF       ? &l->gltf
                        : o->id == ID_BVH        ? &l->bvh
                        : o->id == ID_OVERLAY    ? &l->overlay
                        : o->id == ID_OSC        ? &l->osc
                        : o->id == ID_SHM        ? &l->shm
                        : o->id == ID_EXTRINSICS ? &l->extrinsics
                                                 : NULL;
    if (path)
        *path = value;
    else if (o->id == ID_BIN)
        l->bin = true;
    else if (o->id == ID_TWO_SIDED)
        l->two_sided = true;
    else if (o->id < WILOR_CLI_SHARED_IDS)
        return wilor_cli_shared_option(&l->tracking, &l->source, o, value, err);
    return WILOR_OK;
}

static wilor_status take_source(void *user, const char *text, wilor_error *err) {
    wilor_cli_live_options *l = user;
    return wilor_cli_shared_source(&l->source, text, err);
}

static wilor_status check_ending(const char *option, const char *path, const char *ending,
                                 wilor_error *err) {
    wilor_cli_quoted q;
    if (!path || strcasecmp(wilor_cli_ending(path), ending) == 0)
        return WILOR_OK;
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s %s: it should be a name that ends in %s",
                          option, wilor_cli_quote(&q, path), ending);
}

static wilor_status check(const wilor_cli_live_options *l, uint64_t seen, wilor_error *err) {
    if (!l->source.source)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "no source given; see wilor live --help");
    if (given(seen, ID_BIN) && given(seen, ID_NDJSON))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "--bin and --ndjson exclude each other");
    const char *at_once = l->osc       ? "--osc"
                          : l->shm     ? "--shm"
                          : l->overlay ? "--overlay"
                          : l->npz     ? "--npz"
                                       : NULL;
    if (l->two_sided && (!l->tracking.track || l->source.realtime || l->source.loop))
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--two-sided needs a whole file and tracking: without "
                              "--no-track, --realtime and --loop");
    if (l->two_sided && at_once)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "%s takes frames as they come, --two-sided smooths at the end",
                              at_once);
    wilor_status st = wilor_cli_shared_check(seen, err);
    if (st == WILOR_OK)
        st = check_ending("--gltf", l->gltf, ".glb", err);
    return st == WILOR_OK ? check_ending("--bvh", l->bvh, ".bvh", err) : st;
}

wilor_status wilor_cli_live_options_parse(wilor_cli_live_options *o, int argc, char **argv,
                                          wilor_error *err) {
    wilor_cli_parser own = {.command = "live",
                            .options = g_options,
                            .count = OPTION_COUNT,
                            .user = o,
                            .option = take_option,
                            .operand = take_source,
                            .bare = true};
    *o = (wilor_cli_live_options){.stream = "cam0"};
    wilor_cli_shared_defaults(&o->tracking, &o->source);
    wilor_status st = wilor_cli_stream_options_parse(&o->p, &own, argc, argv, err);
    if (st == WILOR_OK && !o->p.help)
        st = wilor_cli_in_command(check(o, own.seen, err), own.command, err);
    return st;
}

void wilor_cli_live_help(FILE *to) {
    fputs(
        "usage: wilor live SOURCE [options]\n\n"
        "3D hands from a stream of pictures: a camera (/dev/video0), a video file, a network\n"
        "stream (rtsp://…), numbered pictures, - for the standard input. Events as JSON on "
        "the\n"
        "standard output, one line a frame.\n\n",
        to);
    wilor_cli_print_options(g_options, OPTION_COUNT, to);
    fputs("\nthe model, the detector, the camera:\n", to);
    wilor_cli_stream_options_help(to);
    fputs("\nexit: 0 the source has ended, 1 it or an output failed, 2 usage,\n"
          "      4 weights, hand data or detector are missing, 130 interrupted\n",
          to);
}
