/* What each arithmetic costs in accuracy: how far its vertices are from float32's, over many crops, with the same
 * weights; and, with a reference, from float64's. Prints a table, or one JSON object.
 *
 * usage: bench_accuracy [--weights PATH|random:NAME] [--mano PATH] [--heads N] [--crops N] [--threads N] [--json]
 *                       [--isa c|avx2|avx512|amx|neon] [--only LIST] [--reference FILE.npz]
 * LIST: f32x,bf16,int8,int4,int4/f32,int4/int8; the last two compute with 4-bit weights of a file, made in TMPDIR for
 * the time being, in float32 and in int8. An arithmetic that the processor lacks says so. The oracle is float32 on the
 * same tier. FILE: crop_bgr (n × 256 × 256 × 3) and f64.pred_vertices (n × V × 3), upstream's outputs in float64 for
 * these weights; its crops come first.
 *
 * A crop by formula is a few waves of colour over a slope, a bright patch and noise, so that some are smooth and others
 * are not; seed and place in the list make it, the same everywhere. */
#include "bench_json.h"
#include "machine_facts.h"

#include "wilor/wilor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SIDE = 256, CROP_FLOATS = SIDE * SIDE * 3, WAVES = 4, MOST_CROPS = 4096 };

typedef struct settings {
    const char *weights, *mano, *only, *reference;
    int heads, crops, threads, json;
    wilor_isa isa;
} settings;

/* What is compared. */
typedef struct row {
    const char *name;
    wilor_dtype dtype;
    int converted; /* the weights are the file of 4 bits */
} row;

static const row g_rows[] = {
    {"f32", WILOR_DTYPE_F32, 0},       {"f32x", WILOR_DTYPE_F32X, 0},
    {"bf16", WILOR_DTYPE_BF16, 0},     {"int8", WILOR_DTYPE_INT8, 0},
    {"int4", WILOR_DTYPE_INT4, 0},     {"int4/f32", WILOR_DTYPE_F32, 1},
    {"int4/int8", WILOR_DTYPE_INT8, 1}};

enum { ROWS = sizeof g_rows / sizeof g_rows[0] };

typedef struct bench {
    settings s;
    float *crops; /* crops × CROP_FLOATS */
    int given;    /* crops of the reference */
    int vertices, width;
    float *f64;         /* given × V × 3, of the reference */
    float *f32, *other; /* crops × V × 3 */
    double *mm;         /* crops × V: distances */
    char packed[512];   /* the file of 4 bits; "": none yet */
    wilor_isa isa;      /* what the models took */
    int shown;
} bench;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---------------------------------------------------------------- crops */

static float uniform(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-24f;
}

static float byte_of(float v) { return v < 0 ? 0 : v > 255 ? 255 : floorf(v + 0.5f); }

static void make_crop(uint32_t seed, float *rgb) {
    uint32_t state = seed * 2654435761u + 12345u;
    float wave[WAVES][4], tint[WAVES][3], x0, y0, size, noise = 40 * uniform(&state);
    for (int w = 0; w < WAVES; w++) {
        float length = 6 + 200 * uniform(&state) * uniform(&state);
        float angle = 6.2831853f * uniform(&state);
        wave[w][0] = 6.2831853f * cosf(angle) / length;
        wave[w][1] = 6.2831853f * sinf(angle) / length;
        wave[w][2] = 6.2831853f * uniform(&state);
        wave[w][3] = 60 * uniform(&state);
        for (int c = 0; c < 3; c++)
            tint[w][c] = 0.5f + 0.5f * uniform(&state);
    }
    x0 = 256 * uniform(&state);
    y0 = 256 * uniform(&state);
    size = 20 + 80 * uniform(&state);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) {
                float fx = (float)x, fy = (float)y, v = 90 + 0.2f * fx;
                for (int w = 0; w < WAVES; w++)
                    v += tint[w][c] * wave[w][3] *
                         cosf(wave[w][0] * fx + wave[w][1] * fy + wave[w][2]);
                v += hypotf(fx - x0, fy - y0) < size ? 70 : 0;
                v += noise * (uniform(&state) - 0.5f);
                rgb[(y * SIDE + x) * 3 + c] = byte_of(v);
            }
}

/* A tensor of the reference as floats; NULL: it is not there, or has another size (0: any). */
static float *read_tensor(const wilor_file *f, const char *name, uint64_t each, size_t *count) {
    wilor_tensor_info t;
    for (size_t i = 0; wilor_file_tensor(f, i, &t) == WILOR_OK; i++) {
        size_t n = 1;
        if (strcmp(t.name, name) != 0)
            continue;
        for (int k = 0; k < t.rank; k++)
            n *= (size_t)t.shape[k];
        float *data = n && n % each == 0 ? malloc(n * sizeof *data) : NULL;
        if (!data || wilor_file_read(f, i, data, n, NULL) != WILOR_OK) {
            free(data);
            return NULL;
        }
        *count = n;
        return data;
    }
    return NULL;
}

static int read_reference(bench *b, float **bgr) {
    wilor_file *f = NULL;
    wilor_error err;
    size_t pixels = 0, numbers = 0;
    if (wilor_file_open(&f, b->s.reference, &err) != WILOR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 0;
    }
    *bgr = read_tensor(f, "crop_bgr", CROP_FLOATS, &pixels);
    b->given = (int)(pixels / CROP_FLOATS);
    b->f64 = read_tensor(f, "f64.pred_vertices", 3, &numbers);
    wilor_file_close(&f);
    if (*bgr && b->f64 && b->given > 0 && numbers % (3 * (size_t)b->given) == 0) {
        b->vertices = (int)(numbers / 3 / (size_t)b->given);
        return 1;
    }
    fprintf(stderr, "%s: no crop_bgr of 256 x 256 x 3 with f64.pred_vertices\n",
            b->s.reference);
    return 0;
}

static int make_crops(bench *b) {
    float *bgr = NULL;
    if (b->s.reference && !read_reference(b, &bgr)) {
        free(bgr);
        return 0;
    }
    b->s.crops += b->given;
    b->crops = malloc((size_t)b->s.crops * CROP_FLOATS * sizeof *b->crops);
    for (int i = 0; b->crops && i < b->s.crops; i++) {
        float *to = b->crops + (size_t)i * CROP_FLOATS;
        if (i >= b->given)
            make_crop((uint32_t)(i - b->given), to);
        for (size_t k = 0; i < b->given && k < CROP_FLOATS; k++)
            to[k] = bgr[(size_t)i * CROP_FLOATS + k / 3 * 3 + 2 - k % 3];
    }
    free(bgr);
    return b->crops != NULL;
}

/* ---------------------------------------------------------------- running */

static int write_at(void *user, uint64_t offset, const void *data, size_t size) {
    FILE *f = user;
    return fseek(f, (long)offset, SEEK_SET) != 0 || fwrite(data, 1, size, f) != size;
}

/* The weights in 4 bits, as a file. */
static wilor_status convert(bench *b, wilor_error *err) {
    wilor_convert_options o;
    const char *folder = getenv("TMPDIR");
    if (b->packed[0])
        return WILOR_OK;
    snprintf(b->packed, sizeof b->packed, "%s/bench_accuracy-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(b->packed);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    wilor_convert_options_init(&o, sizeof o);
    o.source = b->s.weights;
    o.heads = b->s.heads;
    o.dtype = WILOR_WEIGHTS_INT4;
    o.group_size = b->width % 64 ? 32 : 64;
    o.write = write_at;
    o.write_user = f;
    if (!f) {
        snprintf(err->text, sizeof err->text, "%.400s cannot be written", b->packed);
        b->packed[0] = 0;
        return WILOR_ERR_IO;
    }
    wilor_status st = wilor_convert(&o, err);
    if (fclose(f) != 0 && st == WILOR_OK) {
        snprintf(err->text, sizeof err->text, "%.400s cannot be written", b->packed);
        st = WILOR_ERR_IO;
    }
    return st;
}

/* All crops, two at a time; their vertices to `out`, which is made where it is NULL. */
static wilor_status run_crops(bench *b, wilor_session *session, float **out, wilor_error *err) {
    const wilor_hands *h;
    for (int i = 0; i < b->s.crops; i += 2) {
        int n = b->s.crops - i < 2 ? 1 : 2;
        wilor_status st = wilor_run(session, b->crops + (size_t)i * CROP_FLOATS, n, &h, err);
        if (st != WILOR_OK)
            return st;
        size_t each = (size_t)h->vertices * 3;
        if (!*out)
            *out = malloc((size_t)b->s.crops * each * sizeof **out);
        if (!*out || (b->vertices && b->vertices != h->vertices)) {
            snprintf(err->text, sizeof err->text, "%s",
                     *out ? "the reference has another hand" : "out of memory");
            return WILOR_ERR_ARG;
        }
        b->vertices = h->vertices;
        memcpy(*out + (size_t)i * each, h->vertices_3d, (size_t)n * each * sizeof **out);
    }
    return WILOR_OK;
}

static wilor_status run(bench *b, const row *r, float **out, double *each_ms,
                        wilor_error *err) {
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_model_options mo;
    wilor_session_options so;
    wilor_model_info info;
    wilor_status st = r->converted ? convert(b, err) : WILOR_OK;
    wilor_model_options_init(&mo, sizeof mo);
    wilor_session_options_init(&so, sizeof so);
    mo.weights = r->converted ? b->packed : b->s.weights;
    mo.mano = b->s.mano;
    mo.heads = b->s.heads;
    mo.dtype = r->dtype;
    mo.threads = so.threads = b->s.threads;
    mo.max_isa = b->s.isa;
    if (st == WILOR_OK)
        st = wilor_model_open(&model, &mo, err);
    if (st == WILOR_OK)
        st = wilor_session_create(&session, model, &so, err);
    double start = seconds();
    if (st == WILOR_OK)
        st = run_crops(b, session, out, err);
    *each_ms = 1e3 * (seconds() - start) / b->s.crops;
    if (st == WILOR_OK) {
        wilor_model_get_info(model, &info, sizeof info);
        b->isa = info.isa;
        b->width = info.width;
    }
    wilor_session_free(&session);
    wilor_model_free(&model);
    return st;
}

/* ---------------------------------------------------------------- comparing */

typedef struct distances {
    double median, p99, most;
} distances;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the vertices of the first n crops, millimetres. */
static distances compare(bench *b, const float *from, const float *to, int n) {
    size_t count = (size_t)n * (size_t)b->vertices;
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (size_t k = 0; k < 3; k++)
            sum += pow((double)from[i * 3 + k] - (double)to[i * 3 + k], 2);
        b->mm[i] = isfinite(sum) ? 1e3 * sqrt(sum) : INFINITY;
    }
    qsort(b->mm, count, sizeof *b->mm, by_value);
    return (distances){b->mm[count / 2], b->mm[(99 * count + 99) / 100 - 1], b->mm[count - 1]};
}

static void show_json(const bench *b, const row *r, const char *from, int crops,
                      const distances *d, double each_ms) {
    const wilor_bench_peak none = {"", 0, 0};
    if (!b->shown)
        wilor_bench_print_head(b->isa, b->s.threads, &none);
    printf("%s{\"what\":\"accuracy\",\"dtype\":\"%s\",\"weights\":\"%s\",\"from\":\"%s\","
           "\"crops\":%d,\"median_mm\":%.4g,\"p99_mm\":%.4g,\"max_mm\":%.4g,\"ms\":%.2f}",
           b->shown ? ",\n  " : "", r->name, b->s.weights, from, crops, d->median, d->p99,
           d->most, each_ms);
}

static void show(bench *b, const row *r, const char *from, int crops, const distances *d,
                 double each_ms) {
    if (b->s.json) {
        show_json(b, r, from, crops, d, each_ms);
    } else {
        if (!b->shown)
            printf("%s, %s, %d threads, %s: distance of vertices, mm\n%-10s %-8s %6s %10s %10s "
                   "%10s %10s\n",
                   b->s.weights, wilor_isa_name(b->isa), b->s.threads, wilor_build_info(),
                   "type", "from", "crops", "median", "p99", "largest", "ms a crop");
        printf("%-10s %-8s %6d %10.3g %10.3g %10.3g %10.1f\n", r->name, from, crops, d->median,
               d->p99, d->most, each_ms);
    }
    b->shown++;
    fflush(stdout);
}

static int is_wanted(const bench *b, const char *name) {
    size_t length = strlen(name);
    for (const char *at = b->s.only; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == 0))
            return 1;
    return b->s.only == NULL;
}

/* One arithmetic; false: it failed, and not because it is missing here. */
static int run_row(bench *b, const row *r) {
    wilor_error err;
    double each;
    wilor_status st = run(b, r, &b->other, &each, &err);
    if (st != WILOR_OK) {
        fprintf(stderr, "%s: %s\n", r->name, err.text);
        return st == WILOR_ERR_UNSUPPORTED;
    }
    distances d = compare(b, b->other, b->f32, b->s.crops);
    show(b, r, "f32", b->s.crops, &d, each);
    if (b->given) {
        d = compare(b, b->other, b->f64, b->given);
        show(b, r, "float64", b->given, &d, each);
    }
    return 1;
}

/* The first row is the oracle and has to run; others may be missing here. Returns an exit status. */
static int run_rows(bench *b) {
    wilor_error err;
    double each;
    if (run(b, &g_rows[0], &b->f32, &each, &err) != WILOR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    b->mm = malloc((size_t)b->s.crops * (size_t)b->vertices * sizeof *b->mm);
    if (!b->mm)
        return 1;
    if (b->given) {
        distances d = compare(b, b->f32, b->f64, b->given);
        show(b, &g_rows[0], "float64", b->given, &d, each);
    }
    int good = 1;
    for (int i = 1; i < ROWS && good; i++)
        if (is_wanted(b, g_rows[i].name))
            good = run_row(b, &g_rows[i]);
    if (b->s.json && b->shown)
        printf("]}\n");
    return !good;
}

/* ---------------------------------------------------------------- settings */

static int are_known(const char *only) {
    char list[256];
    if (!only)
        return 1;
    snprintf(list, sizeof list, "%s", only);
    for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        int known = 0;
        for (int i = 1; i < ROWS; i++)
            known |= strcmp(word, g_rows[i].name) == 0;
        if (!known)
            return 0;
    }
    return 1;
}

static int read_settings(settings *s, int argc, char **argv) {
    *s = (settings){.weights = "random:full", .mano = WILOR_BENCH_HAND, .crops = 32};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--json") == 0) {
            s->json = 1;
            continue;
        }
        if (strcmp(argv[i], "--weights") == 0)
            s->weights = value;
        else if (strcmp(argv[i], "--mano") == 0)
            s->mano = value;
        else if (strcmp(argv[i], "--only") == 0)
            s->only = value;
        else if (strcmp(argv[i], "--reference") == 0)
            s->reference = value;
        else if (strcmp(argv[i], "--heads") == 0)
            s->heads = atoi(value);
        else if (strcmp(argv[i], "--crops") == 0)
            s->crops = atoi(value);
        else if (strcmp(argv[i], "--threads") == 0)
            s->threads = atoi(value);
        else if (strcmp(argv[i], "--isa") == 0)
            s->isa = wilor_bench_isa(value, s->isa);
        else
            return 0;
        i++;
    }
    s->threads = s->threads > 0 ? s->threads : wilor_threads_default();
    return s->crops >= (s->reference ? 0 : 1) && s->crops <= MOST_CROPS && are_known(s->only);
}

int main(int argc, char **argv) {
    bench b = {0};
    if (!read_settings(&b.s, argc, argv)) {
        fprintf(stderr, "usage: see the head of bench/bench_accuracy.c\n");
        return 2;
    }
    int status = make_crops(&b) ? run_rows(&b) : 1;
    if (b.packed[0])
        remove(b.packed);
    free(b.crops);
    free(b.f64);
    free(b.f32);
    free(b.other);
    free(b.mm);
    return status;
}
