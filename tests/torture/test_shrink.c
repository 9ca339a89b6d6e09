/* Files that are cut short while they are read: WILOR_ERR_IO, not a signal, at every single read.
 *
 * test_shrink MODEL PICTURE FOLDER: a model as safetensors, a picture, and where copies may lie.
 * The model is tried as it is, which is read whole, and with a hole behind its last tensor that
 * makes it large enough to be mapped. Every read of the library is a pread, which the linker's
 * --wrap hands to us. What is not tried is a cut while the
 * header of a large file is parsed through its mapping: docs/gates.md. */
#include "file_map.h"
#include "wilor/wilor_io.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { CUT_TO = 100, MOST = 20000 };

ssize_t __real_pread(int fd, void *dst, size_t bytes, off_t at);
ssize_t __wrap_pread(int fd, void *dst, size_t bytes, off_t at);

/* What happens at read g_at: nothing; the file is cut, from right after the read before on, so that
 * bytes touched in between are gone, too; this read alone finds the end; it alone fails; all reads
 * bring half of what was asked. */
typedef enum mode { NOTHING, CUT, END, ERROR, SHORT, MODES } mode;

static const char *const MODE_NAMES[MODES] = {"undisturbed", "cut", "ended", "failing",
                                              "short"};

typedef struct bytes {
    char *data;
    size_t size;
} bytes;

static char g_path[4096];
static mode g_mode;
static long g_at, g_reads;
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static int g_failures;

static void cut(void) {
    if (truncate(g_path, CUT_TO) != 0)
        exit(1);
}

ssize_t __wrap_pread(int fd, void *dst, size_t count, off_t at) {
    pthread_mutex_lock(&g_lock);
    long n = g_reads++;
    ssize_t done = -1;
    if (g_mode == CUT && g_at == 0 && n == 0)
        cut();
    if (g_mode == END && n == g_at)
        done = 0;
    else if (g_mode == ERROR && n == g_at)
        errno = EIO;
    else
        done = __real_pread(fd, dst, g_mode == SHORT && count > 7 ? count / 2 : count, at);
    if (g_mode == CUT && n + 1 == g_at)
        cut();
    pthread_mutex_unlock(&g_lock);
    return done;
}

static void fail(const char *what, wilor_status st, const char *text) {
    printf("not ok: %s, %s at read %ld: status %d (%s)\n", what, MODE_NAMES[g_mode], g_at,
           (int)st, text);
    g_failures++;
}

static bytes slurp(const char *path) {
    bytes b = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        exit(1);
    b.size = (size_t)ftell(f);
    b.data = malloc(b.size);
    rewind(f);
    if (!b.data || fread(b.data, 1, b.size, f) != b.size)
        exit(1);
    fclose(f);
    return b;
}

/* The file from scratch, with zeros up to `size`. */
static void spill(const bytes *b, size_t size) {
    FILE *f = fopen(g_path, "wb");
    if (!f || fwrite(b->data, 1, b->size, f) != b->size || fclose(f) != 0 ||
        truncate(g_path, (off_t)size) != 0)
        exit(1);
}

/* The same safetensors file with one more entry in its header, whose data is all that follows. */
static bytes with_hole(const bytes *from, size_t hole) {
    enum { ROOM = 160 };

    bytes b = {malloc(from->size + ROOM), 0};
    size_t header = 0;
    if (!b.data)
        exit(1);
    for (int i = 7; i >= 0; i--)
        header = header << 8 | (unsigned char)from->data[i];
    const char *body = from->data + 8 + header;
    size_t body_size = from->size - 8 - header, text = header;
    while (from->data[8 + text - 1] != '}')
        text--;
    memcpy(b.data + 8, from->data + 8, text - 1);
    text += (size_t)snprintf(b.data + 8 + text - 1, ROOM,
                             ",\"hole\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":"
                             "[%zu,%zu]}}",
                             hole, body_size, body_size + hole) -
            1;
    while (text % 8)
        b.data[8 + text++] = ' ';
    for (int i = 0; i < 8; i++)
        b.data[i] = (char)(text >> (8 * i) & 255);
    memcpy(b.data + 8 + text, body, body_size);
    b.size = 8 + text + body_size;
    return b;
}

static wilor_status load(wilor_error *err) {
    wilor_model *model = NULL;
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = g_path;
    o.threads = 3;
    wilor_status st = wilor_model_open(&model, &o, err);
    wilor_model_free(&model);
    return st;
}

/* As `wilor info` and --betas: every tensor that has numbers. */
static wilor_status read_tensors(wilor_error *err) {
    wilor_file *file = NULL;
    wilor_tensor_info t;
    static float values[1 << 20];
    wilor_status st = wilor_file_open(&file, g_path, err);
    for (size_t i = 0; st == WILOR_OK && i < wilor_file_count(file); i++) {
        st = wilor_file_tensor(file, i, &t);
        size_t count = 1;
        for (int k = 0; k < t.rank; k++)
            count *= (size_t)t.shape[k];
        if (st == WILOR_OK && count <= sizeof values / sizeof *values)
            st = wilor_file_read(file, i, values, count, err);
    }
    wilor_file_close(&file);
    return st;
}

static wilor_status read_picture(wilor_error *err) {
    wilor_image image = {0};
    wilor_status st = wilor_image_read(&image, g_path, 0, err);
    wilor_image_free(&image);
    return st;
}

static void attempt(const char *what, wilor_status (*run)(wilor_error *err), mode m, long at) {
    wilor_error err = {WILOR_OK, ""};
    bool good = m == NOTHING || m == SHORT;
    const char *text = m == ERROR ? "cannot be read: " : "became shorter while it was read";
    g_mode = m;
    g_at = at;
    g_reads = 0;
    wilor_status st = run(&err);
    if (st != (good ? WILOR_OK : WILOR_ERR_IO) || (!good && !strstr(err.text, text)) ||
        strchr(err.text, '\n'))
        fail(what, st, err.text);
}

static void shrink(const char *what, wilor_status (*run)(wilor_error *err), const bytes *b,
                   size_t size, long least) {
    spill(b, size);
    attempt(what, run, NOTHING, 0);
    long reads = g_reads;
    if (reads < least || reads > MOST)
        fail(what, WILOR_OK, "another number of reads was expected");
    attempt(what, run, SHORT, 0);
    for (long at = 0; at < reads && g_failures < 10; at++) {
        attempt(what, run, END, at);
        attempt(what, run, ERROR, at);
        attempt(what, run, CUT, at);
        spill(b, size);
    }
    printf("%s: %ld reads, each disturbed in %d ways\n", what, reads, MODES - 1);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    const size_t hole = WILOR_FILE_WHOLE;
    snprintf(g_path, sizeof g_path, "%s/shrink", argv[3]);
    bytes model = slurp(argv[1]), picture = slurp(argv[2]), large = with_hole(&model, hole);
    shrink("a picture", read_picture, &picture, picture.size, 1);
    shrink("a model that is read whole", load, &model, model.size, 1);
    shrink("a model that is mapped", load, &large, large.size + hole, 100);
    shrink("tensors of a mapped file", read_tensors, &large, large.size + hole, 80);
    remove(g_path);
    free(model.data);
    free(picture.data);
    free(large.data);
    printf(g_failures ? "FAILED: %d\n" : "passed\n", g_failures);
    return g_failures != 0;
}
