/* wilor_make_model NAME HAND OUT: a synthetic model as a safetensors file, for the demo and the
 * tests.
 *
 * NAME is one of random_weights.h's (tiny, hd80, full, nano, demo), HAND a mano.npz. The file holds
 * the checkpoint's names, mano.* and init_* included, and says of itself that it is synthetic.
 * nano stands in for models/nano/nano.safetensors: matrices in 16 bits, and the same notes.
 * Written to a temporary name and renamed. */
#include "heap.h"
#include "random_weights.h"
#include "round16.h"
#include "tensor_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(const char *text) {
    fprintf(stderr, "wilor_make_model: %s\n", text);
    exit(1);
}

#define NOTES "\"wilor.model\":\"nano\",\"wilor.rescale\":\"1.75\",\"license\":\"CC0-1.0\","

static bool g_nano;

static bool is_whole(const wilor_tensor *t) { return t->dtype >= WILOR_I64; }

static bool is_narrow(const wilor_tensor *t) {
    return g_nano && t->rank > 1 && strncmp(t->name, "mano.", 5) != 0 &&
           strncmp(t->name, "backbone.init_", 14) != 0;
}

static size_t element(const wilor_tensor *t) {
    return is_whole(t) ? sizeof(int64_t) : is_narrow(t) ? sizeof(uint16_t) : sizeof(float);
}

/* The header: name, type, shape, place of every tensor. Caller frees. */
static char *make_header(const wilor_index *x, size_t *length) {
    size_t room = 256 + wilor_index_count(x) * 256, at = 0;
    uint64_t offset = 0;
    char *h = wilor_heap_alloc(room, 1);
    if (!h)
        stop("no memory");
    at += (size_t)snprintf(h + at, room - at,
                           "{\"__metadata__\":{%s\"heads\":\"%s\",\"label\":\"%s\"}",
                           g_nano ? NOTES : "", wilor_index_metadata(x, "heads"),
                           wilor_index_metadata(x, "label"));
    for (size_t i = 0; i < wilor_index_count(x); i++) {
        const wilor_tensor *t = wilor_index_at(x, i);
        uint64_t bytes = (uint64_t)t->count * element(t);
        at += (size_t)snprintf(h + at, room - at, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                               t->name,
                               is_whole(t)    ? "I64"
                               : is_narrow(t) ? "F16"
                                              : "F32");
        for (int d = 0; d < t->rank; d++)
            at += (size_t)snprintf(h + at, room - at, "%s%" PRId64, d ? "," : "", t->shape[d]);
        at +=
            (size_t)snprintf(h + at, room - at, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                             offset, offset + bytes);
        offset += bytes;
    }
    h[at++] = '}';
    while (at % 8 != 0)
        h[at++] = ' ';
    *length = at;
    return h;
}

static void write_tensor(FILE *f, const wilor_tensor *t) {
    wilor_error err;
    size_t size = is_whole(t) ? sizeof(int64_t) : sizeof(float);
    void *values = wilor_heap_alloc(t->count, size);
    if (!values)
        stop("no memory");
    wilor_status st = is_whole(t) ? wilor_tensor_to_i64(t, values, &err)
                                  : wilor_tensor_to_f32(t, values, &err);
    if (st != WILOR_OK)
        stop(err.text);
    uint16_t *halves = values; /* in place: each is behind its float, or at its beginning */
    for (size_t i = 0; is_narrow(t) && i < t->count; i++) {
        float wide;
        memcpy(&wide, (const char *)values + i * sizeof wide, sizeof wide);
        halves[i] = wilor_f16_of_f32(wide);
    }
    if (fwrite(values, element(t), t->count, f) != t->count)
        stop("the file cannot be written");
    wilor_heap_free(values);
}

int main(int argc, char **argv) {
    wilor_error err;
    wilor_random_model model;
    wilor_index *hand = NULL, *x = NULL;
    char temporary[4096];
    size_t length;
    if (argc != 4)
        stop("usage: wilor_make_model tiny|hd80|full|nano|demo HAND OUT");
    if (!wilor_random_model_named(&model, argv[1]))
        stop("no model of that name");
    g_nano = strcmp(argv[1], "nano") == 0;
    if (wilor_index_open(&hand, argv[2], &err) != WILOR_OK ||
        wilor_index_canonical(hand, &err) != WILOR_OK ||
        wilor_random_index(&x, &model, hand, &err) != WILOR_OK)
        stop(err.text);
    snprintf(temporary, sizeof temporary, "%s.tmp", argv[3]);
    FILE *f = fopen(temporary, "wb");
    if (!f)
        stop("the file cannot be created");
    char *header = make_header(x, &length);
    unsigned char size[8];
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)((uint64_t)length >> (8 * i));
    fwrite(size, 1, sizeof size, f);
    fwrite(header, 1, length, f);
    for (size_t i = 0; i < wilor_index_count(x); i++)
        write_tensor(f, wilor_index_at(x, i));
    if (fclose(f) != 0 || rename(temporary, argv[3]) != 0)
        stop("the file cannot be written");
    wilor_heap_free(header);
    wilor_index_close(&x);
    wilor_index_close(&hand);
    return 0;
}
