/* An AVIOContext of our own for everything that is not a network stream or a device. FFmpeg's file
 * protocol would block in read() of a pipe where nobody could interrupt it, and a demuxer that
 * needs no protocol can be denied all of them.
 *
 * How a pipe is waited for: video_raw.c. */
#include "video_bytes.h"
#include "heap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#if defined(_WIN32)
#include <io.h>
#define open _open
#define close _close
#define lseek _lseeki64
#define WILOR_OPEN_FLAGS (_O_RDONLY | _O_BINARY)
#else
#include <unistd.h>
#define WILOR_OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK)
#endif

enum { BUFFER = 1 << 16 };

#if defined(_WIN32)
static int wait_readable(wilor_video_input *in) {
    return wilor_video_interrupted(in->v) ? AVERROR_EXIT : 0;
}
#else
static int wait_readable(wilor_video_input *in) {
    const wilor_video_wait wait = wilor_video_wait_readable(in->v, in->fd);
    return wait == WILOR_VIDEO_WAIT_READY     ? 0
           : wait == WILOR_VIDEO_WAIT_STOPPED ? AVERROR_EXIT
                                              : AVERROR(errno);
}
#endif

static int read_bytes(void *opaque, uint8_t *to, int size) {
    wilor_video_input *in = opaque;
    for (;;) {
        int st = in->waits ? wait_readable(in) : 0;
        if (st < 0)
            return st;
        /* Regular files do not wait, but a damaged one may be read for long. */
        if (!in->waits && wilor_video_interrupted(in->v))
            return AVERROR_EXIT;
#if defined(_WIN32)
        const int n = _read(in->fd, to, (unsigned)size);
#else
        const ssize_t n = read(in->fd, to, (size_t)size);
#endif
        if (n > 0) {
            in->got = true;
            return (int)n;
        }
        if (n == 0)
            return AVERROR_EOF;
        if (errno != EINTR && errno != EAGAIN)
            return AVERROR(errno);
    }
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence) {
    wilor_video_input *in = opaque;
    if (whence & AVSEEK_SIZE) {
        struct stat info;
        return fstat(in->fd, &info) == 0 ? (int64_t)info.st_size : AVERROR(errno);
    }
    const int64_t at = lseek(in->fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

static int read_memory(void *opaque, uint8_t *to, int size) {
    wilor_video_input *in = opaque;
    if (wilor_video_interrupted(in->v))
        return AVERROR_EXIT;
    const size_t left = in->memory.size - in->at;
    const size_t n = left < (size_t)size ? left : (size_t)size;
    if (n == 0)
        return AVERROR_EOF;
    memcpy(to, in->memory.data + in->at, n);
    in->at += n;
    in->got = true;
    return (int)n;
}

static int64_t seek_memory(void *opaque, int64_t offset, int whence) {
    wilor_video_input *in = opaque;
    const int64_t size = (int64_t)in->memory.size;
    if (whence & AVSEEK_SIZE)
        return size;
    whence &= ~AVSEEK_FORCE;
    const int64_t base = whence == SEEK_CUR ? (int64_t)in->at : whence == SEEK_END ? size : 0;
    if (offset < -base || offset > size - base)
        return AVERROR(EINVAL);
    in->at = (size_t)(base + offset);
    return base + offset;
}

static wilor_status make_io(wilor_video_input *in, bool seekable, wilor_error *err) {
    const bool memory = in->memory.data != NULL;
    unsigned char *buffer = av_malloc(BUFFER);
    if (buffer)
        in->io =
            avio_alloc_context(buffer, BUFFER, 0, in, memory ? read_memory : read_bytes, NULL,
                               memory     ? seek_memory
                               : seekable ? seek_bytes
                                          : NULL);
    if (in->io)
        return WILOR_OK;
    av_free(buffer);
    wilor_video_input_close(in);
    return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to read a video");
}

wilor_status wilor_video_input_open(wilor_video_input *in, wilor_video *v, const char *path,
                                    wilor_error *err) {
    wilor_quoted q;
    struct stat info;
    *in = (wilor_video_input){.v = v, .fd = path ? open(path, WILOR_OPEN_FLAGS) : 0};
    in->owned = path != NULL && in->fd >= 0;
    const char *what = NULL;
    if (in->fd < 0 || fstat(in->fd, &info) != 0)
        what = strerror(errno);
    else if ((info.st_mode & S_IFMT) == S_IFDIR)
        what = "is a folder";
    else if ((info.st_mode & S_IFMT) == S_IFREG && info.st_size == 0)
        what = "is empty";
    if (what) {
        wilor_video_input_close(in);
        return wilor_error_set(err,
                               strcmp(what, "is empty") == 0 ? WILOR_ERR_FORMAT : WILOR_ERR_IO,
                               "%s: %s", wilor_quote(&q, path ? path : "standard input"), what);
    }
    const bool regular = (info.st_mode & S_IFMT) == S_IFREG;
    in->waits = !regular;
    return make_io(in, regular, err);
}

wilor_status wilor_video_input_memory(wilor_video_input *in, wilor_video *v,
                                      wilor_video_bytes bytes, wilor_error *err) {
    *in = (wilor_video_input){.v = v, .fd = -1, .memory = bytes};
    return make_io(in, true, err);
}

void wilor_video_input_close(wilor_video_input *in) {
    if (in->io) {
        av_freep(&in->io->buffer);
        avio_context_free(&in->io);
    }
    if (in->owned)
        close(in->fd);
    *in = (wilor_video_input){.fd = -1};
}
