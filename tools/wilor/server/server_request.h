/* What clients send, read without a socket: queries, both forms of POST /predict, pushed frames. Every
 * byte is a stranger's. */
#ifndef WILOR_SERVER_REQUEST_H
#define WILOR_SERVER_REQUEST_H

#include "predict_options.h"
#include <stdint.h>

enum { WILOR_SERVER_WORDS_MOST = 96 };

/* Options as words of a command line ("--conf=0.5"), each on the heap. */
typedef struct wilor_server_words {
    char *word[WILOR_SERVER_WORDS_MOST];
    int count;
} wilor_server_words;

void wilor_server_words_free(wilor_server_words *w);

/* Of the command line of the server itself those words that also hold for POST /predict, in the form
 * "--name=value". argv must have been found sound. ERR_LIMIT, ERR_NOMEM. */
wilor_status wilor_server_words_keep(wilor_server_words *w, int argc, char *const *argv,
                                     wilor_error *err);
/* "name=value" of a query, decoded: "conf=0.5", "max-hands=2" (also with _ for -), "mirrored",
 * "mirrored=true". ERR_ARG: no such option, or not one of a request's. */
wilor_status wilor_server_words_add(wilor_server_words *w, const char *pair, wilor_error *err);

/* A request for POST /predict. */
typedef struct wilor_server_ask {
    wilor_server_words words;          /* of the query, then of the JSON body */
    uint8_t *image;                    /* on the heap: the JSON body's picture; else NULL */
    size_t image_size;                 /* its bytes */
    bool return_faces;                 /* faces beside the vertices */
    wilor_cli_predict_options options; /* once wilor_server_ask_finish has been called */
} wilor_server_ask;

/* The JSON form: {"image": base64, "bbox": [x0,y0,x1,y1] or a list of such, "is_right": true or a list,
 * "rescale_factor": x, "return_vertices": bool, "return_faces": bool}. Fills image, return_faces and adds
 * to words. ERR_FORMAT: not JSON, not base64; ERR_ARG: a key or a value that cannot be. */
wilor_status wilor_server_ask_json(wilor_server_ask *ask, const char *text, size_t size,
                                   wilor_error *err);
/* words on top of the server's own ones become options: what a request says of the camera takes the place
 * of all that the server's command line says of it, likewise for each other option. */
wilor_status wilor_server_ask_finish(wilor_server_ask *ask, const wilor_server_words *own,
                                     wilor_error *err);
void wilor_server_ask_free(wilor_server_ask *ask);

/* Base64 as in RFC 4648, line ends and blanks skipped, in a buffer of at least size / 4 * 3 + 3 bytes.
 * False: another character, or a length that cannot be. */
bool wilor_server_base64_read(const char *text, size_t size, uint8_t *out, size_t *count);

/* Pixels without a file format, from the headers X-Width, X-Height, X-Format and a body of `size` bytes,
 * which the picture then points into. */
wilor_status wilor_server_raw_read(wilor_picture *out, const char *width, const char *height,
                                   const char *format, const uint8_t *body, size_t size,
                                   uint64_t max_pixels, wilor_error *err);

/* A pushed frame: 8 bytes of the client's time in nanoseconds, little-endian, then a picture. */
typedef struct wilor_server_frame {
    int64_t time;
    const uint8_t *image;
    size_t size;
} wilor_server_frame;

wilor_status wilor_server_frame_read(wilor_server_frame *out, const uint8_t *message,
                                     size_t size, wilor_error *err);

#endif
