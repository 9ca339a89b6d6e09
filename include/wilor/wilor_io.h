/* wilor_io: pictures and videos in and out, drawings, and files of a model hub, for those who have
 * no libraries of their own for that.
 *
 * Links libjpeg-turbo, libpng and libwebp, each optional at build time (wilor_io_formats says
 * which are there), FFmpeg's libraries (wilor_video_support), and libcurl, libcrypto and jansson for
 * the files of a hub (wilor_hub_available). On Linux FFmpeg and libcurl are loaded when they are
 * needed, by the modules libwilor_video and libwilor_download. The core library, wilor.h, needs none
 * of this. Conventions of errors, threads and ownership are those of wilor.h. */
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

/* The same in memory. format: "png" or "jpeg".
 *   out      *size bytes, to be freed with wilor_bytes_free; NULL on error
 *   errors   ERR_ARG, ERR_LIMIT, ERR_NOMEM, ERR_UNSUPPORTED */
WILOR_API wilor_status wilor_image_encode(uint8_t **out, size_t *size,
                                          const wilor_picture *picture, const char *format,
                                          int quality, wilor_error *err);
WILOR_API void wilor_bytes_free(void *data); /* NULL is fine */

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

/* ---------------------------------------------------------------- video in
 *
 * Frames from a camera, a file, a stream, a pipe or numbered pictures, one after the other, as RGB.
 * FFmpeg's libraries do it, loaded with the first video on Linux; in a build without them, or where
 * the module libwilor_video is missing, only sequences of pictures and raw RGB on standard input are
 * read and all else is ERR_UNSUPPORTED (wilor_video_support says which). docs/video.md has every
 * source, what it may open, and its times.
 *
 *     wilor_video *video = NULL;
 *     wilor_video_frame frame;
 *     if (wilor_video_open(&video, "clip.mp4", NULL, &err) == WILOR_OK)
 *         while (wilor_video_read(video, &frame, &err) == WILOR_OK && frame.picture.data)
 *             use(&frame.picture, frame.time);
 *     wilor_video_close(&video);
 *
 * Sources:
 *     /dev/video0, v4l2:/dev/video0    a camera on Linux
 *     avfoundation:0                   a camera on macOS, by number or name
 *     dshow:NAME, dshow:video=NAME     a camera on Windows
 *     rtsp://… http://… https://…      a network stream (also rtsps, rtmp, rtmps, srt, udp, rtp, tcp)
 *     lavfi:testsrc2=size=640x480      a graph of FFmpeg's filters. It may name files (movie=): take
 *                                      it from nobody but the user
 *     -                                standard input: raw frames, MJPEG, or a container
 *     img-%04d.png, "img-*.png", DIR   pictures in the order of their numbers, read exactly as
 *                                      wilor_image_read does
 *     clip.mp4, file:clip.mp4          a video file; one picture file is a video of one frame
 * A name that exists is always that file or folder. A file can lead to nothing else: playlists and
 * scripts are refused, and FFmpeg gets no protocol for it; a stream can lead to streams, never to
 * files. */

/* What can be opened and written, a constant text, for which FFmpeg is loaded: "sequence", with FFmpeg
 * also "file", "stdin", "url", the devices it has of "v4l2 dshow avfoundation lavfi", and "write-h264"
 * or "write-mpeg4". */
WILOR_API const char *wilor_video_support(void);

typedef struct wilor_video wilor_video; /* one call at a time, but for wilor_video_stop */

typedef struct wilor_video_options {
    size_t struct_size; /* set by wilor_video_options_init */
    /* NULL: told by the source's name and content. Else a device ("v4l2", "dshow", "avfoundation",
     * "lavfi"; the source is then its bare name), "sequence", or an input format of FFmpeg for a
     * file, stream or standard input: "rawvideo", "mjpeg", "h264", "yuv4mpegpipe", … */
    const char *format;
    /* Raw frames: "rgb24", "bgr24", "nv12", "yuyv422", "gray", …; must be given, with the size. A
     * camera: the format to ask for, also "mjpeg". NULL: the camera's own choice. */
    const char *pixel_format;
    int width, height; /* of raw frames; of a camera: to be asked for; 0: its own choice */
    /* Frames a second. A camera: to be asked for. Raw frames, MJPEG and other streams without times,
     * sequences: gives them times; 0: 30. Else without effect. */
    double rate;
    double open_timeout; /* seconds to open a stream or a device; 0: 10; negative: for ever */
    double read_timeout; /* seconds to wait for one frame; 0: 5; negative: for ever */
    uint64_t max_pixels; /* limit on a frame's width × height; 0: 64 × 10⁶ */
    int loop;            /* non-zero: files and sequences begin again; time and index go on */
    int threads; /* for decoding; 0: 1 for live sources, which adds no delay, else up to 4 */
    /* NULL, or "key=value:key=value" for FFmpeg's demuxer or device: "rtsp_transport=udp",
     * "headers=…". The allowed protocols and formats cannot be changed by it. */
    const char *extra;
    /* log: what was repaired or damaged, with name and time; what a camera changed. cancel: asked at
     * least every 100 ms while opening or reading waits; non-zero ends it. progress: unused. */
    wilor_callbacks callbacks;
} wilor_video_options;

WILOR_API void wilor_video_options_init(wilor_video_options *o, size_t size);

/* Open a source. Frames that are looked at to learn what it is are not lost.
 *   out      the video, or NULL on error
 *   source   as above; UTF-8
 *   o        NULL for the defaults; read only, not kept
 *   errors   ERR_IO (not there, busy, refused, cannot be reached, nothing within the time),
 *            ERR_FORMAT (not a video, damaged), ERR_LIMIT, ERR_ARG (options that do not go
 *            together), ERR_UNSUPPORTED (playlists, unknown protocols and codecs, a build without
 *            FFmpeg), ERR_CANCELLED, ERR_NOMEM
 *   global   the first opening sends FFmpeg's own log lines of this process to nowhere
 *            (av_log_set_callback): the last one stands in our messages instead
 *   waits    a host name's look-up cannot be interrupted, nor a file on a dead network disk */
WILOR_API wilor_status wilor_video_open(wilor_video **out, const char *source,
                                        const wilor_video_options *o, wilor_error *err);

typedef struct wilor_video_info {
    int width,
        height;       /* of the newest frame, before the first one of the frames to come, turned
                          upright; 0: not known yet */
    double rate;      /* frames a second, nominal; 0: unknown. Frames may keep no rate */
    int64_t duration; /* ns; 0: unknown or endless */
    uint64_t frames;  /* how many the source says it has, or the rate and duration give: an
                          estimate for a progress bar; 0: unknown */
    const char *codec;  /* "h264", "mjpeg", "rawvideo", "png" …; lives as long as the video */
    const char *format; /* "mov", "matroska", "v4l2", "sequence" …; likewise */
    int live;      /* 1: a camera, a network stream or a pipe: frames come when they come */
    int rotation;  /* degrees clockwise that were applied to the newest frame: 0 90 180 270 */
    int audio;     /* 1: the source has sound that wilor_video_writer can copy */
    int64_t start; /* ns on the source's own clock where frame 0 stands; 0 before the first */
    uint64_t read; /* frames given so far */
    uint64_t damaged;  /* packets and frames that were damaged so far; some gave a frame all the
                           same */
    uint64_t repaired; /* times that were missing or did not grow */
} wilor_video_info;

/* Fills *info; never fails on an open video. size is sizeof(wilor_video_info) as the caller knows
 * it. */
WILOR_API void wilor_video_get_info(const wilor_video *video, wilor_video_info *info,
                                    size_t size);

typedef struct wilor_video_frame {
    /* RGB8, turned upright; pixels that are not square are left as they are. Owned by the video
     * until the next call on it. data is NULL behind the last frame. */
    wilor_picture picture;
    uint64_t index;  /* 0, 1, 2 … of the frames given */
    int64_t time;    /* media time in ns: 0 for the first frame, growing with every frame. A
                          variable rate is kept */
    int64_t arrival; /* CLOCK_MONOTONIC ns: when its bytes had come */
    int64_t capture; /* CLOCK_MONOTONIC ns: the camera driver's own stamp, else as arrival */
    int64_t decode;  /* ns that decoding and conversion took */
    int driver_time; /* 1: capture is the driver's */
    int key;         /* 1: decoded without other frames */
} wilor_video_frame;

/* The next frame.
 *   frame    zeroed on error and at the end of the stream, which is WILOR_OK with picture.data NULL
 *   errors   ERR_IO: no frame for read_timeout seconds, or the camera or stream was lost: close it
 *            and open it again; ERR_FORMAT: not one frame of the whole source could be decoded;
 *            ERR_CANCELLED; ERR_NOMEM. A frame over max_pixels counts as damage; at the beginning it is
 *            wilor_video_open's ERR_LIMIT
 *   damage   is counted, told to the log callback, and reading goes on. Frames may change their
 *            size and pictures of a sequence, too
 *   memory   none of ours after the first frames, while the size stays; FFmpeg has pools of its
 *            own; pictures of a sequence are decoded into new memory each */
WILOR_API wilor_status wilor_video_read(wilor_video *video, wilor_video_frame *frame,
                                        wilor_error *err);

/* End a waiting wilor_video_read within 100 ms and make all later ones fail with ERR_CANCELLED.
 * From any thread, or from a signal handler. A waiting wilor_video_open: callbacks.cancel. */
WILOR_API void wilor_video_stop(wilor_video *video);

/* Takes NULL and a pointer to NULL; leaves NULL. */
WILOR_API void wilor_video_close(wilor_video **video);

/* ---------------------------------------------------------------- video out
 *
 * Pictures with their times into a video file, H.264 where FFmpeg has an encoder for it (libx264,
 * libopenh264, Apple's), else MPEG-4 part 2; the sound of the source is copied beside it, not
 * encoded again. The file appears under its name when it is finished, whole, or never. */

typedef struct wilor_video_writer wilor_video_writer; /* one call at a time */

typedef struct wilor_video_writer_options {
    size_t struct_size; /* set by wilor_video_writer_options_init */
    double rate;        /* nominal frames a second, for the encoder's rate control and the last
                           frame's length; 0: 30. The times given count, whatever it says */
    int quality;        /* 1 (best) … 51 (worst), x264's scale; 0: 20 */
    const char *codec;  /* NULL, or an encoder of FFmpeg by its name */
    int threads;        /* for encoding; 0: up to 4 */
    /* NULL, or the video file whose first audio stream is copied. Sound that the container cannot
     * hold is left out, with a word to the log callback. */
    const char *audio;
    /* ns on that file's clock that is time 0 here: wilor_video_info.start after the first frame.
     * INT64_MIN, the default: where its video begins. */
    int64_t audio_start;
    wilor_callbacks callbacks; /* log; cancel: asked while sound is read */
} wilor_video_writer_options;

WILOR_API void wilor_video_writer_options_init(wilor_video_writer_options *o, size_t size);

/* Begin a video.
 *   out      the writer, or NULL on error
 *   path     .mp4, .mov or .mkv; symbolic links are followed, an old file stays until finish
 *   width, height  of the canvas: of the first picture, mostly. An odd last column or row is cut
 *   errors   ERR_IO, ERR_ARG, ERR_LIMIT, ERR_NOMEM, ERR_UNSUPPORTED (another ending, no encoder, a
 *            build without FFmpeg, no module for it); of options.audio what wilor_video_open gives */
WILOR_API wilor_status wilor_video_writer_open(wilor_video_writer **out, const char *path,
                                               int width, int height,
                                               const wilor_video_writer_options *o,
                                               wilor_error *err);

/* Append a picture of any format but NV12.
 *   time     ns from 0, larger than the last one's. Kept to 1/60000 s
 *   size     a picture of another size than the canvas is scaled into it, edges black
 *   errors   ERR_ARG, ERR_IO (disk full), ERR_NOMEM, ERR_CANCELLED. After an error only discard
 *            makes sense */
WILOR_API wilor_status wilor_video_writer_add(wilor_video_writer *writer,
                                              const wilor_picture *picture, int64_t time,
                                              wilor_error *err);

/* Complete the file, put it in its place and free the writer, which is NULL afterwards, on errors
 * too; then nothing is left behind and an older file of that name is as it was.
 *   end      ns where the sound is cut; 0: a frame's length behind the last
 *            frame; INT64_MAX: all the sound there is
 *   errors   ERR_ARG (no picture was added), ERR_IO, ERR_NOMEM, ERR_CANCELLED */
WILOR_API wilor_status wilor_video_writer_finish(wilor_video_writer **writer, int64_t end,
                                                 wilor_error *err);

/* Give up: nothing is left behind. Takes NULL and a pointer to NULL; leaves NULL. */
WILOR_API void wilor_video_writer_discard(wilor_video_writer **writer);

/* ---------------------------------------------------------------- the free model
 *
 * nano: a small hand model and a small detector that come with wilor, trained on rendered pictures of a
 * hand that is free, too, and under CC0: docs/nano.md. Less exact than WiLoR's own. */

typedef enum wilor_nano_file {
    WILOR_NANO_WEIGHTS = 0, /* for wilor_model_options.weights; needs no other file */
    WILOR_NANO_DETECTOR = 1 /* for wilor_detector_options.detector */
} wilor_nano_file;

/* Where its file lies: in the folder that WILOR_NANO_DIR names, when that is set; else in
 * share/wilor/nano beside the program's own folder, else where wilor was installed.
 *   path     out: room bytes of it; "" on error
 *   errors   ERR_MISSING: it is in none of them, which are named; ERR_LIMIT: room; ERR_ARG */
WILOR_API wilor_status wilor_nano_path(char *path, size_t room, wilor_nano_file file,
                                       wilor_error *err);

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
