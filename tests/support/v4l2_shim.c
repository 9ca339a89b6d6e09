/* The fake driver. One camera, one client, four buffers; a frame is "taken" when its time has come. */
#include "v4l2_shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 4, MOST_BYTES = 1 << 22, STAMPS = 256, BITS = 8 };

typedef struct camera {
    bool open, streaming, mjpeg, busy, realtime, no_capture;
    int fd, fixed_width, fixed_height, width, height;
    int unplug, stall; /* frames until then; -1: never */
    double rate;
    int buffers, mapped, queue[BUFFERS], queued;
    uint8_t *memory[BUFFERS];
    long long started; /* ns */
    int frames;        /* given */
    uint8_t *jpeg;
    size_t jpeg_size;
} camera;

static camera g_camera;
static long long g_stamps[STAMPS];

int open64(const char *path, int flags, ...);
int __open64_2(const char *path, int flags);
int ioctl(int fd, unsigned long request, ...);
void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset);

long long v4l2_shim_stamp(int n) { return g_stamps[n % STAMPS]; }

int v4l2_shim_held(void) { return g_camera.mapped + g_camera.open; }

static long long now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---------------------------------------------------------------- behaviour */

/* The value of "name" or "name=value" in the environment's list; NULL: not there. */
static const char *word(const char *name) {
    const char *list = getenv("WILOR_FAKE_CAMERA");
    const size_t n = strlen(name);
    for (const char *p = list; p && *p; p += strspn(p, " ")) {
        if (strncmp(p, name, n) == 0 && (p[n] == 0 || p[n] == ' '))
            return p + n;
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return p + n + 1;
        p += strcspn(p, " ");
    }
    return NULL;
}

static int number(const char *name, int otherwise) {
    const char *value = word(name);
    return value ? atoi(value) : otherwise;
}

static void load_jpeg(camera *c) {
    const char *path = getenv("WILOR_FAKE_CAMERA_JPEG");
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (!f)
        return;
    c->jpeg = malloc(MOST_BYTES);
    c->jpeg_size = c->jpeg ? fread(c->jpeg, 1, MOST_BYTES, f) : 0;
    fclose(f);
}

static int open_camera(void) {
    camera *c = &g_camera;
    errno = word("forbidden") ? EACCES : EBUSY;
    if (word("forbidden") || word("open-busy") || c->open)
        return -1;
    *c = (camera){.open = true, .width = 640, .height = 480};
    c->busy = word("busy") != NULL;
    c->mjpeg = word("mjpeg") != NULL;
    c->realtime = word("realtime") != NULL;
    c->no_capture = word("no-capture") != NULL;
    c->unplug = number("unplug", -1);
    c->stall = number("stall", -1);
    c->rate = number("rate", 50);
    const char *size = word("size");
    if (size)
        sscanf(size, "%dx%d", &c->fixed_width, &c->fixed_height);
    if (c->mjpeg)
        load_jpeg(c);
    /* A descriptor that is really open, so that nobody else gets its number. */
    c->fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
    return c->fd;
}

/* ---------------------------------------------------------------- frames */

static void draw(uint8_t *yuyv, int width, int height, int n) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, yuyv += 2) {
            const int square = width / BITS;
            yuyv[0] = (uint8_t)(y >= height / 6                              ? 128
                                : x / square < BITS && (n >> x / square & 1) ? 235
                                                                             : 16);
            yuyv[1] = 128;
        }
}

static size_t frame_bytes(const camera *c) {
    return c->mjpeg ? MOST_BYTES : (size_t)c->width * (size_t)c->height * 2;
}

static int dequeue(camera *c, struct v4l2_buffer *b) {
    if (c->unplug >= 0 && c->frames >= c->unplug)
        return ENODEV;
    const long long due = c->started + (long long)(c->frames * 1e9 / c->rate);
    if (!c->queued || (c->stall >= 0 && c->frames >= c->stall) || now_ns(CLOCK_MONOTONIC) < due)
        return EAGAIN;
    const int i = c->queue[0];
    memmove(c->queue, c->queue + 1, sizeof c->queue - sizeof c->queue[0]);
    c->queued--;
    size_t used = frame_bytes(c);
    if (!c->mjpeg) {
        draw(c->memory[i], c->width, c->height, c->frames);
    } else {
        used = c->jpeg_size;
        memcpy(c->memory[i], c->jpeg, used);
    }
    const long long stamp = c->realtime ? now_ns(CLOCK_REALTIME) : due;
    g_stamps[c->frames % STAMPS] = stamp / 1000 * 1000;
    b->index = (unsigned)i;
    b->bytesused = (unsigned)used;
    b->flags = c->realtime ? 0 : V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    b->sequence = (unsigned)c->frames++;
    b->timestamp.tv_sec = (time_t)(stamp / 1000000000);
    b->timestamp.tv_usec = (suseconds_t)(stamp % 1000000000 / 1000);
    return 0;
}

/* ---------------------------------------------------------------- what FFmpeg asks */

static unsigned fourcc(const camera *c) {
    return c->mjpeg ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV;
}

static int query_capabilities(const camera *c, struct v4l2_capability *q) {
    memset(q, 0, sizeof *q);
    snprintf((char *)q->driver, sizeof q->driver, "wilor-fake");
    q->capabilities =
        c->no_capture ? V4L2_CAP_STREAMING : V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    return 0;
}

static int name_input(struct v4l2_input *i) {
    if (i->index > 0)
        return EINVAL;
    memset(i, 0, sizeof *i);
    snprintf((char *)i->name, sizeof i->name, "Camera 1");
    i->type = V4L2_INPUT_TYPE_CAMERA;
    return 0;
}

static int name_format(const camera *c, struct v4l2_fmtdesc *d) {
    if (d->index > 0)
        return EINVAL;
    d->pixelformat = fourcc(c);
    d->flags = c->mjpeg ? V4L2_FMT_FLAG_COMPRESSED : 0;
    return 0;
}

static void tell_format(const camera *c, struct v4l2_pix_format *p) {
    p->width = (unsigned)c->width;
    p->height = (unsigned)c->height;
    p->pixelformat = fourcc(c);
    p->field = V4L2_FIELD_NONE;
    p->bytesperline = c->mjpeg ? 0 : p->width * 2;
    p->sizeimage = (unsigned)frame_bytes(c);
}

static int set_format(camera *c, struct v4l2_format *f) {
    if (c->busy)
        return EBUSY;
    if (f->fmt.pix.width && f->fmt.pix.height) {
        c->width = (int)f->fmt.pix.width;
        c->height = (int)f->fmt.pix.height;
    }
    if (c->fixed_width) {
        c->width = c->fixed_width;
        c->height = c->fixed_height;
    }
    tell_format(c, &f->fmt.pix);
    return 0;
}

static int rate_of(camera *c, struct v4l2_streamparm *p, bool set) {
    struct v4l2_captureparm *t = &p->parm.capture;
    if (set && t->timeperframe.numerator && t->timeperframe.denominator)
        c->rate = (double)t->timeperframe.denominator / t->timeperframe.numerator;
    t->capability = V4L2_CAP_TIMEPERFRAME;
    t->timeperframe.numerator = 1000;
    t->timeperframe.denominator = (unsigned)(c->rate * 1000);
    return 0;
}

static int tell_buffer(const camera *c, struct v4l2_buffer *b) {
    if (b->index >= (unsigned)c->buffers)
        return EINVAL;
    b->length = (unsigned)frame_bytes(c);
    b->m.offset = b->index << 12;
    return 0;
}

static int enqueue(camera *c, const struct v4l2_buffer *b) {
    if (b->index >= (unsigned)c->buffers || c->queued == BUFFERS)
        return EINVAL;
    c->queue[c->queued++] = (int)b->index;
    return 0;
}

/* 0 or an errno. */
static int answer(camera *c, unsigned long request, void *arg) {
    switch (request) {
    case VIDIOC_QUERYCAP:
        return query_capabilities(c, arg);
    case VIDIOC_ENUM_FMT:
        return name_format(c, arg);
    case VIDIOC_G_FMT:
        tell_format(c, &((struct v4l2_format *)arg)->fmt.pix);
        return 0;
    case VIDIOC_S_FMT:
        return set_format(c, arg);
    case VIDIOC_G_PARM:
        return rate_of(c, arg, false);
    case VIDIOC_S_PARM:
        return rate_of(c, arg, true);
    case VIDIOC_G_INPUT:
        *(int *)arg = 0;
        return 0;
    case VIDIOC_ENUMINPUT:
        return name_input(arg);
    case VIDIOC_REQBUFS:
        c->buffers = BUFFERS;
        ((struct v4l2_requestbuffers *)arg)->count = BUFFERS;
        return 0;
    case VIDIOC_QUERYBUF:
        return tell_buffer(c, arg);
    case VIDIOC_QBUF:
        return c->unplug >= 0 && c->frames >= c->unplug ? ENODEV : enqueue(c, arg);
    case VIDIOC_DQBUF:
        return dequeue(c, arg);
    case VIDIOC_STREAMON:
        c->streaming = true;
        c->started = now_ns(CLOCK_MONOTONIC);
        return 0;
    case VIDIOC_STREAMOFF:
        c->streaming = false;
        return 0;
    default:
        return ENOTTY; /* standards, controls: a webcam need not know them */
    }
}

/* ---------------------------------------------------------------- instead of the C library */

/* Found before the C library's by libavdevice, so never hidden. */
#pragma GCC visibility push(default)

int open64(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
    va_end(args);
    if (strcmp(path, V4L2_SHIM_PATH) == 0)
        return open_camera();
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int __open64_2(const char *path, int flags) { return open64(path, flags); }

int ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    if (!g_camera.open || fd != g_camera.fd)
        return (int)syscall(SYS_ioctl, fd, request, arg);
    const int code = answer(&g_camera, request & 0xFFFFFFFFul, arg);
    errno = code;
    return code ? -1 : 0;
}

void *mmap64(void *at, size_t size, int prot, int flags, int fd, off64_t offset) {
    static void *(*next)(void *, size_t, int, int, int, off64_t);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "mmap64");
    if (!g_camera.open || fd != g_camera.fd || fd < 0)
        return next(at, size, prot, flags, fd, offset);
    void *p = next(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED) {
        g_camera.memory[offset >> 12] = p;
        g_camera.mapped++;
    }
    return p;
}

int munmap(void *at, size_t size) {
    for (int i = 0; i < BUFFERS; i++)
        if (g_camera.memory[i] && g_camera.memory[i] == at) {
            g_camera.memory[i] = NULL;
            g_camera.mapped--;
        }
    return (int)syscall(SYS_munmap, at, size);
}

int close(int fd) {
    if (g_camera.open && fd == g_camera.fd) {
        g_camera.open = false;
        free(g_camera.jpeg);
        g_camera.jpeg = NULL;
    }
    return (int)syscall(SYS_close, fd);
}

#pragma GCC visibility pop
