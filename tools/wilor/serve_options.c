#include "serve_options.h"

#include "server/server_guard.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
    ID_HOST = WILOR_CLI_SHARED_IDS,
    ID_PORT,
    ID_TOKEN_FILE,
    ID_TLS_CERT,
    ID_TLS_KEY,
    ID_CORS,
    ID_MAX_BODY,
    ID_SHARE_FRAMES,
    ID_STREAM
};

enum { PORT = 8017 };

static const uint64_t g_max_body = 32000000, g_least_body = 1000, g_most_body = 1000000000;

static const wilor_cli_option g_options[] = {
    {"--host", "ADDRESS",
     "where to listen; 127.0.0.1. Any but the loopback interface needs\n"
     "--token-file",
     ID_HOST, 0, NULL},
    {"--port", "N", "8017; 0: one that is free", ID_PORT, 0, NULL},
    {"--token-file", "FILE", "clients must know the token in its first line", ID_TOKEN_FILE, 0,
     NULL},
    {"--tls-cert", "FILE", "HTTPS with this certificate (PEM)", ID_TLS_CERT, 0, NULL},
    {"--tls-key", "FILE", "and its key", ID_TLS_KEY, 0, NULL},
    {"--cors", "ORIGIN", "pages of this origin may ask, too: https://example.org", ID_CORS, 0,
     NULL},
    {"--max-body", "BYTES", "largest request or message; 32M", ID_MAX_BODY, 0, NULL},
    {"--share-frames", NULL, "show the source's picture, /frames.mjpeg", ID_SHARE_FRAMES, 0,
     NULL},
    {"--stream", "NAME", "the stream's name in the events; cam0", ID_STREAM, 0, NULL},
    WILOR_CLI_SHARED_OPTIONS,
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

static wilor_status bad(const wilor_cli_option *o, const char *value, const char *wanted,
                        wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s %s: it should be %s", o->name,
                          wilor_cli_quote(&q, value), wanted);
}

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    wilor_cli_serve_options *s = user;
    long n;
    const char **text = o->id == ID_HOST         ? &s->host
                        : o->id == ID_TOKEN_FILE ? &s->token_file
                        : o->id == ID_TLS_CERT   ? &s->cert
                        : o->id == ID_TLS_KEY    ? &s->key
                        : o->id == ID_CORS       ? &s->cors
                        : o->id == ID_STREAM     ? &s->stream
                                                 : NULL;
    if (text) {
        *text = value;
        return WILOR_OK;
    }
    switch (o->id) {
    case ID_PORT:
        if (!wilor_cli_parse_long(value, 0, 65535, &n))
            return bad(o, value, "a whole number from 0 to 65535", err);
        s->port = (int)n;
        return WILOR_OK;
    case ID_MAX_BODY:
        if (!wilor_cli_parse_count(value, &s->max_body) || s->max_body < g_least_body ||
            s->max_body > g_most_body)
            return bad(o, value, "bytes from 1k to 1G, such as 32M", err);
        return WILOR_OK;
    case ID_SHARE_FRAMES:
        s->share_frames = true;
        return WILOR_OK;
    default:
        return wilor_cli_shared_option(&s->tracking, &s->source, o, value, err);
    }
}

static wilor_status take_source(void *user, const char *text, wilor_error *err) {
    wilor_cli_serve_options *s = user;
    return wilor_cli_shared_source(&s->source, text, err);
}

static wilor_status check_source(const wilor_cli_serve_options *s, uint64_t seen,
                                 wilor_error *err) {
    static const int of_source[] = {WILOR_CLI_ID_FPS,    WILOR_CLI_ID_SIZE,
                                    WILOR_CLI_ID_FORMAT, WILOR_CLI_ID_PIXEL_FORMAT,
                                    WILOR_CLI_ID_LOOP,   WILOR_CLI_ID_SOURCE_OPTIONS};
    bool any = s->share_frames;
    for (size_t i = 0; i < sizeof of_source / sizeof of_source[0]; i++)
        any = any || (seen >> of_source[i] & 1);
    if (!s->source.source && any)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s",
                              s->share_frames
                                  ? "--share-frames needs a source to share"
                                  : "an option of a source is given, but no source");
    return wilor_cli_shared_check(seen, err);
}

static wilor_status check(const wilor_cli_serve_options *s, uint64_t seen, wilor_error *err) {
    wilor_cli_quoted q;
    if (!wilor_server_is_loopback(s->host, strlen(s->host)) && !s->token_file)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--host %s can be reached from other machines: it needs "
                              "--token-file FILE",
                              wilor_cli_quote(&q, s->host));
    if (!s->cert != !s->key)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "--tls-cert and --tls-key belong together");
    if (s->cors && !wilor_server_is_origin(s->cors))
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--cors %s: it should be one origin such as "
                              "https://example.org",
                              wilor_cli_quote(&q, s->cors));
    return check_source(s, seen, err);
}

wilor_status wilor_cli_serve_options_parse(wilor_cli_serve_options *o, int argc, char **argv,
                                           wilor_error *err) {
    wilor_cli_parser own = {.command = "serve",
                            .options = g_options,
                            .count = OPTION_COUNT,
                            .user = o,
                            .option = take_option,
                            .operand = take_source,
                            .bare = true};
    *o = (wilor_cli_serve_options){
        .stream = "cam0", .host = "127.0.0.1", .port = PORT, .max_body = g_max_body};
    wilor_cli_shared_defaults(&o->tracking, &o->source);
    wilor_status st = wilor_cli_stream_options_parse(&o->p, &own, argc, argv, err);
    if (st == WILOR_OK && !o->p.help)
        st = wilor_cli_in_command(check(o, own.seen, err), own.command, err);
    return st;
}

wilor_status wilor_cli_serve_token_read(wilor_cli_serve_options *o, bool *loose,
                                        wilor_error *err) {
    wilor_cli_quoted q;
    struct stat info;
    *loose = false;
    if (!o->token_file)
        return WILOR_OK;
    FILE *file = fopen(o->token_file, "r");
    if (!file)
        return wilor_cli_fail(err, WILOR_ERR_IO, "--token-file %s: %s",
                              wilor_cli_quote(&q, o->token_file), strerror(errno));
    *loose = fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 077);
    size_t n = fread(o->token, 1, sizeof o->token - 1, file);
    fclose(file);
    o->token[n] = 0;
    n = strcspn(o->token, "\r\n");
    o->token[n] = 0;
    if (!wilor_server_token_sound(o->token, n))
        return wilor_cli_fail(
            err, WILOR_ERR_FORMAT,
            "--token-file %s: its first line should be %d to %d letters, digits "
            "or -._~, such as openssl rand -hex 24 gives",
            wilor_cli_quote(&q, o->token_file), WILOR_SERVER_TOKEN_LEAST,
            WILOR_SERVER_TOKEN_MOST);
    return WILOR_OK;
}

void wilor_cli_serve_help(FILE *to) {
    fputs(
        "usage: wilor serve [SOURCE] [options]\n\n"
        "3D hands for other programs and browsers: a page, POST /predict, and a live stream "
        "of\n"
        "events over WebSockets and server-sent events. Frames come from SOURCE (as in wilor\n"
        "live) or from clients.\n\n",
        to);
    wilor_cli_print_options(g_options, OPTION_COUNT, to);
    fputs("\nthe model, the detector, the camera:\n", to);
    wilor_cli_stream_options_help(to);
    fputs("\nexit: 0 stopped by SIGINT or SIGTERM, 1 it could not serve, 2 usage,\n"
          "      4 weights, hand data or detector are missing, 130 interrupted while loading\n",
          to);
}
