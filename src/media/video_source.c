/* Sources by their text. What exists under a name wins over what the name could mean, so that a
 * file called "lavfi:x" or "a*b.mp4" can be read; after that prefixes, schemes, patterns. */
#include "video_source.h"

#include "system.h"

#include <string.h>

/* In the order of the header's list of sources. */
static const char *const devices[] = {"v4l2", "avfoundation", "dshow", "lavfi"};

/* What a stream of each scheme may lead to: its own kind, never a file. HLS playlists name their
 * parts by http or https, so both go together. RTSP negotiates its transport. */
static const struct scheme {
    const char *name, *protocols;
} schemes[] = {
    {"http", "http,https,tcp,tls,httpproxy,crypto"},
    {"https", "http,https,tcp,tls,httpproxy,crypto"},
    {"rtsp", "rtsp,rtsps,rtp,srtp,udp,tcp,tls"},
    {"rtsps", "rtsp,rtsps,rtp,srtp,udp,tcp,tls"},
    {"rtmp", "rtmp,tcp"},
    {"rtmps", "rtmps,rtmp,tls,tcp"},
    {"srt", "srt,udp"},
    {"udp", "udp"},
    {"rtp", "rtp,srtp,udp"},
    {"tcp", "tcp"},
};

static bool starts(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

bool wilor_video_picture_name(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp"};
    const char *dot = strrchr(name, '.');
    char lower[8] = "";
    if (!dot || strlen(dot) >= sizeof lower)
        return false;
    for (size_t i = 0; dot[i]; i++)
        lower[i] = dot[i] >= 'A' && dot[i] <= 'Z' ? (char)(dot[i] - 'A' + 'a') : dot[i];
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (strcmp(lower, endings[i]) == 0)
            return true;
    return false;
}

static const char *known_device(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (strlen(devices[i]) == length && strncmp(devices[i], name, length) == 0)
            return devices[i];
    return NULL;
}

bool wilor_video_number_pattern(const char *name) {
    int found = 0;
    for (const char *p = strchr(name, '%'); p; p = strchr(p, '%')) {
        p++;
        while (*p >= '0' && *p <= '9')
            p++;
        if (*p != 'd')
            return false;
        found++;
    }
    return found == 1;
}

bool wilor_video_glob(const char *pattern, const char *name) {
    const char *star = NULL, *again = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            again = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

/* A path: of something that is there, or of what a pattern shall find. */
static void parse_path(wilor_video_source *s, const char *path, bool any_format) {
    wilor_sys_info info;
    bool exists = wilor_sys_stat(path, &info) == 0;
    s->target = path;
    s->kind = WILOR_VIDEO_FILE;
    if (exists && info.kind == WILOR_SYS_FOLDER)
        s->kind = WILOR_VIDEO_SEQUENCE;
    else if (any_format && wilor_video_picture_name(path))
        s->kind = WILOR_VIDEO_SEQUENCE;
    else if (any_format && starts(path, "/dev/video")) {
        s->kind = WILOR_VIDEO_DEVICE;
        s->device = devices[0];
    } else if (!exists && (wilor_video_number_pattern(path) || strpbrk(path, "*?")))
        s->kind = WILOR_VIDEO_SEQUENCE;
}

static wilor_status parse_url(wilor_video_source *s, const char *text, size_t length,
                              wilor_error *err) {
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i].name) == length && strncmp(schemes[i].name, text, length) == 0) {
            s->kind = WILOR_VIDEO_URL;
            s->target = text;
            s->protocols = schemes[i].protocols;
            return WILOR_OK;
        }
    wilor_quoted q;
    return wilor_error_set(
        err, WILOR_ERR_UNSUPPORTED,
        "%s: unknown protocol; streams are read by http, https, rtsp, rtsps, "
        "rtmp, rtmps, srt, udp, rtp and tcp, and files by their plain names",
        wilor_quote(&q, text));
}

static bool parse_format(wilor_video_source *s, const char *text, const char *format) {
    const char *device = known_device(format, strlen(format));
    s->target = text;
    if (device) {
        s->kind = WILOR_VIDEO_DEVICE;
        s->device = device;
    } else if (strcmp(format, "sequence") == 0 || strcmp(format, "image2") == 0)
        s->kind = WILOR_VIDEO_SEQUENCE;
    else
        return false;
    return true;
}

wilor_status wilor_video_source_parse(wilor_video_source *s, const char *text,
                                      const char *format, wilor_error *err) {
    *s = (wilor_video_source){WILOR_VIDEO_FILE, text, NULL, NULL};
    if (!text || !text[0])
        return wilor_error_set(err, WILOR_ERR_ARG, "the name of a video source is empty");
    if (format && parse_format(s, text, format))
        return WILOR_OK;
    wilor_sys_info info;
    if (strcmp(text, "-") == 0) {
        s->kind = WILOR_VIDEO_STDIN;
        return WILOR_OK;
    }
    const char *colon = strchr(text, ':');
    if (colon && wilor_sys_stat(text, &info) != 0) {
        size_t length = (size_t)(colon - text);
        s->device = format ? NULL : known_device(text, length);
        if (s->device) {
            s->kind = WILOR_VIDEO_DEVICE;
            s->target = colon + 1;
            return WILOR_OK;
        }
        if (starts(text, "file:")) {
            parse_path(s, colon + 1, !format);
            return WILOR_OK;
        }
        if (starts(colon, "://"))
            return parse_url(s, text, length, err);
    }
    parse_path(s, text, !format);
    return WILOR_OK;
}
