/* wilor_make_detector NAME OUT: a synthetic hand detector (random_detector.h: n, s, m, nano,
 * micro) as wilor-mlx keeps one, so that others can read the same weights: its names, convolutions
 * as (out, height, width, in), float32 safetensors. nano stands in for models/nano's: 16 bits, imgsz
 * 320. Written to a temporary name and renamed.
 *
 * wilor_make_detector seed OUT: the least network that there can be, as a .pt or .safetensors:
 * the seeds of tests/fuzz/corpus/detector. */
#include "detector_file.h"
#include "heap.h"
#include "random_detector.h"
#include "round16.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(const char *text) {
    fprintf(stderr, "wilor_make_detector: %s\n", text);
    exit(1);
}

static bool g_nano;

static const char *notes(void) {
    return g_nano ? "\"imgsz\":\"320\",\"license\":\"CC0-1.0\"," : "";
}

/* model.4.cv1.conv.weight is b4.…, from layer 10 on h…, the head is pose. */
static void write_name(FILE *f, const char *name) {
    char *rest;
    long layer = strtol(name + strlen("model."), &rest, 10);
    if (layer == 22)
        fprintf(f, "\"pose%s\"", rest);
    else
        fprintf(f, "\"%c%ld%s\"", layer < 10 ? 'b' : 'h', layer, rest);
}

static void write_header(FILE *f, const wilor_index *x) {
    uint64_t offset = 0;
    const char *type = g_nano ? "F16" : "F32";
    fprintf(f, "{\"__metadata__\":{%s\"label\":\"%s\"}", notes(),
            wilor_index_metadata(x, "label"));
    for (size_t i = 0; i < wilor_index_count(x); i++) {
        const wilor_tensor *t = wilor_index_at(x, i);
        const int64_t *s = t->shape;
        uint64_t bytes = (uint64_t)t->count * (g_nano ? sizeof(uint16_t) : sizeof(float));
        fputc(',', f);
        write_name(f, t->name);
        if (t->rank == 4)
            fprintf(f,
                    ":{\"dtype\":\"%s\",\"shape\":[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                    "]",
                    type, s[0], s[2], s[3], s[1]);
        else
            fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[%" PRId64 "]", type, s[0]);
        fprintf(f, ",\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, offset + bytes);
        offset += bytes;
    }
    fputc('}', f);
}

static void write_tensor(FILE *f, const wilor_tensor *t) {
    wilor_error err;
    float *values = wilor_heap_alloc(2 * t->count, sizeof *values),
          *ordered = values + t->count;
    if (!values)
        stop("no memory");
    if (wilor_tensor_to_f32(t, values, &err) != WILOR_OK)
        stop(err.text);
    size_t in = t->rank == 4 ? (size_t)t->shape[1] : 1;
    size_t area = t->rank == 4 ? (size_t)(t->shape[2] * t->shape[3]) : 1;
    for (size_t o = 0; o < (size_t)t->shape[0]; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t k = 0; k < area; k++)
                ordered[(o * area + k) * in + i] = values[(o * in + i) * area + k];
    uint16_t *halves = (uint16_t *)(void *)values; /* no longer needed */
    for (size_t i = 0; g_nano && i < t->count; i++)
        halves[i] = wilor_f16_of_f32(ordered[i]);
    size_t written = g_nano ? fwrite(halves, sizeof *halves, t->count, f)
                            : fwrite(ordered, sizeof *ordered, t->count, f);
    if (written != t->count)
        stop("the file cannot be written");
    wilor_heap_free(values);
}

static void write_seed(FILE *f, bool safetensors) {
    size_t size;
    uint8_t *bytes = detector_file_make(
        &(detector_file){.width = 2, .repeats = 1, .safetensors = safetensors}, &size);
    if (fwrite(bytes, 1, size, f) != size)
        stop("the file cannot be written");
    free(bytes);
}

static void write_network(FILE *f, const char *name) {
    wilor_error err;
    wilor_index *x = NULL;
    if (wilor_random_detector(&x, name, &err) != WILOR_OK)
        stop(err.text);
    /* The header's length comes before it. */
    unsigned char size[8] = {0};
    fwrite(size, 1, sizeof size, f);
    write_header(f, x);
    long end = ftell(f);
    for (; end % 8 != 0; end++)
        fputc(' ', f);
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)((uint64_t)(end - 8) >> (8 * i));
    fseek(f, 0, SEEK_SET);
    fwrite(size, 1, sizeof size, f);
    fseek(f, end, SEEK_SET);
    for (size_t i = 0; i < wilor_index_count(x); i++)
        write_tensor(f, wilor_index_at(x, i));
    wilor_index_close(&x);
}

int main(int argc, char **argv) {
    char temporary[4096];
    if (argc != 3)
        stop("usage: wilor_make_detector n|s|m|nano|micro|seed OUT");
    g_nano = strcmp(argv[1], "nano") == 0;
    snprintf(temporary, sizeof temporary, "%s.tmp", argv[2]);
    FILE *f = fopen(temporary, "w+b");
    if (!f)
        stop("the file cannot be created");
    if (strcmp(argv[1], "seed") == 0)
        write_seed(f, strstr(argv[2], ".safetensors") != NULL);
    else
        write_network(f, argv[1]);
    if (fclose(f) != 0 || rename(temporary, argv[2]) != 0)
        stop("the file cannot be written");
    return 0;
}
