/* wilor: 3D hands from a picture.
 *
 * The core library. It needs the C library, threads and (for compressed files) zlib; it decodes
 * no pictures: wilor_io.h does that. The model is WiLoR's (Potamias et al., "WiLoR: End-to-end
 * 3D Hand Localization and Reconstruction in-the-wild", CVPR 2025), computed as its PyTorch
 * code computes it.
 *
 *     wilor_error err;
 *     wilor_model_options mo;
 *     wilor_model_options_init(&mo, sizeof mo);
 *     mo.weights = "wilor_final.ckpt";
 *     wilor_model *model = NULL;
 *     if (wilor_model_open(&model, &mo, &err) != WILOR_OK) {
 *         fprintf(stderr, "%s\n", err.text);
 *         return 1;
 *     }
 *     wilor_detector_options dopt;
 *     wilor_detector_options_init(&dopt, sizeof dopt);
 *     dopt.detector = "detector.pt";
 *     wilor_detector *detector = NULL;
 *     wilor_detector_open(&detector, &dopt, &err);
 *     wilor_pipeline *pipeline = NULL;
 *     wilor_pipeline_create(&pipeline, detector, model, NULL, &err);
 *
 *     wilor_picture picture = {pixels, width, height, width * 3, WILOR_RGB8};
 *     const wilor_hands *hands = NULL;
 *     if (wilor_pipeline_run(pipeline, &picture, NULL, 0, NULL, NULL, &hands, &err) == WILOR_OK)
 *         for (int i = 0; i < hands->n; i++)
 *             printf("%s hand, wrist at %g %g %g m\n", hands->side[i] ? "right" : "left",
 *                    hands->keypoints_3d[i * 63] + hands->cam_t[i * 3],
 *                    hands->keypoints_3d[i * 63 + 1] + hands->cam_t[i * 3 + 1],
 *                    hands->keypoints_3d[i * 63 + 2] + hands->cam_t[i * 3 + 2]);
 *     wilor_pipeline_free(&pipeline);
 *     wilor_detector_free(&detector);
 *     wilor_model_free(&model);
 *
 * Without a detector: wilor_session_create and wilor_predict_boxes.
 *
 * Frames and units, everywhere: metres, radians, pixels. Camera frame: x right, y down, z
 * forward. Pixel centres are at integers, origin at the top left. Rotations are active and act
 * on column vectors. 21 keypoints in OpenPose's order: wrist; thumb, index, middle, ring,
 * little finger, four each from the palm to the tip. docs/conventions.md has drawings and the
 * usual conversions.
 *
 * Errors: every function that can fail returns a wilor_status and fills the caller's
 * wilor_error (NULL is fine). The library never prints, exits or aborts, and never runs
 * anything that is in a file. "No hand" is a result, not an error.
 *
 * Threads: a model is immutable and may be shared by any number of sessions on any threads. A
 * session takes one call at a time. Functions without a session are re-entrant. */
#ifndef WILOR_WILOR_H
#define WILOR_WILOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#if defined(WILOR_BUILD)
#define WILOR_API __declspec(dllexport)
#elif defined(WILOR_STATIC)
#define WILOR_API
#else
#define WILOR_API __declspec(dllimport)
#endif
#else
#define WILOR_API __attribute__((visibility("default")))
#endif

/* ---------------------------------------------------------------- errors */

/* The numbers never change. */
typedef enum wilor_status {
    WILOR_OK = 0,
    WILOR_ERR_ARG = 1,     /* a call that breaks this header's rules */
    WILOR_ERR_NOMEM = 2,   /* the system gave no memory */
    WILOR_ERR_IO = 3,      /* a file could not be opened, read, mapped or written */
    WILOR_ERR_FORMAT = 4,  /* a file is not what it should be, or is damaged */
    WILOR_ERR_MODEL = 5,   /* a sound file that is not this model: a tensor is missing or has
                             another shape */
    WILOR_ERR_MISSING = 6, /* weights or hand data were not given nor are in the other files */
    WILOR_ERR_LIMIT = 7,   /* larger than a limit that the message names */
    WILOR_ERR_UNSUPPORTED = 8, /* sound, but this build or version cannot do it */
    WILOR_ERR_CANCELLED = 9,   /* the caller's cancel callback said so */
    WILOR_ERR_INTERNAL = 10    /* our bug */
} wilor_status;

/* Caller-owned. text is one line of UTF-8 that names the file or thing, the value and the
 * limit; control characters of file names are shown escaped. Set to WILOR_OK and "" by a call
 * that succeeds. */
typedef struct wilor_error {
    wilor_status status;
    char text[508];
} wilor_error;

/* A short constant text for a status; never NULL. */
WILOR_API const char *wilor_status_name(wilor_status status);

/* ---------------------------------------------------------------- version and build */

#define WILOR_VERSION_MAJOR 0
#define WILOR_VERSION_MINOR 1
#define WILOR_VERSION_PATCH 0

/* "0.1.0"; of the library that runs, not of the header. */
WILOR_API const char *wilor_version(void);

/* One constant line: version, source revision, compiler, processor family, features. */
WILOR_API const char *wilor_build_info(void);

/* Kernel tiers. Numbers grow with capability within a family. */
typedef enum wilor_isa {
    WILOR_ISA_AUTO = 0,   /* the best that this processor and operating system allow */
    WILOR_ISA_C = 1,      /* plain C */
    WILOR_ISA_AVX2 = 2,   /* x86-64 with AVX2 and FMA; AVX-VNNI where the processor has it */
    WILOR_ISA_AVX512 = 3, /* with AVX512-VNNI and AVX512-BF16 where the processor has them */
    WILOR_ISA_AMX = 4,    /* AVX-512 and the matrix unit */
    WILOR_ISA_NEON = 16,  /* AArch64; SDOT, SMMLA and BFMMLA where the processor has them */
    WILOR_ISA_ACCELERATE = 17 /* NEON, and Apple's Accelerate for float32 products */
} wilor_isa;

/* "c", "avx2", "avx512", "amx", "neon", "accelerate"; "auto" for WILOR_ISA_AUTO, "unknown" for
 * others. */
WILOR_API const char *wilor_isa_name(wilor_isa isa);

/* The tier that WILOR_ISA_AUTO means here: the processor's best, capped by the environment
 * variable WILOR_ISA (one of the names above) when that is set. */
WILOR_API wilor_isa wilor_isa_best(void);

/* The arithmetic of the transformer's blocks, 98 % of a hand's work (wilor_detector_options has a dtype of its
 * own). The residual stream, norms, softmax,
 * rotations, RefineNet and MANO are float32 with all of them; docs/accuracy.md says what each costs. */
typedef enum wilor_dtype {
    WILOR_DTYPE_F32 = 0, /* float32, plain fused multiply-add: the oracle, on every processor */
    WILOR_DTYPE_AUTO =
        1, /* bfloat16 where the processor multiplies it (AMX, AVX512-BF16, Arm's BF16),
                             else float32 */
    WILOR_DTYPE_F32X = 2, /* float32's exactness from split numbers: AMX, NVIDIA cards */
    WILOR_DTYPE_F16 = 3,  /* for graphics cards: ERR_UNSUPPORTED on a processor */
    WILOR_DTYPE_BF16 = 4, /* bfloat16 operands, float32 sums: AMX, AVX512-BF16, Arm's BF16 */
    WILOR_DTYPE_INT8 =
        5, /* 8-bit operands, a scale a weight's output and a token: everywhere */
    WILOR_DTYPE_INT4 =
        6, /* weights kept in groups of 64 with 4 bits, multiplied as bfloat16 where
                             there is that, else as float32 */
    WILOR_DTYPE_FP8 = 7 /* as F16 */
} wilor_dtype;

/* "f32", "auto", "f32x", "f16", "bf16", "int8", "int4", "fp8"; "unknown" for others. */
WILOR_API const char *wilor_dtype_name(wilor_dtype dtype);

/* Threads that WILOR uses when asked for 0: physical cores this process may use (affinity mask
 * and cgroup quota count), at least 1. */
WILOR_API int wilor_threads_default(void);

/* ---------------------------------------------------------------- callbacks */

typedef enum wilor_log_level { WILOR_LOG_INFO = 1, WILOR_LOG_WARNING = 2 } wilor_log_level;

/* Any may be NULL; called only on the calling thread. */
typedef struct wilor_callbacks {
    /* Given back to each. */
    void *user;
    /* One line, no newline. */
    void (*log)(void *user, wilor_log_level level, const char *text);
    /* done of total bytes of what is being read. */
    void (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    /* Non-zero: stop with WILOR_ERR_CANCELLED as soon as possible. */
    int (*cancel)(void *user);
} wilor_callbacks;

/* ---------------------------------------------------------------- model */

typedef struct wilor_model wilor_model; /* weights: immutable, shared */

typedef struct wilor_model_options {
    size_t struct_size; /* set by wilor_model_options_init */
    /* Path, UTF-8: wilor_final.ckpt, a safetensors file, wilor-mlx's too. Or "random:NAME" (tiny,
     * hd80, full, nano, demo): weights by formula, for tests and demonstrations; they need mano. */
    const char *weights;
    const char *mano;  /* NULL, or mano.npz, MANO_RIGHT.pkl, or a checkpoint that has mano.* */
    const char *mean;  /* NULL, or mano_mean_params.npz */
    int heads;         /* attention heads; 0: from the file, else width / 80 */
    int threads;       /* for loading; 0: wilor_threads_default() */
    wilor_isa max_isa; /* WILOR_ISA_AUTO, or the highest tier to use */
    wilor_callbacks callbacks;
    /* NULL, or a file that wilor_model_save_packed wrote of the same weights here: it is mapped and
     * used in place, which takes milliseconds, and processes share its pages. A file of other
     * weights, another tier or version is not used (the log callback hears why), nor is one that
     * is not there. The model's files must still be there: their headers are read. */
    const char *packed;
    /* Weights of a file in 4 bits stay so with every dtype; others are kept as the dtype has them. An
     * arithmetic that this processor lacks is ERR_UNSUPPORTED. */
    wilor_dtype dtype;
    /* "cpu": this processor. "mlx": a Mac's graphics processor, by the module libwilor_mlx (docs/mlx.md); its dtypes
     * are F32, F16, BF16, INT8 and INT4, AUTO is F16. "cuda" or "cuda:N": an NVIDIA card, by the module
     * libwilor_cuda (docs/cuda.md); its dtypes are F32, F16 and BF16, AUTO is F16; "cuda:N,cuda:M,…", 8 at most: the
     * hands of a run shared out over several (a detector takes the first). "gpu": mlx on a Mac, cuda
     * elsewhere. NULL or "auto": mlx on a Mac where its module is there and has the dtype, else the processor.
     * Modules are loaded when they are needed. ERR_UNSUPPORTED when module, driver or card are missing or do not
     * fit; packed is not used on a device. A run on mlx allocates, inside MLX. */
    const char *device;
} wilor_model_options;

/* Fills every field with its default. size is sizeof(wilor_model_options) as the caller knows
 * it: an older caller's shorter struct is fine. */
WILOR_API void wilor_model_options_init(wilor_model_options *o, size_t size);

/* Load weights and pack them for this processor.
 *   out      the model, or NULL on error
 *   o        read only, not kept; weights must be set
 *   errors   ERR_IO, ERR_FORMAT, ERR_MODEL (names the tensor and both shapes), ERR_MISSING (no
 *            MANO data anywhere), ERR_LIMIT, ERR_NOMEM, ERR_CANCELLED
 *   memory   about the size of the weights in float32 (2.56 GB at full size), one copy:
 *            large files are read tensor by tensor
 *   cost     about 1 s of reading and packing per GB on two cores
 * The checkpoint's own MANO data and mean pose win over o->mano and o->mean, as upstream; with
 * wilor-mlx's files the ones of o->mano win. */
WILOR_API wilor_status wilor_model_open(wilor_model **out, const wilor_model_options *o,
                                        wilor_error *err);

/* Takes NULL and a pointer to NULL; leaves NULL. Free the model's sessions first. */
WILOR_API void wilor_model_free(wilor_model **model);

typedef struct wilor_model_info {
    int width;             /* D, 1280 at full size */
    int depth;             /* transformer blocks */
    int heads;             /* attention heads */
    int mlp;               /* hidden width of a block's MLP */
    int vertices;          /* V, 778 */
    int faces;             /* 1538 */
    uint64_t parameters;   /* numbers in the network, without MANO */
    uint64_t packed_bytes; /* memory that the model holds */
    double load_seconds;   /* wall time of wilor_model_open */
    wilor_isa isa;         /* the kernel tier it is packed for */
    const char *weights;   /* the path it came from; lives as long as the model */
    const char *label;     /* what the file says of itself: "" mostly, else "synthetic …" */
    int from_packed;       /* 1: the weights are used in place in the file of options.packed */
    wilor_dtype dtype;     /* what computes: never AUTO */
    const char *kernels; /* "f32 avx2", "bf16 amx", "f16 mlx" …; lives as long as the model */
    /* What the file says of itself; the texts live as long as the model. */
    const char *name; /* "nano"; "" for files that give themselves no name, WiLoR's own too */
    const char *licence; /* of the weights, "CC0-1.0"; "" unknown */
    double
        rescale; /* the crop that it was trained for, as in wilor_predict_options; 0: unknown */
    const char
        *device; /* "cpu", "mlx", "cuda:0", "cuda:0,cuda:1"; lives as long as the model */
} wilor_model_info;

/* Fills *info; never fails on a live model. size is sizeof(wilor_model_info) as the caller
 * knows it. */
WILOR_API void wilor_model_get_info(const wilor_model *model, wilor_model_info *info,
                                    size_t size);

/* Write the packed weights, for options.packed of later openings on this kind of processor: a header
 * of 4096 bytes, then the model's memory as it is. write gets bytes in order and returns 0, or
 * anything else to stop with ERR_IO. Write to a temporary name and rename: the file may be in use. */
WILOR_API wilor_status wilor_model_save_packed(const wilor_model *model,
                                               int (*write)(void *user, const void *data,
                                                            size_t size),
                                               void *user, wilor_error *err);

typedef enum wilor_side { WILOR_LEFT = 0, WILOR_RIGHT = 1 } wilor_side;

/* Triangles of the mesh: faces × 3 vertex indices, counter-clockwise seen from outside. A left
 * hand has its vertices mirrored, so its winding is reversed here. It lives as long as the
 * model. */
WILOR_API const int32_t *wilor_model_faces(const wilor_model *model, wilor_side side);

/* ---------------------------------------------------------------- session */

typedef struct wilor_session wilor_session; /* scratch memory and threads: one call at a time */

/* Whose numbers are wanted. docs/compat.md lists every difference. */
typedef enum wilor_compat {
    WILOR_COMPAT_MINI = 0, /* WiLoR-mini: the default */
    /* WiLoR's own demo: the same but for the crop, 2.0 times the box made at least 4/3 as high as
     * wide (2.5 times the longer side with MINI). */
    WILOR_COMPAT_WILOR = 1,
    WILOR_COMPAT_MLX = 2 /* wilor-mlx 0.3.1, its deviations from WiLoR included */
} wilor_compat;

typedef struct wilor_session_options {
    size_t struct_size;
    int max_hands; /* most hands in one call; 0: 64 */
    int batch;     /* hands computed together; 0: 2. More hands in a call are done in parts.
                      About 13 MB each at full size */
    int threads;   /* 0: wilor_threads_default(), beside a card at most 4 */
    int full_path; /* non-zero: compute every token and the whole feature maps, also where it can
                      change nothing (docs/architecture.md); slower, for checking */
    /* MLX: implies full_path. The results of levels 2 and 3 depend on which crops share a batch,
     * as those of wilor-mlx's model do; level 1 runs hand by hand, as its pipeline does. */
    wilor_compat compat;
} wilor_session_options;

WILOR_API void wilor_session_options_init(wilor_session_options *o, size_t size);

/* Create a session. o may be NULL for the defaults. All memory is taken here; a run takes none.
 *   errors   ERR_ARG, ERR_NOMEM, ERR_LIMIT (max_hands over 4096, batch over 256, threads over
 *            1024) */
WILOR_API wilor_status wilor_session_create(wilor_session **out, const wilor_model *model,
                                            const wilor_session_options *o, wilor_error *err);

/* Takes NULL and a pointer to NULL; leaves NULL. */
WILOR_API void wilor_session_free(wilor_session **session);

/* Bytes that wilor_session_create(…, o) would take for this model; o may be NULL. 0 on bad
 * options. */
WILOR_API size_t wilor_session_memory(const wilor_model *model, const wilor_session_options *o);

/* ---------------------------------------------------------------- pictures and boxes */

typedef enum wilor_pixel_format {
    WILOR_RGB8 = 1,
    WILOR_BGR8 = 2,
    WILOR_RGBA8 = 3, /* alpha is ignored */
    WILOR_BGRA8 = 4,
    WILOR_GRAY8 = 5,
    /* 8-bit Y rows, then as many bytes a row of interleaved U and V for 2 × 2 pixels, both with
     * the same stride; BT.601, limited range: OpenCV's COLOR_YUV2RGB_NV12. */
    WILOR_NV12 = 6
} wilor_pixel_format;

/* A borrowed view. data is the top row, stride in bytes from one row to the next: at least
 * width × bytes per pixel (NV12: width); negative for pictures stored from the bottom up. */
typedef struct wilor_picture {
    const uint8_t *data;
    int width, height;
    ptrdiff_t stride;
    wilor_pixel_format format;
} wilor_picture;

typedef struct wilor_box {
    double box[4]; /* x0 y0 x1 y1 in pixels; may reach outside the picture */
    float score;   /* handed through to the result */
    wilor_side side;
} wilor_box;

typedef enum wilor_warp {
    WILOR_WARP_CV5 = 0, /* the crop as OpenCV 5 computes it */
    WILOR_WARP_CV4 = 1  /* as OpenCV 4 does: most installations of WiLoR have it */
} wilor_warp;

typedef struct wilor_predict_options {
    size_t struct_size;
    double
        rescale; /* crop side over the box's longer side; 0: what the model's file says it was
                       trained for, else the preset's, 2.5 (WILOR: 2.0) */
    wilor_warp warp; /* CV5; not used with WILOR_COMPAT_MLX */
    /* Non-zero: the picture is a selfie view. Boxes and 2D points stay in pixels of the given
     * picture; sides are swapped and 3D is negated in x in the results. */
    int mirrored;
    int has_intrinsics;   /* non-zero: use the next two fields */
    double intrinsics[4]; /* fx fy cx cy in pixels of this picture */
    double distortion[5]; /* k1 k2 p1 p2 k3 (Brown-Conrady, OpenCV's order), zeros for none */
    double focal;         /* without intrinsics: pixels; 0: 5000/256 × max(width, height) */
    /* Distance from the wrist to the middle knuckle in metres, 0: unknown. Rescales hand and
     * translation: the 2D stays, the depth becomes true. */
    double palm;
    const float *betas; /* NULL, or 10 numbers: a fixed shape for a known person */
    /* NV12: the U and V rows when they do not follow the Y rows, and from one to the next (0: the
     * picture's stride). */
    const uint8_t *nv12_chroma;
    ptrdiff_t nv12_chroma_stride;
} wilor_predict_options;

WILOR_API void wilor_predict_options_init(wilor_predict_options *o, size_t size);

/* ---------------------------------------------------------------- results */

/* Owned by the session; valid until its next call. Arrays are n × what is said, hand by hand,
 * in the order of the boxes or crops. Later versions may add fields at the end. */
typedef struct wilor_hands {
    int n;
    int vertices;           /* V */
    const uint8_t *side;    /* n: a wilor_side; of a detected hand perhaps not the detector's */
    const uint8_t *failed;  /* n: 1 when the result holds a NaN or an infinity: do not use */
    const float *score;     /* n */
    const float *box;       /* n × 4, as given */
    const float *crop;      /* n × 3: centre x, y and side of the square that the model saw */
    const float *pred_cam;  /* n × 3: s, tx, ty, the crop's weak perspective */
    const float *cam_t;     /* n × 3: add to points to reach the camera frame, metres */
    const float *focal;     /* n × 2: fx, fy used */
    const float *principal; /* n × 2: cx, cy used */
    const float *keypoints_3d;  /* n × 21 × 3, metres, about the MANO origin */
    const float *keypoints_2d;  /* n × 21 × 2, pixels */
    const float *vertices_3d;   /* n × V × 3, metres, about the MANO origin */
    const float *global_orient; /* n × 3, rotation vector */
    const float *hand_pose;     /* n × 45, 15 rotation vectors */
    const float *betas;         /* n × 10 */
    const float *rotation;      /* n × 16 × 9, the same rotations as row-major matrices */
    double stage_ms[4];         /* wall time of this call: crop, backbone, hand model, whole */
    const float *distortion;    /* n × 5: k1 k2 p1 p2 k3 used */
    int mirrored;               /* the option of that name: project (-x, y, z) */
    /* From wilor_pipeline_run: where the detector saw the 21 keypoints, pixels and visibility
     * 0 … 1, and whether it did (0: the caller's box, points are zero). */
    const float *detected_keypoints; /* n × 21 × 3 */
    const uint8_t *detected;         /* n */
    double detect_ms;                /* wall time of the detector in this call */
    double
        rescale; /* crop side over the box's longer side: the option, or what stood in for it;
                       0 of crops */
} wilor_hands;

/* Level 1: estimate the pose of every given hand box.
 *   picture  read only, not kept
 *   boxes    n boxes; read only, not kept
 *   o        NULL for the defaults
 *   *out     hands in box order, owned by the session until its next call; NULL on error
 *   errors   ERR_ARG: no pixels, NaN, a box without area; n == 0 is WILOR_OK
 *   threads  one call at a time per session; sessions of one model may run in parallel
 *   memory   none for crops that are not smoothed (boxes up to 225 pixels at rescale 2.5);
 *            smoothing a larger box takes some lines of what it sees, for the call; NV12 pictures
 *            are converted in a buffer that the session keeps and that grows with larger ones
 *   cost     265 GFLOP a hand at full size; docs/performance.md
 *   source   WiLoR-mini's predict_with_bboxes */
WILOR_API wilor_status wilor_predict_boxes(wilor_session *session, const wilor_picture *picture,
                                           const wilor_box *boxes, int n,
                                           const wilor_predict_options *o,
                                           const wilor_hands **out, wilor_error *err);

/* Level 2: crops in, hands out. Each crop is a 256 × 256 picture of one hand, not mirrored;
 * side says which (n of them, NULL: all right). Left ones are mirrored here. There is no
 * camera: box, crop, cam_t, focal, principal and keypoints_2d are zero. */
WILOR_API wilor_status wilor_predict_crops(wilor_session *session, const wilor_picture *crops,
                                           const wilor_side *side, int n,
                                           const wilor_hands **out, wilor_error *err);

/* Level 3: what the network says of n crops of right hands (left ones mirrored by the caller).
 *   rgb      n × 256 × 256 × 3 floats, 0 … 255, RGB; read only, not kept
 *   *out     as level 2, nothing mirrored back */
WILOR_API wilor_status wilor_run(wilor_session *session, const float *rgb, int n,
                                 const wilor_hands **out, wilor_error *err);

/* Where the time of a session's last call went: the parts of its stages in the order of the route, each added
 * up over the blocks of the network and the batches of hands. Owned by the session, overwritten by its next
 * call. Later versions may have other parts, and fields at the end. */
typedef struct wilor_profile {
    int n;
    int threads;
    const char *const *name; /* n: "crop", "embed", "norm", "qkv" …; constant */
    const int
        *stage; /* n: of which of stage_ms it is a part: 0 crop, 1 backbone, 2 hand model */
    const double *ms; /* n: wall time. What is missing to stage_ms lies between the parts */
    /* n: the threads' time in work, all together; ms × threads less this they waited, for each other or to
     * be woken. 0 without profiling. */
    const double *busy_ms;
} wilor_profile;

/* Count the threads' time from the next call on (on != 0), or no longer, as at the beginning: at each phase, of
 * which a full-size pass has some 250, a cache line of every thread is read twice. Results stay the same. */
WILOR_API void wilor_session_set_profiling(wilor_session *session, int on);

/* Never NULL; all zero before the first call. */
WILOR_API const wilor_profile *wilor_session_get_profile(const wilor_session *session);

/* ---------------------------------------------------------------- detector */

typedef struct wilor_detector wilor_detector; /* weights: immutable, shared */

typedef struct wilor_detector_options {
    size_t struct_size; /* set by wilor_detector_options_init */
    /* Path, UTF-8: detector.pt of ultralytics (YOLOv8-pose of any scale, two classes, 21
     * keypoints) or wilor-mlx's hand-detector.safetensors. Or "random:NAME" (n, s, m, nano, micro):
     * weights by formula, for measuring. */
    const char *detector;
    int threads;       /* for loading; 0: wilor_threads_default() */
    wilor_isa max_isa; /* WILOR_ISA_AUTO, or the highest tier to use */
    wilor_callbacks callbacks;
    /* WILOR_DTYPE_F32; BF16: maps and weights in bfloat16, sums in float32, on AMX and in plain C (tier c,
     * slow); AUTO: BF16 with AMX, else F32. Others, and BF16 on other tiers, are ERR_UNSUPPORTED. */
    wilor_dtype dtype;
    /* As wilor_model_options.device, with F32, F16 and BF16; AUTO is F16. On a card F32 is slow and for checking. */
    const char *device;
} wilor_detector_options;

WILOR_API void wilor_detector_options_init(wilor_detector_options *o, size_t size);

/* Load a detector, fold its batch norms and pack it for this processor.
 *   out      the detector, or NULL on error
 *   errors   ERR_IO, ERR_FORMAT (damaged, or a pickle that wants to run something), ERR_MODEL (a
 *            layer, class or shape that is no YOLOv8-pose of hands: named), ERR_UNSUPPORTED (dtype),
 *            ERR_NOMEM
 *   memory   the weights: of the published file (scale m) 58 MB in float32, 53 in bfloat16 */
WILOR_API wilor_status wilor_detector_open(wilor_detector **out,
                                           const wilor_detector_options *o, wilor_error *err);

/* Takes NULL and a pointer to NULL; leaves NULL. Free the pipelines that use it first. */
WILOR_API void wilor_detector_free(wilor_detector **detector);

typedef struct wilor_detector_info {
    int imgsz;             /* the size it was trained at, the default of detection */
    uint64_t parameters;   /* numbers in the network, batch norms not folded */
    uint64_t packed_bytes; /* memory that the detector holds */
    double load_seconds;   /* wall time of wilor_detector_open */
    wilor_isa isa;         /* the kernel tier it is packed for */
    const char *detector;  /* the path it came from; lives as long as the detector */
    wilor_dtype dtype;     /* what computes: F32, BF16, or F16 on a device */
    const char *device;    /* as in wilor_model_info; lives as long as the detector */
    double iou;            /* the default of detection without WILOR_COMPAT_MLX: 0.7 of boxes of
                            * one side; 0.5 where the file asks for one box a hand, either side */
} wilor_detector_info;

/* Fills *info; never fails on a live detector. size is sizeof(wilor_detector_info) as the caller
 * knows it. */
WILOR_API void wilor_detector_get_info(const wilor_detector *detector,
                                       wilor_detector_info *info, size_t size);

/* What ultralytics does after suppression differs by version. */
typedef enum wilor_detector_profile {
    WILOR_DETECTOR_8_1_34 = 0, /* what WiLoR and WiLoR-mini pin: boxes in whole pixels */
    WILOR_DETECTOR_8_4_190 = 1 /* boxes as they are */
} wilor_detector_profile;

typedef struct wilor_detect_options {
    size_t struct_size;
    double conf; /* keep what scores above; 0: 0.3 */
    double iou;  /* drop what overlaps a better one by more; 0: the detector's (MLX: 0.5) */
    int imgsz; /* side of the network's input, rounded up to 32s; 0: the detector's (MLX: 512) */
    int max_hands;                  /* keep the best so many; 0: 300 */
    wilor_detector_profile profile; /* not used with WILOR_COMPAT_MLX */
    int force_side; /* 0: as detected; 1 + a wilor_side: every hand is taken for this one */
    /* NV12 pictures: as in wilor_predict_options. wilor_pipeline_run takes that struct's. */
    const uint8_t *nv12_chroma;
    ptrdiff_t nv12_chroma_stride;
} wilor_detect_options;

WILOR_API void wilor_detect_options_init(wilor_detect_options *o, size_t size);

/* Owned by the pipeline; valid until its next call. The best comes first. */
typedef struct wilor_detections {
    int n;
    const wilor_box
        *boxes; /* n: what wilor_predict_boxes takes, unless one has no area: clipped and
                               rounded as upstream does, it may be left with none */
    const float *keypoints; /* n × 21 × 3: x, y in pixels, visibility 0 … 1. The 8.1.34 profile
                                sets x = y = 0 where the visibility is below 0.5 */
    int input_width, input_height; /* of the network's input */
    double stage_ms[4];            /* wall time: letterbox, network, suppression, whole */
    double busy_ms[3]; /* of the first three: the threads' time in work, all together */
    double
        gflop; /* 10⁹ operations of the network for this input, counted as direct convolutions */
} wilor_detections;

/* ---------------------------------------------------------------- pipeline */

/* Detector and model with one set of threads: pictures in, hands out. */
typedef struct wilor_pipeline wilor_pipeline; /* one call at a time */

/* A detector of the caller's own: called once a picture, on the calling thread. Writes at most
 * `most` boxes, and for each 21 × 3 keypoints (x, y, visibility), zeroed before, when it has
 * them. Returns how many, or a negative number to fail with ERR_CANCELLED. */
typedef int (*wilor_find_fn)(void *user, const wilor_picture *picture, wilor_box *boxes,
                             float *keypoints, int most);

typedef struct wilor_pipeline_options {
    size_t struct_size;
    int max_hands; /* most hands in one picture; 0: 64. The detector's best are kept */
    int batch;     /* hands computed together; 0: 2 */
    int threads;   /* 0: wilor_threads_default(), beside a card at most 4 */
    int full_path; /* as in wilor_session_options */
    wilor_compat compat;
    wilor_find_fn find; /* NULL, or used instead of the detector */
    void *find_user;
} wilor_pipeline_options;

WILOR_API void wilor_pipeline_options_init(wilor_pipeline_options *o, size_t size);

/* Create a pipeline.
 *   detector  NULL only with o->find, or when every call brings its own boxes
 *   model     NULL: wilor_detect only
 *   o         NULL for the defaults
 *   errors    as wilor_session_create
 *   memory    a session's; the detector's maps come with the first picture (about 60 MB at
 *             640 × 640, scale m) and grow with larger inputs */
WILOR_API wilor_status wilor_pipeline_create(wilor_pipeline **out,
                                             const wilor_detector *detector,
                                             const wilor_model *model,
                                             const wilor_pipeline_options *o, wilor_error *err);

/* Bytes that wilor_pipeline_create(…, o) takes, and the detector for a picture of width × height at
 * its own imgsz; 0 on bad options. Either of detector and model may be NULL. */
WILOR_API size_t wilor_pipeline_memory(const wilor_detector *detector, const wilor_model *model,
                                       const wilor_pipeline_options *o, int width, int height);

/* Takes NULL and a pointer to NULL; leaves NULL. */
WILOR_API void wilor_pipeline_free(wilor_pipeline **pipeline);

/* The session inside, for calls of levels 1 to 3 with the same threads; NULL without a model. It
 * belongs to the pipeline. */
WILOR_API wilor_session *wilor_pipeline_session(wilor_pipeline *pipeline);

/* Find hands in n pictures that are given together, as ultralytics does with a list: pictures of
 * one size are padded as little as possible, else all to a square.
 *   *out     n results, picture by picture, owned by the pipeline until its next call
 *   errors   ERR_ARG, ERR_LIMIT (imgsz over 4096), ERR_NOMEM; no hand is WILOR_OK
 *   cost     39 GFLOP for a 640 × 480 picture at imgsz 512, scale m
 *   source   ultralytics' PosePredictor; docs/detector.md */
WILOR_API wilor_status wilor_detect(wilor_pipeline *pipeline, const wilor_picture *pictures,
                                    int n, const wilor_detect_options *o,
                                    const wilor_detections **out, wilor_error *err);

/* What the network itself says of one picture, before any threshold or suppression.
 *   picture  as the network is to see it, no letterbox: both sides multiples of 32, at most 4096. NV12 with its
 *            chroma behind the Y rows
 *   *out     69 × *anchors floats, row-major: the box's centre x, y, width, height in pixels; the scores of a
 *            left and a right hand; x, y and visibility of 21 keypoints. Owned by the pipeline until its next call
 *   errors   ERR_ARG, ERR_LIMIT, ERR_NOMEM
 *   source   ultralytics' Pose head at inference; wilor-mlx's HandDetector */
WILOR_API wilor_status wilor_detect_raw(wilor_pipeline *pipeline, const wilor_picture *picture,
                                        const float **out, int *anchors, wilor_error *err);

/* Level 0: everything. The caller's boxes (n of them, NULL with 0) come first in the result, then
 * what the detector (or o->find) finds, the best first, up to the pipeline's max_hands. With a model that can
 * tell sides, one that is sure of the other side than a detector says is believed (docs/architecture.md); the
 * caller's boxes and force_side are the last word.
 *   detect_options   NULL for the defaults
 *   predict_options  NULL for the defaults
 *   *out             owned by the pipeline until its next call
 *   source           WiLoR-mini's predict */
WILOR_API wilor_status wilor_pipeline_run(wilor_pipeline *pipeline,
                                          const wilor_picture *picture, const wilor_box *boxes,
                                          int n, const wilor_detect_options *detect_options,
                                          const wilor_predict_options *predict_options,
                                          const wilor_hands **out, wilor_error *err);

/* ---------------------------------------------------------------- tracking */

/* The hands of one stream of pictures: which hand is which, where to look for it in the next picture,
 * when the detector is needed at all, and results without jitter. docs/live.md has the rules, and what
 * was measured of them. One call at a time.
 *
 *     wilor_tracker *tracker = NULL;
 *     wilor_tracker_create(&tracker, model, NULL, &err);
 *     while (next_frame(&picture, &time_ns)) {
 *         const wilor_tracks *tracks;
 *         if (wilor_tracker_run(tracker, pipeline, &picture, time_ns, NULL, NULL, &tracks,
 *                               &err) != WILOR_OK)
 *             break;
 *         for (int i = 0; i < tracks->hands->n; i++)
 *             printf("hand %u at %g m/s\n", (unsigned)tracks->id[i], tracks->velocity[3 * i]);
 *     }
 *     wilor_tracker_free(&tracker);
 *
 * wilor_tracker_run is four steps, which those with a detector or a model of their own take one by
 * one, for every picture: wilor_tracker_plan (is the detector wanted?), wilor_tracker_boxes (what it
 * found goes in, boxes to look at come out), wilor_predict_boxes, wilor_tracker_update. */
typedef struct wilor_tracker wilor_tracker;

typedef struct wilor_tracker_options {
    size_t struct_size;
    int max_hands;    /* most hands followed at once; 0: 16 */
    int detect_every; /* when all hands are known for sure, the detector runs on every so manieth
                         picture; 0: 5. 1: on every one */
    double
        smooth; /* 0 … 1, 0.5 by default; 0: results as they are. One-Euro filters with a cutoff
                         of 10^(1 − 2 smooth) Hz at rest */
    double hold; /* seconds for which a hand is still given out, predicted, after it was last
                         seen; 0 by default: only what is seen */
    double lost_after; /* seconds after which a hand that is not seen is lost; 0: 0.2. At least
                          hold. One behind another hand is waited for up to 1 s more */
} wilor_tracker_options;

/* Sets every field to its default, smooth to 0.5. */
WILOR_API void wilor_tracker_options_init(wilor_tracker_options *o, size_t size);

/* Create a tracker.
 *   model    lends its hand model; outlives the tracker
 *   o        NULL for the defaults
 *   errors   ERR_ARG, ERR_LIMIT (max_hands over 256, detect_every over 1000, times over 60 s),
 *            ERR_NOMEM
 *   memory   all of it is taken here: about 30 KB a hand */
WILOR_API wilor_status wilor_tracker_create(wilor_tracker **out, const wilor_model *model,
                                            const wilor_tracker_options *o, wilor_error *err);

/* Takes NULL and a pointer to NULL; leaves NULL. */
WILOR_API void wilor_tracker_free(wilor_tracker **tracker);

/* Forget all hands, as when a source was lost or a file begins again: their ids are among the lost ones
 * of the next result, and the next time may be any. Ids go on counting. */
WILOR_API void wilor_tracker_reset(wilor_tracker *tracker);

typedef enum wilor_track_state {
    WILOR_TRACK_DETECTED = 0, /* seen in a box of the detector */
    WILOR_TRACK_TRACKED = 1,  /* seen in a box after its last pose */
    WILOR_TRACK_PREDICTED = 2 /* not seen in this picture: where it should be (hold) */
} wilor_track_state;

/* Owned by the tracker, valid until its next call; the longest known hand comes first. Later versions
 * may add fields at the end. */
typedef struct wilor_tracks {
    /* As of wilor_predict_boxes, filtered: what it says of arrays, frames and units holds, and rotation,
     * global_orient, hand_pose, betas, cam_t, points and vertices belong together. pred_cam, crop and
     * box are what the model was given and said. score is that of the hand's last detection. */
    const wilor_hands *hands;
    const uint32_t *id;    /* n: never 0, never used again by this tracker */
    const uint8_t *state;  /* n: a wilor_track_state */
    const int64_t *age_ns; /* n: time since the id began */
    const float
        *velocity;     /* n × 3: of the wrist, m/s, camera axes. As uncertain as the depth */
    const float *spin; /* n × 3: of the wrist, rad/s about the camera's axes */
    int lost;          /* ids that ended with this picture */
    const uint32_t *lost_id;
    int detected; /* whether the detector ran */
} wilor_tracks;

/* All four steps on one picture.
 *   pipeline  with the tracker's model; takes at least the tracker's max_hands
 *   time_ns   when the picture was taken, on any clock; later than the one before
 *   detect_options, predict_options   as for wilor_pipeline_run
 *   *out      owned by the tracker; NULL on error. hands->detect_ms and stage_ms are this call's
 *   errors    as wilor_tracker_plan and wilor_pipeline_run; the hands are as before the call, and one
 *             that is not seen meanwhile ages
 *   memory    the pipeline's, which does not grow after the first pictures of a size; no other */
WILOR_API wilor_status wilor_tracker_run(wilor_tracker *tracker, wilor_pipeline *pipeline,
                                         const wilor_picture *picture, int64_t time_ns,
                                         const wilor_detect_options *detect_options,
                                         const wilor_predict_options *predict_options,
                                         const wilor_tracks **out, wilor_error *err);

/* Step 1: a picture of width × height comes, taken at time_ns.
 *   *detect  not 0: the detector should run on it (no hand is known, one is new or in doubt, two are
 *            close, or it is time)
 *   errors   ERR_ARG: no size, or a time that is not later than the last one. A picture of another size,
 *            or one that comes over 2 s later, finds no hands known: their ids are lost */
WILOR_API wilor_status wilor_tracker_plan(wilor_tracker *tracker, int64_t time_ns, int width,
                                          int height, int *detect, wilor_error *err);

/* Step 2: where to look for hands.
 *   detected     whether the detector ran: what it does not find is then known not to be there. It may
 *                run unasked, or not run though asked
 *   found        the n boxes it gave, the best first; those that are no boxes are left out
 *   keypoints    n × 21 × 3 (x, y, visibility), or NULL
 *   *boxes       *count of them, at most max_hands, for wilor_predict_boxes; owned by the tracker until
 *                its next step. A hand that is known and found again is there once, in the box that the
 *                detector gave
 *   errors       ERR_ARG: not after step 1 */
WILOR_API wilor_status wilor_tracker_boxes(wilor_tracker *tracker, int detected,
                                           const wilor_box *found, const float *keypoints,
                                           int n, const wilor_box **boxes, int *count,
                                           wilor_error *err);

/* Step 3: what the model says of these boxes, in their order. A hand that failed or is not finite counts
 * as not seen.
 *   hands    NULL when there was no box. Where a hand is new, or the detector contradicts its side, one of the
 *            other side than the box's is believed
 *   errors   ERR_ARG: not after step 2, or hands are not as many as the boxes, or of another model;
 *            ERR_LIMIT: 2³² − 1 ids are used up
 *   cost     0.1 ms a hand */
WILOR_API wilor_status wilor_tracker_update(wilor_tracker *tracker, const wilor_hands *hands,
                                            const wilor_tracks **out, wilor_error *err);

/* One hand along a whole file, for wilor_track_smooth. The caller's arrays, n × what is said, as they are
 * in wilor_hands; read and overwritten. */
typedef struct wilor_track_series {
    size_t struct_size; /* sizeof(wilor_track_series) */
    int n;
    wilor_side side;
    const int64_t *time_ns; /* n, rising */
    float *cam_t;           /* n × 3 */
    float *global_orient;   /* n × 3 */
    float *hand_pose;       /* n × 45 */
    float *betas;           /* n × 10 */
    float *keypoints_3d;    /* n × 21 × 3: read for the hand's size, too */
    float *vertices_3d;     /* n × V × 3, or NULL */
    float *rotation;        /* n × 16 × 9, or NULL: written */
    float *velocity;        /* n × 3, or NULL: written */
    float *spin;            /* n × 3, or NULL: written */
} wilor_track_series;

/* Smooth what one id went through, from both sides, for recordings: no lag, and calmer at the same
 * sharpness. Unfiltered results (smooth 0) go in. One shape for all; places and rotations by local
 * parabolas under a Gaussian window, outliers weighted down.
 *   smooth   0 … 1: the window's standard deviation is smooth / 10 seconds; 0 leaves all as it is
 *   errors   ERR_ARG: times that do not rise, numbers that are not finite, a hand behind the camera
 *            (the index is named); the arrays are then untouched. ERR_NOMEM
 *   memory   1.3 KB an entry, for the call */
WILOR_API wilor_status wilor_track_smooth(const wilor_model *model, const wilor_track_series *s,
                                          double smooth, wilor_error *err);

/* ---------------------------------------------------------------- from points to events */

/* Per hand, from its 21 keypoints in camera axes (21 × 3 floats). Formulas:
 * docs/conventions.md. */
typedef struct wilor_gesture {
    float pinch_distance; /* thumb tip to index tip, metres */
    float pinch_strength; /* 0 … 1, the best of the four fingers */
    float grab_strength;  /* 0 … 1 */
    float grab_angle;     /* radians */
} wilor_gesture;

WILOR_API void wilor_hand_gesture(const float *keypoints_3d, wilor_gesture *out);

/* One of OpenXR's 26 joints (XrHandJointEXT's order), in OpenXR's axes (x right, y up, z back)
 * of the camera space. flags: 1 orientation valid, 2 position valid, 4 orientation tracked, 8
 * position tracked. */
typedef struct wilor_xr_joint {
    float position[3];
    float orientation[4]; /* x y z w, w >= 0 */
    float radius;
    uint32_t flags;
} wilor_xr_joint;

/* Joints of hand i of a result: needs cam_t (level 1).
 *   out      26 entries
 *   errors   ERR_ARG: i outside, or the hand failed */
WILOR_API wilor_status wilor_hand_xr26(const wilor_model *model, const wilor_hands *hands,
                                       int i, wilor_xr_joint *out, wilor_error *err);

/* Flexion and abduction of each finger joint, radians: 15 × 2 (index, middle, little, ring,
 * thumb in MANO's order, three each from the palm outwards): flexion positive towards the palm,
 * abduction positive towards the thumb. From hand_pose (45 floats) in the side's convention. */
WILOR_API void wilor_hand_angles(const wilor_model *model, const float *hand_pose,
                                 wilor_side side, float *out);

/* ---------------------------------------------------------------- the hand as a rig */

/* For programs that animate. With the mesh at rest v, joints J, parents and weights w, a pose moves a vertex to
 * sum of w_j · G_j · (v + offsets - J_j), G_j the chain of the joints' places and rotations; offsets is the sum over
 * k of (R - I)_k · shape k. cam_t is added. Joints are numbered as hand_pose has them, 0 the wrist. */

/* The hand at rest (every rotation none) with a shape of 10 numbers.
 *   vertices    V × 3 about the MANO origin, or NULL
 *   keypoints   21 × 3, of which all but the tips are joints, or NULL
 * Of a left hand mirrored, as all of its results are. */
WILOR_API void wilor_hand_rest(const wilor_model *model, wilor_side side, const float *betas,
                               float *vertices, float *keypoints);
/* weights: V × 16, of each vertex 1 in all; parents: 16, -1 for the wrist's, before their children. NULL: not wanted. */
WILOR_API void wilor_hand_skin(const wilor_model *model, float *weights, int *parents);
/* Shape k, 0 … 134, of a pose: what is added to the mesh at rest, V × 3, for a 1 in element k % 9 of R - I
 * (row-major) of joint 1 + k / 9. ERR_ARG: k outside. */
WILOR_API wilor_status wilor_hand_pose_shape(const wilor_model *model, wilor_side side, int k,
                                             float *offsets);

/* ---------------------------------------------------------------- reading weights files */

typedef struct wilor_file wilor_file; /* any file of tensors: see wilor_file_kind */

typedef enum wilor_file_kind {
    WILOR_FILE_TENSORS = 0,    /* sound, but none of the following */
    WILOR_FILE_CHECKPOINT = 1, /* WiLoR under the checkpoint's names */
    WILOR_FILE_MLX = 2,        /* WiLoR under wilor-mlx's names */
    WILOR_FILE_MANO = 3,       /* a hand: mano.npz or MANO_RIGHT.pkl */
    WILOR_FILE_MEAN = 4,       /* mano_mean_params.npz */
    WILOR_FILE_DETECTOR = 5    /* a hand detector */
} wilor_file_kind;

typedef struct wilor_tensor_info {
    const char *name;     /* UTF-8; lives as long as the file */
    const char *dtype;    /* "F32", "BF16", "I64" … as in safetensors */
    int rank;             /* 0 … 8 */
    const int64_t *shape; /* rank numbers */
    uint64_t bytes;       /* elements × size */
} wilor_tensor_info;

/* Open any file that the readers know: a PyTorch checkpoint (zip or the older form),
 * safetensors, npz, npy, a MANO pickle. Told by content, not by name. Nothing in it is
 * executed. */
WILOR_API wilor_status wilor_file_open(wilor_file **out, const char *path, wilor_error *err);
WILOR_API void wilor_file_close(wilor_file **file);
WILOR_API wilor_file_kind wilor_file_get_kind(const wilor_file *file);
WILOR_API const char *wilor_file_format(const wilor_file *file); /* "torch zip", "npz" … */
/* Text that the file says of itself under a key (safetensors' metadata, values at the top of a
 * checkpoint), or NULL. "heads" and "label" are ours. Lives as long as the file. */
WILOR_API const char *wilor_file_metadata(const wilor_file *file, const char *key);
WILOR_API size_t wilor_file_count(const wilor_file *file);
WILOR_API wilor_status wilor_file_tensor(const wilor_file *file, size_t i,
                                         wilor_tensor_info *out);
/* Copy tensor i, converted to float, row-major; count must be its number of elements. */
WILOR_API wilor_status wilor_file_read(const wilor_file *file, size_t i, float *dst,
                                       size_t count, wilor_error *err);

/* ---------------------------------------------------------------- converting weights files */

typedef enum wilor_weights_layout {
    WILOR_WEIGHTS_CHECKPOINT = 0, /* the checkpoint's names; what wilor itself reads best */
    WILOR_WEIGHTS_MLX = 1         /* wilor-mlx's names and layouts */
} wilor_weights_layout;

typedef enum wilor_weights_dtype {
    WILOR_WEIGHTS_F32 = 0,
    WILOR_WEIGHTS_F16 = 1,  /* matrices and convolutions, the rest float32 */
    WILOR_WEIGHTS_BF16 = 2, /* the same */
    WILOR_WEIGHTS_INT8 = 3, /* the blocks' matrices: a scale a row; MLX: affine groups */
    WILOR_WEIGHTS_INT4 = 4  /* the blocks' matrices: affine groups */
} wilor_weights_dtype;

typedef struct wilor_convert_options {
    size_t struct_size; /* set by wilor_convert_options_init */
    /* Path, UTF-8: a checkpoint, a safetensors file, wilor-mlx's too, also quantised ones. Or
     * "random:NAME" (tiny, hd80, full, nano). */
    const char *source;
    wilor_weights_layout layout;
    wilor_weights_dtype dtype;
    int group_size; /* numbers that share a scale: 32, 64, 128; 0: 64 */
    int heads;      /* noted in the file; 0: as the source says, else width / 80 */
    int with_mano;  /* not 0: copy the source's hand model, too. CHECKPOINT only; mind its
                       licence when the file leaves your hands. One of a model that is named and
                       under CC0 is copied anyway */
    /* Takes the file: bytes in order, at the end 64 of the header a second time. Not 0: stop
     * with ERR_IO. */
    int (*write)(void *user, uint64_t offset, const void *data, size_t size);
    void *write_user;
    wilor_callbacks callbacks;
} wilor_convert_options;

WILOR_API void wilor_convert_options_init(wilor_convert_options *o, size_t size);

/* Convert the network's weights to a safetensors file. docs/formats.md says what is in it.
 *   o        source and write must be set
 *   errors   ERR_IO, ERR_FORMAT, ERR_MODEL (the source is not the network, or has numbers that
 *            the type cannot hold: the tensor is named), ERR_MISSING (init_* or the hand model),
 *            ERR_ARG (a group size that does not divide a matrix), ERR_NOMEM, ERR_CANCELLED.
 *            What was written by then is of no use
 *   memory   some times the largest tensor, 0.1 GB at full size
 *   cost     two passes over the source: its hash is noted in the target */
WILOR_API wilor_status wilor_convert(const wilor_convert_options *o, wilor_error *err);

/* Look for faults in any file that wilor_file_open reads: numbers that are not finite; in the
 * network's, detectors' and hand models' files also tensors that are missing or have another shape,
 * and metadata, the data's hash included, that is not true.
 *   callbacks  NULL is fine; log gets a line for each fault (WILOR_LOG_WARNING) and for what was
 *              checked (WILOR_LOG_INFO)
 *   errors     ERR_MODEL for faults, with the first one's text; ERR_IO and ERR_FORMAT when the
 *              file does not open; ERR_NOMEM, ERR_CANCELLED */
WILOR_API wilor_status wilor_verify(const char *path, const wilor_callbacks *callbacks,
                                    wilor_error *err);

/* ---------------------------------------------------------------- measuring kernels */

/* One kernel of this processor on one piece of a full-size pass with one hand. Later versions may add fields at
 * the end. */
typedef struct wilor_kernel_time {
    const char *kernel; /* "f32", "int8 avx2", "bf16 amx" …; constant */
    wilor_isa isa;      /* the tier it belongs to */
    wilor_dtype dtype;  /* its arithmetic; INT4: 4-bit weights in that of `kernel` */
    const char *work; /* "qkv", "proj", "fc1" (with GELU), "fc2", "attention", "norm", "gelu" */
    int rows, columns,
        depth; /* of a product; of attention queries, keys, width; else depth is 0 */
    int threads;
    double gflop; /* 10⁹ operations of a run; a norm counts as 8 a number, GELU as 28 */
    int n;        /* runs that were timed */
    double min_ms, median_ms, p90_ms;
} wilor_kernel_time;

/* How many there are here; the same throughout a process. */
WILOR_API int wilor_kernel_count(void);

/* Time the index-th for about so many seconds: three runs at least behind one that does not count, or that one
 * alone where it takes more than three times as long. Not part of any model: the operands are made and freed here.
 *   threads  0: wilor_threads_default()
 *   seconds  0: say what it is, measure nothing
 *   size     sizeof(wilor_kernel_time) as the caller knows it
 *   errors   ERR_ARG (an index or a time outside), ERR_LIMIT (threads over 1024), ERR_NOMEM
 *   memory   up to 0.3 GB: copies of the weights, so that they come from memory as a model's do
 *   cost     plain C has only the smallest product, which takes up to seconds a run */
WILOR_API wilor_status wilor_kernel_measure(int index, int threads, double seconds,
                                            wilor_kernel_time *out, size_t size,
                                            wilor_error *err);

#ifdef __cplusplus
}
#endif
#endif
