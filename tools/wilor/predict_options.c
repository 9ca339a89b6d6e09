/* The options of `wilor predict`: the table, the conversion of each value, the rules between
 * them.
 *
 * Names and meanings are section 5 of the events format (docs/events.md). Options of that
 * section which need something that this version lacks are known by name and say so. */
#include "predict_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NOT_HERE "is not in this version"

enum {
    ID_WEIGHTS,
    ID_MANO,
    ID_MEAN,
    ID_HEADS,
    ID_DETECTOR,
    ID_DETECT,
    ID_CONF,
    ID_IOU,
    ID_IMGSZ,
    ID_MAX_HANDS,
    ID_PROFILE,
    ID_BBOX,
    ID_CROPS,
    ID_SIDE,
    ID_MIRRORED,
    ID_COMPAT,
    ID_RESCALE,
    ID_WARP,
    ID_INTRINSICS,
    ID_FOV,
    ID_FOCAL,
    ID_DISTORTION,
    ID_PALM,
    ID_BETAS,
    ID_JSON,
    ID_NDJSON,
    ID_BIN,
    ID_OUT,
    ID_NPZ,
    ID_OBJ,
    ID_GLTF,
    ID_OVERLAY,
    ID_INCLUDE,
    ID_EXPECT_HANDS,
    ID_RESUME,
    ID_DEVICE,
    ID_DTYPE,
    ID_THREADS,
    ID_LANES,
    ID_MAX_PIXELS,
    ID_FULL_PATH,
    ID_OFFLINE,
    ID_CACHE_PACKED,
    ID_PACKED,
    ID_QUIET,
    ID_HELP,
    ID_HELP_SHORT
};

static const wilor_cli_option g_options[] = {
    {"--weights", "nano|wilor|mini|mlx|ORG/NAME[@REV][:PATH]|FILE",
     "the model: nano, which comes with wilor; WiLoR's own, a set or a\n"
     "repository of the hub, fetched when it is not cached (wilor: mini); a file:\n"
     "wilor_final.ckpt, safetensors, wilor-mlx's. WILOR_WEIGHTS, else WiLoR's own\n"
     "when it is cached, else nano",
     ID_WEIGHTS, 0, NULL},
    {"--mano", "FILE", "the hand, when the weights lack it: mano.npz, MANO_RIGHT.pkl", ID_MANO,
     0, NULL},
    {"--mean", "FILE", "mano_mean_params.npz, when the weights lack it", ID_MEAN, 0, NULL},
    {"--heads", "N", "attention heads, for models that are not 80 wide a head", ID_HEADS, 0,
     NULL},
    {"--detector", "nano|FILE",
     "the hand detector: nano's, detector.pt, wilor-mlx's hand-detector", ID_DETECTOR, 0, NULL},
    {"--conf", "X", "keep hands that score above; 0.3", ID_CONF, 0, NULL},
    {"--iou", "X",
     "of two that overlap more keep the better; 0.7, of nano and with --compat mlx 0.5", ID_IOU,
     0, NULL},
    {"--imgsz", "N", "side of the detector's input; its own, with --compat mlx 512", ID_IMGSZ,
     0, NULL},
    {"--max-hands", "N", "keep a picture's best N that are found; 0: no limit", ID_MAX_HANDS, 0,
     NULL},
    {"--detector-profile", "8.1.34|8.4.190", "which ultralytics' numbers; 8.1.34", ID_PROFILE,
     0, NULL},
    {"--bbox", "X0,Y0,X1,Y1,SIDE",
     "a hand's box in pixels, SIDE left or right; for every picture, instead\n"
     "of the detector; repeat it for more hands",
     ID_BBOX, WILOR_CLI_REPEAT | WILOR_CLI_PICTURES, NULL},
    {"--detect", NULL, "run the detector, too, where boxes are given", ID_DETECT,
     WILOR_CLI_PICTURES, NULL},
    {"--crops", NULL, "the pictures are 256 x 256 crops of one hand each", ID_CROPS,
     WILOR_CLI_PICTURES, NULL},
    {"--side", "auto|left|right",
     "overrides the sides of boxes and found hands; with --crops: right\nunless given", ID_SIDE,
     0, NULL},
    {"--mirrored", NULL, "the pictures are selfie views: sides and 3D are mirrored back",
     ID_MIRRORED, 0, NULL},
    {"--compat", "mini|wilor|mlx",
     "WiLoR-mini's numbers, those of WiLoR's demo (larger crops of wide\nboxes, --rescale "
     "2.0), or wilor-mlx's",
     ID_COMPAT, 0, NULL},
    {"--rescale", "X", "crop side over the box's longer side; the model's own, else 2.5",
     ID_RESCALE, 0, NULL},
    {"--warp", "cv5|cv4", "crop as OpenCV 5 or as OpenCV 4 computes it; cv5", ID_WARP, 0, NULL},
    {"--intrinsics", "FX,FY,CX,CY", "the camera, in pixels of the picture", ID_INTRINSICS, 0,
     NULL},
    {"--fov", "DEGREES", "the camera's horizontal field of view", ID_FOV, 0, NULL},
    {"--focal", "PIXELS", "the camera's focal length, optical centre in the middle", ID_FOCAL,
     0, NULL},
    {"--distortion", "K1,K2,P1,P2,K3", "its lens, as OpenCV's calibration gives it",
     ID_DISTORTION, 0, NULL},
    {"--palm", "METRES", "true distance from wrist to middle knuckle: sets the scale", ID_PALM,
     0, NULL},
    {"--betas", "FILE", "a known person's shape: 10 numbers (text, JSON, npy, npz)", ID_BETAS,
     0, NULL},
    {"--ndjson", NULL, "one event a line, one line a picture: the default", ID_NDJSON,
     WILOR_CLI_PICTURES, NULL},
    {"--json", NULL, "readable JSON: an object for one picture, an array for more", ID_JSON,
     WILOR_CLI_PICTURES, NULL},
    {"--bin", NULL, "binary records, one behind the other (docs/events.md)", ID_BIN,
     WILOR_CLI_PICTURES, NULL},
    {"-o", "FILE", "write the events there instead of to the standard output", ID_OUT,
     WILOR_CLI_PICTURES, NULL},
    {"--npz", "FILE", "all hands' arrays for numpy, under WiLoR-mini's names", ID_NPZ,
     WILOR_CLI_PICTURES, NULL},
    {"--obj", "FOLDER", "a mesh a hand, in the camera's frame", ID_OBJ, WILOR_CLI_PICTURES,
     NULL},
    {"--gltf", "FILE", "all hands as one glTF scene, y up: FILE.glb or FILE.gltf", ID_GLTF,
     WILOR_CLI_PICTURES, NULL},
    {"--overlay", "FOLDER", "a picture with the mesh and the skeleton a picture", ID_OVERLAY,
     WILOR_CLI_PICTURES, NULL},
    {"--include", "LIST", "in the events: det,mano,xr26,vertices,gesture,angles; det",
     ID_INCLUDE, 0, NULL},
    {"--expect-hands", NULL, "exit with 3 when no hand comes out", ID_EXPECT_HANDS,
     WILOR_CLI_PICTURES, NULL},
    {"--resume", NULL, "go on with an interrupted run: FILE of -o grows as FILE.part",
     ID_RESUME, WILOR_CLI_PICTURES, NULL},
    {"--device", "auto|cpu|gpu|mlx|cuda[:N][,...]",
     "where to compute; auto: mlx on a Mac, else cpu", ID_DEVICE, 0, NULL},
    {"--dtype", WILOR_CLI_DTYPES, "the arithmetic; f32, of nano int8", ID_DTYPE, 0, NULL},
    {"--threads", "N", "0: the physical cores that this process may use", ID_THREADS, 0, NULL},
    {"--lanes", "N", "pictures at work at once; as many as threads", ID_LANES,
     WILOR_CLI_PICTURES, NULL},
    {"--max-pixels", "N", "refuse larger pictures; 256M", ID_MAX_PIXELS, 0, NULL},
    {"--full-path", NULL, "compute what can change nothing, too: for checking", ID_FULL_PATH,
     WILOR_CLI_HIDDEN | WILOR_CLI_PICTURES, NULL},
    {"--cache-packed", NULL, "keep the weights as this processor wants them: quick starts",
     ID_CACHE_PACKED, 0, NULL},
    {"--packed", "FILE", "map the weights as wilor convert --to packed wrote them", ID_PACKED,
     0, NULL},
    {"--offline", NULL, "use what is cached: no request at all", ID_OFFLINE, 0, NULL},
    {"--quiet", NULL, "errors only on the standard error", ID_QUIET, 0, NULL},
    {"--help", NULL, "this text", ID_HELP, 0, NULL},
    {"-h", NULL, "this text", ID_HELP_SHORT, WILOR_CLI_HIDDEN, NULL},
    {"--bvh", "FILE", "", 0, WILOR_CLI_PICTURES,
     "records a hand that moves, and pictures have no time: see wilor live"},
    {"--pages", "map|huge", "", 0, 0, NOT_HERE},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

static wilor_status bad(const wilor_cli_option *o, const char *value, const char *wanted,
                        wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s %s: it should be %s", o->name,
                          wilor_cli_quote(&q, value), wanted);
}

static wilor_status take_int(const wilor_cli_option *o, const char *value, long low, long high,
                             int *out, wilor_error *err) {
    long n;
    char wanted[64];
    if (wilor_cli_parse_long(value, low, high, &n)) {
        *out = (int)n;
        return WILOR_OK;
    }
    snprintf(wanted, sizeof wanted, "a whole number from %ld to %ld", low, high);
    return bad(o, value, wanted, err);
}

static wilor_status take_double(const wilor_cli_option *o, const char *value, double low,
                                double high, const char *unit, double *out, wilor_error *err) {
    char wanted[96];
    if (wilor_cli_parse_double(value, low, high, out))
        return WILOR_OK;
    snprintf(wanted, sizeof wanted, "a number%s%s from %g to %g", *unit ? " of " : "", unit,
             low, high);
    return bad(o, value, wanted, err);
}

static bool parse_side(const char *text, int *side) {
    if (!strcmp(text, "left"))
        *side = WILOR_LEFT;
    else if (!strcmp(text, "right"))
        *side = WILOR_RIGHT;
    else
        return false;
    return true;
}

/* "x0,y0,x1,y1,left|right"; the side may be missing when --side says it, which is checked
 * later: until then its score is negative. */
static wilor_status take_box(wilor_cli_predict_options *p, const wilor_cli_option *o,
                             const char *value, wilor_error *err) {
    double x[4];
    const char *rest;
    int side = -1;
    if (!wilor_cli_parse_list(value, 4, x, &rest) || (*rest && !parse_side(rest, &side)))
        return bad(o, value, "x0,y0,x1,y1,left or x0,y0,x1,y1,right", err);
    wilor_box *box = &p->boxes[p->box_count];
    for (int i = 0; i < 4; i++) {
        if (fabs(x[i]) > 1e9)
            return bad(o, value, "at most 1e9 pixels from the picture's corner", err);
        box->box[i] = x[i];
    }
    if (!(box->box[2] > box->box[0]) || !(box->box[3] > box->box[1]))
        return bad(o, value, "a box with x1 > x0 and y1 > y0", err);
    box->score = side < 0 ? -1.0f : 1.0f;
    box->side = side == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
    p->box_count++;
    return WILOR_OK;
}

static wilor_status take_include(wilor_cli_predict_options *p, const wilor_cli_option *o,
                                 const char *value, wilor_error *err) {
    static const struct {
        const char *name;
        unsigned bit;
    } parts[] = {{"mano", WILOR_CLI_MANO},         {"xr26", WILOR_CLI_XR26},
                 {"vertices", WILOR_CLI_VERTICES}, {"det", WILOR_CLI_DET},
                 {"gesture", WILOR_CLI_GESTURE},   {"angles", WILOR_CLI_ANGLES}};

    for (const char *s = value;;) {
        size_t n = strcspn(s, ","), i = 0;
        size_t count = sizeof parts / sizeof parts[0];
        while (i < count && (strlen(parts[i].name) != n || memcmp(parts[i].name, s, n) != 0))
            i++;
        if (i == count)
            return bad(o, value, "a list of mano, xr26, vertices, gesture, angles, det", err);
        p->include |= parts[i].bit;
        if (!s[n])
            return WILOR_OK;
        s += n + 1;
    }
}

static wilor_status take_compat(wilor_cli_predict_options *p, const wilor_cli_option *o,
                                const char *value, wilor_error *err) {
    static const char *const names[] = {"mini", "wilor", "mlx"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(value, names[i])) {
            p->compat = (wilor_compat)i;
            return WILOR_OK;
        }
    return bad(o, value, "mini, wilor or mlx", err);
}

static wilor_status take_camera(wilor_cli_predict_options *p, const wilor_cli_option *o,
                                const char *value, wilor_error *err) {
    const double degree = 3.14159265358979323846 / 180;
    double *k = p->predict.intrinsics;
    wilor_status st;
    switch (o->id) {
    case ID_INTRINSICS:
        if (!wilor_cli_parse_list(value, 4, k, NULL) || !(k[0] > 0) || !(k[1] > 0))
            return bad(o, value, "fx,fy,cx,cy in pixels, fx and fy above 0", err);
        p->predict.has_intrinsics = 1;
        return WILOR_OK;
    case ID_DISTORTION:
        if (!wilor_cli_parse_list(value, 5, p->predict.distortion, NULL))
            return bad(o, value, "k1,k2,p1,p2,k3", err);
        p->distorted = true;
        return WILOR_OK;
    case ID_FOV:
        st = take_double(o, value, 1, 179, "degrees", &p->fov, err);
        p->fov *= degree;
        return st;
    default:
        return take_double(o, value, 1e-3, 1e9, "pixels", &p->predict.focal, err);
    }
}

static wilor_status take_detection(wilor_cli_predict_options *p, const wilor_cli_option *o,
                                   const char *value, wilor_error *err) {
    wilor_detect_options *d = &p->detect;
    wilor_status st;
    switch (o->id) {
    case ID_CONF:
        st = take_double(o, value, 0, 1, "", &d->conf, err);
        /* The library's 0 is its default, and its scores end below 1. */
        d->conf = d->conf < 1e-12 ? 1e-12 : d->conf > 1 - 1e-12 ? 1 - 1e-12 : d->conf;
        return st;
    case ID_IOU:
        st = take_double(o, value, 0, 1, "", &d->iou, err);
        d->iou = d->iou < 1e-12 ? 1e-12 : d->iou;
        return st;
    case ID_IMGSZ:
        return take_int(o, value, 32, 4096, &d->imgsz, err);
    case ID_MAX_HANDS:
        return take_int(o, value, 0, 300, &d->max_hands, err);
    default:
        d->profile = !strcmp(value, "8.4.190") ? WILOR_DETECTOR_8_4_190 : WILOR_DETECTOR_8_1_34;
        if (strcmp(value, "8.1.34") != 0 && strcmp(value, "8.4.190") != 0)
            return bad(o, value, "8.1.34 or 8.4.190", err);
        return WILOR_OK;
    }
}

/* Which numbers, and whether there are such cards, the library says. */
static wilor_status take_device(wilor_cli_predict_options *p, const wilor_cli_option *o,
                                const char *value, wilor_error *err) {
    p->device = value;
    if (!strcmp(value, "auto") || !strcmp(value, "cpu") || !strcmp(value, "gpu") ||
        !strcmp(value, "mlx"))
        return WILOR_OK;
    if (!strncmp(value, "cuda", 4) && (!value[4] || value[4] == ',' || value[4] == ':'))
        return WILOR_OK;
    return bad(o, value, "auto, cpu, gpu, mlx, cuda, cuda:N or several as cuda:N,cuda:M", err);
}

static void take_flag(wilor_cli_predict_options *p, int id) {
    switch (id) {
    case ID_CROPS:
        p->crops = true;
        break;
    case ID_MIRRORED:
        p->predict.mirrored = 1;
        break;
    case ID_JSON:
        p->json = true;
        break;
    case ID_BIN:
        p->binary = true;
        break;
    case ID_DETECT:
        p->detect_too = true;
        break;
    case ID_RESUME:
        p->resume = true;
        break;
    case ID_EXPECT_HANDS:
        p->expect_hands = true;
        break;
    case ID_CACHE_PACKED:
        p->cache_packed = true;
        break;
    case ID_OFFLINE:
        p->offline = true;
        break;
    case ID_FULL_PATH:
        p->full_path = true;
        break;
    case ID_QUIET:
        p->quiet = true;
        break;
    case ID_HELP:
    case ID_HELP_SHORT:
        p->help = true;
        break;
    default: /* --ndjson is the default */
        break;
    }
}

static bool take_path(wilor_cli_predict_options *p, int id, const char *value) {
    const char **path = id == ID_WEIGHTS    ? &p->weights
                        : id == ID_MANO     ? &p->mano
                        : id == ID_MEAN     ? &p->mean
                        : id == ID_PACKED   ? &p->packed
                        : id == ID_DETECTOR ? &p->detector
                        : id == ID_BETAS    ? &p->betas_path
                        : id == ID_OUT      ? &p->out
                        : id == ID_NPZ      ? &p->npz
                        : id == ID_OBJ      ? &p->obj
                        : id == ID_GLTF     ? &p->gltf
                        : id == ID_OVERLAY  ? &p->overlay
                                            : NULL;
    if (path)
        *path = value;
    return path != NULL;
}

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    wilor_cli_predict_options *p = user;
    if (take_path(p, o->id, value))
        return WILOR_OK;
    switch (o->id) {
    case ID_HEADS:
        return take_int(o, value, 1, 4096, &p->heads, err);
    case ID_THREADS:
        return take_int(o, value, 0, 1024, &p->threads, err);
    case ID_LANES:
        return take_int(o, value, 1, 1024, &p->lanes, err);
    case ID_CONF:
    case ID_IOU:
    case ID_IMGSZ:
    case ID_MAX_HANDS:
    case ID_PROFILE:
        return take_detection(p, o, value, err);
    case ID_BBOX:
        return take_box(p, o, value, err);
    case ID_SIDE:
        if (!strcmp(value, "auto") || parse_side(value, &p->side))
            return WILOR_OK;
        return bad(o, value, "auto, left or right", err);
    case ID_COMPAT:
        return take_compat(p, o, value, err);
    case ID_RESCALE:
        return take_double(o, value, 0.01, 100, "times the box", &p->predict.rescale, err);
    case ID_WARP:
        p->predict.warp = !strcmp(value, "cv4") ? WILOR_WARP_CV4 : WILOR_WARP_CV5;
        if (strcmp(value, "cv4") != 0 && strcmp(value, "cv5") != 0)
            return bad(o, value, "cv5 or cv4", err);
        return WILOR_OK;
    case ID_INTRINSICS:
    case ID_FOV:
    case ID_FOCAL:
    case ID_DISTORTION:
        return take_camera(p, o, value, err);
    case ID_PALM:
        return take_double(o, value, 0.01, 1, "metres", &p->predict.palm, err);
    case ID_INCLUDE:
        return take_include(p, o, value, err);
    case ID_DEVICE:
        return take_device(p, o, value, err);
    case ID_DTYPE:
        return wilor_cli_parse_dtype("", value, &p->dtype, err);
    case ID_MAX_PIXELS:
        if (!wilor_cli_parse_count(value, &p->max_pixels))
            return bad(o, value, "a number of pixels such as 256M", err);
        return WILOR_OK;
    default:
        take_flag(p, o->id);
        return WILOR_OK;
    }
}

static wilor_status take_operand(void *user, const char *text, wilor_error *err) {
    wilor_cli_predict_options *p = user;
    (void)err;
    p->inputs[p->input_count++] = text;
    return WILOR_OK;
}

static const char *option_name(int id) {
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (g_options[i].id == id && !g_options[i].missing)
            return g_options[i].name;
    return "";
}

/* Two options that exclude each other. */
static wilor_status exclude(uint64_t seen, int a, int b, wilor_error *err) {
    if ((seen >> a & 1) && (seen >> b & 1))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s and %s exclude each other",
                              option_name(a), option_name(b));
    return WILOR_OK;
}

static wilor_status no_meaning(int id, const char *where, wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s has no meaning %s", option_name(id), where);
}

/* A crop has no place in a picture and no camera: what speaks of them is an error, not ignored. */
static wilor_status check_crops(const wilor_cli_predict_options *p, uint64_t seen,
                                wilor_error *err) {
    static const int none[] = {ID_BBOX,       ID_MIRRORED, ID_RESCALE,    ID_DETECT, ID_WARP,
                               ID_INTRINSICS, ID_FOV,      ID_DISTORTION, ID_FOCAL,  ID_PALM,
                               ID_BETAS,      ID_OVERLAY,  ID_CONF,       ID_IOU,    ID_IMGSZ,
                               ID_MAX_HANDS,  ID_PROFILE};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        if (seen >> none[i] & 1)
            return no_meaning(none[i], "with --crops", err);
    if ((seen >> ID_COMPAT & 1) && p->compat != WILOR_COMPAT_MLX)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "of --compat only mlx has a meaning with --crops");
    if (p->include & WILOR_CLI_XR26)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--include xr26 has no meaning with --crops: the joints "
                              "need a camera");
    return WILOR_OK;
}

/* Boxes stand for the detector's unless --detect adds those; what would then be ignored is an
 * error, but for --detector itself, which may stand in somebody's alias. */
static wilor_status check_detector(const wilor_cli_predict_options *p, uint64_t seen,
                                   wilor_error *err) {
    static const int tuning[] = {ID_CONF, ID_IOU, ID_IMGSZ, ID_MAX_HANDS, ID_PROFILE};
    for (size_t i = 0; p->box_count > 0 && !p->detect_too && i < 5; i++)
        if (seen >> tuning[i] & 1)
            return no_meaning(tuning[i], "with --bbox and without --detect", err);
    if (p->compat == WILOR_COMPAT_MLX && (seen >> ID_PROFILE & 1))
        return no_meaning(ID_PROFILE, "with --compat mlx", err);
    if (p->compat == WILOR_COMPAT_MLX && (seen >> ID_WARP & 1))
        return no_meaning(ID_WARP, "with --compat mlx", err);
    return WILOR_OK;
}

/* An interrupted run is taken up line by line. */
static wilor_status check_resume(const wilor_cli_predict_options *p, wilor_error *err) {
    const char *other = p->json     ? "--json"
                        : p->binary ? "--bin"
                        : p->npz    ? "--npz"
                        : p->gltf   ? "--gltf"
                                    : NULL;
    if (other)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--resume goes on with lines of events only, not with %s; leave "
                              "it out, or leave --resume out",
                              other);
    if (!p->out || !strcmp(p->out, "-"))
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--resume needs a file of events to go on with: -o FILE");
    for (size_t i = 0; i < p->input_count; i++)
        if (!strcmp(p->inputs[i], "-"))
            return wilor_cli_fail(
                err, WILOR_ERR_ARG,
                "--resume needs pictures that are files, not the standard input");
    return WILOR_OK;
}

static wilor_status check_inputs(const wilor_cli_predict_options *p, wilor_error *err) {
    int pipes = 0;
    for (size_t i = 0; i < p->input_count; i++)
        pipes += !strcmp(p->inputs[i], "-");
    if (p->input_count == 0)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "no picture given; see wilor predict --help");
    if (pipes > 1)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "the standard input, -, is given twice");
    return WILOR_OK;
}

static wilor_status check_hands(wilor_cli_predict_options *p, wilor_error *err) {
    for (int i = 0; i < p->box_count; i++) {
        wilor_box *box = &p->boxes[i];
        if (box->score < 0 && p->side < 0)
            return wilor_cli_fail(err, WILOR_ERR_ARG,
                                  "--bbox %g,%g,%g,%g does not say which hand: add ,left or "
                                  ",right, or give --side",
                                  box->box[0], box->box[1], box->box[2], box->box[3]);
        box->score = 1.0f;
        if (p->side >= 0)
            box->side = (wilor_side)p->side;
    }
    return WILOR_OK;
}

static wilor_status check_files(const wilor_cli_predict_options *p, wilor_error *err) {
    const char *paths[] = {p->npz, p->gltf, p->out};
    static const char *const names[] = {"--npz", "--gltf", "-o"};
    const char *ending = p->gltf ? wilor_cli_ending(p->gltf) : ".glb";
    wilor_cli_quoted q;
    if (strcasecmp(ending, ".glb") != 0 && strcasecmp(ending, ".gltf") != 0)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--gltf %s: it should be a name that ends in .glb or .gltf",
                              wilor_cli_quote(&q, p->gltf));
    for (int a = 0; a < 3; a++)
        for (int b = a + 1; b < 3; b++)
            if (paths[a] && paths[b] && !strcmp(paths[a], paths[b]))
                return wilor_cli_fail(err, WILOR_ERR_ARG, "%s and %s name the same file",
                                      names[a], names[b]);
    return WILOR_OK;
}

/* What pictures one by one and a stream of them have in common. */
static wilor_status check(wilor_cli_predict_options *p, uint64_t seen, wilor_error *err) {
    static const int pairs[][2] = {{ID_JSON, ID_NDJSON},      {ID_JSON, ID_BIN},
                                   {ID_NDJSON, ID_BIN},       {ID_INTRINSICS, ID_FOV},
                                   {ID_INTRINSICS, ID_FOCAL}, {ID_FOV, ID_FOCAL}};
    wilor_status st = WILOR_OK;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0] && st == WILOR_OK; i++)
        st = exclude(seen, pairs[i][0], pairs[i][1], err);
    if (st == WILOR_OK && p->crops)
        st = check_crops(p, seen, err);
    if (st != WILOR_OK)
        return st;
    p->camera_given = p->predict.has_intrinsics || p->fov > 0 || p->predict.focal > 0;
    if (p->distorted && !p->camera_given)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--distortion needs a camera: --intrinsics, --fov or --focal");
    st = check_detector(p, seen, err);
    if (st == WILOR_OK)
        st = check_hands(p, err);
    if (st == WILOR_OK && p->packed && p->cache_packed)
        st = wilor_cli_fail(err, WILOR_ERR_ARG,
                            "--packed names the file; --cache-packed lets wilor keep "
                            "one: give either");
    return st;
}

static wilor_status check_pictures(wilor_cli_predict_options *p, uint64_t seen,
                                   wilor_error *err) {
    wilor_status st = check(p, seen, err);
    if (st == WILOR_OK)
        st = check_inputs(p, err);
    if (st == WILOR_OK)
        st = check_files(p, err);
    return st == WILOR_OK && p->resume ? check_resume(p, err) : st;
}

/* What follows from what was given. */
static void fill_in(wilor_cli_predict_options *p, uint64_t seen) {
    if (!(seen >> ID_INCLUDE & 1))
        p->include = WILOR_CLI_DET;
    p->use_detector = !p->crops && (p->box_count == 0 || p->detect_too);
    p->detect.force_side = p->side + 1;
    p->unasked_dtype = !(seen >> ID_DTYPE & 1);
}

static wilor_status begin(wilor_cli_predict_options *o, int argc, const char *command,
                          wilor_error *err) {
    *o = (wilor_cli_predict_options){0};
    o->side = -1;
    wilor_predict_options_init(&o->predict, sizeof o->predict);
    wilor_detect_options_init(&o->detect, sizeof o->detect);
    /* Not more of either than words on the command line. */
    size_t most = argc > 0 ? (size_t)argc : 1;
    o->inputs = calloc(most, sizeof *o->inputs);
    o->boxes = calloc(most, sizeof *o->boxes);
    if (!o->inputs || !o->boxes)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "%s: out of memory", command);
    return WILOR_OK;
}

wilor_status wilor_cli_predict_options_parse(wilor_cli_predict_options *o, int argc,
                                             char **argv, wilor_error *err) {
    wilor_cli_parser parser = {.command = "predict",
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = o,
                               .option = take_option,
                               .operand = take_operand,
                               .bare = true};
    wilor_status st = begin(o, argc, parser.command, err);
    if (st != WILOR_OK)
        return st;
    st = wilor_cli_parse(&parser, argc, argv, err);
    if (st == WILOR_OK && !o->help)
        st = wilor_cli_in_command(check_pictures(o, parser.seen, err), parser.command, err);
    fill_in(o, parser.seen);
    return st;
}

wilor_status wilor_cli_stream_options_parse(wilor_cli_predict_options *o, wilor_cli_parser *own,
                                            int argc, char **argv, wilor_error *err) {
    wilor_cli_parser parser = {.command = own->command,
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = o,
                               .option = take_option,
                               .bare = true,
                               .without = WILOR_CLI_PICTURES,
                               .more = own};
    wilor_status st = begin(o, argc, parser.command, err);
    if (st != WILOR_OK)
        return st;
    st = wilor_cli_parse(&parser, argc, argv, err);
    if (st == WILOR_OK && !o->help)
        st = wilor_cli_in_command(check(o, parser.seen, err), parser.command, err);
    fill_in(o, parser.seen);
    o->unasked_cache = !(parser.seen >> ID_CACHE_PACKED & 1);
    if (o->unasked_dtype)
        o->dtype = WILOR_DTYPE_AUTO;
    o->cache_packed = !o->packed && !wilor_cli_is_formula(o->weights ? o->weights : "");
    return st;
}

void wilor_cli_stream_options_help(FILE *to) {
    wilor_cli_print_options_without(g_options, OPTION_COUNT, WILOR_CLI_PICTURES, to);
}

void wilor_cli_predict_options_free(wilor_cli_predict_options *o) {
    free((void *)o->inputs);
    free(o->boxes);
    *o = (wilor_cli_predict_options){0};
}

wilor_predict_options wilor_cli_predict_options_for(const wilor_cli_predict_options *o,
                                                    int width, int height, const float *betas) {
    wilor_predict_options p = o->predict;
    p.betas = betas;
    if (o->fov > 0)
        p.focal = 0.5 * width / tan(0.5 * o->fov);
    if (o->distorted && !p.has_intrinsics) {
        /* The library takes a lens together with a whole camera only. */
        p.has_intrinsics = 1;
        p.intrinsics[0] = p.intrinsics[1] = p.focal;
        p.intrinsics[2] = 0.5 * width;
        p.intrinsics[3] = 0.5 * height;
    }
    return p;
}

void wilor_cli_predict_help(FILE *to) {
    fputs("usage: wilor predict PICTURE|FOLDER|PATTERN|- ... [--weights WEIGHTS]\n"
          "           [--detector FILE | --bbox X0,Y0,X1,Y1,left|right ... | --crops]  "
          "[options]\n\n"
          "3D hands from pictures: events as JSON on the standard output, one line a "
          "picture.\n\n",
          to);
    wilor_cli_print_options(g_options, OPTION_COUNT, to);
    fputs("\nexit: 0 done, 1 a picture or a file failed, 2 usage, 3 no hand (--expect-hands),\n"
          "      4 weights, hand data or detector are missing, 130 interrupted\n",
          to);
}
