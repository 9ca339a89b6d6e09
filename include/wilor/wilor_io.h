/* wilor_io: pictures in and out, drawings, and files of a model hub, for those who have no
 * libraries of their own for that.
 *
 * Links libjpeg-turbo, libpng and libwebp, each optional at build time (wilor_io_formats says
 * which are there), and libcurl, libcrypto and jansson for the files of a hub
 * (wilor_hub_available). The core library, wilor.h, needs none of this. Conventions of errors,
 * threads and ownership are those of wilor.h. */
#ifndef WILOR_IO_H
#define WILOR_IO_H

#include "wilor/wilor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "jpeg png webp": the formats this build reads, a constant text. */
WILOR_API const char *wilor_io_formats(void);

/* ---------------------------------------------------------------- pictures */

/* An owned 8-bit RGB picture, rows without padding. Zero it before use; free with
 * wilor_image_free. */
typedef struct wilor_image {
    uint8_t *data; /* height × width × 3 */
    int width, height;
} wilor_image;

/* The borrowed view of an image that wilor.h's functions take. */
WILOR_API wilor_picture wilor_image_view(const wilor_image *image);
WILOR_API void wilor_image_free(wilor_image *image); /* NULL, a zeroed or a freed one is fine */

/* Read a JPEG, PNG or WebP as OpenCV's imread does, in RGB: EXIF orientation applied, alpha
 * dropped, grey copied to three channels, 16-bit PNG by value >> 8. The format is told by
 * content.
 *   out         a new image, to be freed by the caller; zeroed on error
 *   max_pixels  limit on width × height before anything is decoded; 0: 256 × 10⁶
 *   errors      ERR_IO, ERR_FORMAT (not a picture, damaged, truncated), ERR_LIMIT, ERR_NOMEM,
 *               ERR_UNSUPPORTED (a format this build lacks) */
WILOR_API wilor_status wilor_image_read(wilor_image *out, const char *path, uint64_t max_pixels,
                                        wilor_error *err);
/* The same from memory; name stands in messages. */
WILOR_API wilor_status wilor_image_decode(wilor_image *out, const void *data, size_t size,
                                          const char *name, uint64_t max_pixels,
                                          wilor_error *err);

/* Write a picture as PNG (lossless) or JPEG (quality 1 … 100), by the path's ending. Written
 * beside its place and renamed, so that a reader never sees half of it. */
WILOR_API wilor_status wilor_image_write(const wilor_picture *picture, const char *path,
                                         int quality, wilor_error *err);

/* Write bytes to a file in the same way: a temporary name in the same folder, then a rename. */
WILOR_API wilor_status wilor_bytes_write(const void *data, size_t size, const char *path,
                                         wilor_error *err);

/* ---------------------------------------------------------------- overlay */

typedef struct wilor_overlay_options {
    size_t struct_size;
    int mesh;          /* 1: shaded mesh over the photo */
    int skeleton;      /* 1: a second picture to the right with the skeleton over the photo */
    int boxes;         /* 1: boxes, with side and number */
    float opacity;     /* of the mesh, 0 … 1; 0.85 */
    const char *label; /* NULL, or a line of ASCII text written along the lower edge */
} wilor_overlay_options;

WILOR_API void wilor_overlay_options_init(wilor_overlay_options *o, size_t size);

/* Draw the hands of a result over their picture. Anti-aliased, correct in depth where hands
 * cross; failed hands are left out.
 *   out      a new image, to be freed by the caller: the picture's size, twice its width with a
 *            skeleton; zeroed on error
 *   hands    of this picture, from wilor_predict_boxes
 *   o        NULL for the defaults
 *   errors   ERR_ARG, ERR_LIMIT, ERR_NOMEM
 *   cost     some 10 ms for 640 × 480 pixels and two hands */
WILOR_API wilor_status wilor_overlay_draw(wilor_image *out, const wilor_picture *picture,
                                          const wilor_model *model, const wilor_hands *hands,
                                          const wilor_overlay_options *o, wilor_error *err);

/* ---------------------------------------------------------------- hub: finding files by name
 *
 * Files of a model hub, in the cache folder that Python's huggingface_hub uses: each finds what the
 * other downloaded. The environment is huggingface_hub's (HF_HUB_CACHE, HF_HOME, HF_ENDPOINT,
 * HF_TOKEN, HF_HUB_OFFLINE, proxies …): docs/hub.md. The token is sent to the hub alone. */

/* Non-zero: this build can download. Else the functions below give ERR_UNSUPPORTED. */
WILOR_API int wilor_hub_available(void);

typedef struct wilor_hub_options {
    size_t struct_size;
    /* NULL: main, or the commit that was used before; refused when the hub's file is another than
     * then. Else a branch, tag or commit, and whatever the hub has there is wanted. */
    const char *revision;
    int offline;               /* non-zero: no request at all, as HF_HUB_OFFLINE=1 */
    wilor_callbacks callbacks; /* log: notes, the licence notice; progress: bytes of the file */
} wilor_hub_options;

WILOR_API void wilor_hub_options_init(wilor_hub_options *o, size_t size);

/* Find one file, downloading it when the cache lacks it.
 *   path     out: where it lies, room bytes of it; "" on error. Read it, never write to it
 *   repo     "org/name", "datasets/org/name", "spaces/org/name"
 *   file     its path in the repository
 *   o        NULL for the defaults; read only, not kept
 *   errors   ERR_MISSING: not in the cache and no network, or the hub has no such file or refuses it;
 *            ERR_FORMAT: what came, or what the cache has, is not what it should be; ERR_IO;
 *            ERR_ARG: names that cannot be; ERR_LIMIT: room; ERR_CANCELLED; ERR_NOMEM;
 *            ERR_UNSUPPORTED
 *   cost     a used file that is cached: no request and no reading. The first use hashes it
 *   threads  any number, and any number of processes
 * A download that was cut off, or killed, goes on where it was. Only whole files whose hash is right
 * get their name. */
WILOR_API wilor_status wilor_hub_fetch(char *path, size_t room, const char *repo,
                                       const char *file, const wilor_hub_options *o,
                                       wilor_error *err);

typedef enum wilor_hub_role {
    WILOR_HUB_WEIGHTS = 0,
    WILOR_HUB_DETECTOR = 1,
    WILOR_HUB_MANO = 2,
    WILOR_HUB_MEAN = 3
} wilor_hub_role;

typedef struct wilor_hub_default_file {
    const char *repo, *file; /* constant texts, as the next two */
    wilor_hub_role role;
    const char *commit, *sha256; /* its pin, or "" */
} wilor_hub_default_file;

/* File i of a set: "mini" (WiLoR-mini's checkpoint, detector, MANO, mean pose) or "mlx"
 * (wilor-mlx's weights and detector, and WiLoR-mini's MANO and mean pose). ERR_MISSING behind the last one, ERR_ARG: no such set. */
WILOR_API wilor_status wilor_hub_default(const char *set, size_t i,
                                         wilor_hub_default_file *out);

typedef enum wilor_hub_place {
    WILOR_HUB_SHARED = 0, /* the cache that Python uses, too */
    WILOR_HUB_OWN = 1     /* wilor's own: pins, hand data, packed weights */
} wilor_hub_place;

/* The folder, whether it is there or not. ERR_LIMIT: room is too small. */
WILOR_API wilor_status wilor_hub_folder(char *path, size_t room, wilor_hub_place place,
                                        wilor_error *err);

typedef enum wilor_hub_kind {
    WILOR_HUB_REPO = 0,     /* a repository's folder in the shared cache */
    WILOR_HUB_PARTIAL = 1,  /* a download that was not finished */
    WILOR_HUB_STORE = 2,    /* the blobs that newer versions of Python's hub share */
    WILOR_HUB_OWN_FILE = 3, /* pins and the like */
    WILOR_HUB_PACKED = 4    /* packed weights */
} wilor_hub_kind;

typedef struct wilor_hub_entry {
    wilor_hub_kind kind;
    const char *name; /* repository's folder, or file; these live for the call only */
    const char *path;
    uint64_t bytes;
    int removable; /* non-zero: nobody needs it who could not make it again, nobody uses it now */
    int64_t used; /* packed weights: when they were used last, seconds since 1970; else 0 */
} wilor_hub_entry;

/* Non-zero: remove it, if it is removable. */
typedef int (*wilor_hub_each_fn)(void *user, const wilor_hub_entry *entry);

/* Tell of everything in both folders, and remove what is wanted. ERR_IO: something could not be
 * removed. Packed weights whose file somebody holds with a shared lock (flock) are in use; files in
 * their folder that are none are told of and stay. */
WILOR_API wilor_status wilor_hub_cache_each(wilor_hub_each_fn each, void *user,
                                            wilor_error *err);

#ifdef __cplusplus
}
#endif
#endif
