/* The detector's references: JSON, pictures, and going through all of their runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "detector_golden.h"
#include "golden.h"
#include "heap.h"
#include "sha256.h"
#include <stdio.h>
#include <string.h>

enum { MOST_PICTURES = 64 };

json_t *detector_json(const char *path) {
    json_error_t err;
    json_t *root = json_load_file(path, 0, &err);
    if (!root)
        fail_msg("%s: %s", path, err.text);
    return root;
}

json_t *detector_get(json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (!value)
        fail_msg("the reference has no '%s'", key);
    return value;
}

const char *detector_text(json_t *object, const char *key) {
    const char *text = json_string_value(detector_get(object, key));
    if (!text)
        fail_msg("the reference's '%s' is no text", key);
    return text;
}

/* Returns where the next number goes. */
static float *fill(json_t *value, float *out, const float *end) {
    size_t i;
    json_t *v;
    if (json_is_array(value)) {
        json_array_foreach(value, i, v) out = fill(v, out, end);
        return out;
    }
    if (!json_is_number(value) || out == end)
        fail_msg("a reference's list of numbers is too long, or holds something else");
    *out = (float)json_number_value(value);
    return out + 1;
}

void detector_floats(json_t *array, float *out, size_t count) {
    if (fill(array, out, out + count) != out + count)
        fail_msg("a reference's list holds less than %zu numbers", count);
}

void detector_expect_hash(const char *what, const void *data, size_t bytes, const char *hex) {
    char got[65];
    sha256_hex(data, bytes, got);
    if (strcmp(got, hex) != 0)
        fail_msg("%s: other bytes than the reference's: %.16s…, not %.16s…", what, got, hex);
}

/* ---------------------------------------------------------------- pictures */

static bool has_pixels(const wilor_image *image, const char *bgr_sha256) {
    size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    uint8_t *bgr = wilor_heap_alloc(bytes, 1);
    char hex[65];
    assert_non_null(bgr);
    for (size_t i = 0; i < bytes; i++)
        bgr[i] = image->data[i - i % 3 + 2 - i % 3];
    sha256_hex(bgr, bytes, hex);
    wilor_heap_free(bgr);
    return strcmp(hex, bgr_sha256) == 0;
}

bool detector_picture(const char *folder, json_t *entry, wilor_image *out) {
    wilor_error err;
    char path[1024];
    const char *file = detector_text(entry, "file");
    bool photo = json_object_get(entry, "not_stored") != NULL;
    if (photo)
        snprintf(path, sizeof path, "%s/photos/%s", WILOR_TEST_FIXTURES, file);
    else
        snprintf(path, sizeof path, "%s/frames/%s", folder, file);
    if (photo && !golden_exists(path))
        return false;
    if (wilor_image_read(out, path, 0, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    if (has_pixels(out, detector_text(entry, "bgr_sha256")))
        return true;
    wilor_image_free(out);
    if (!photo)
        fail_msg("%s has other pixels than the reference saw", path);
    printf("%s: decoded to other pixels here, left out\n", file);
    return false;
}

/* ---------------------------------------------------------------- runs */

typedef struct pictures {
    wilor_image images[MOST_PICTURES];
    json_t *entries; /* the reference's "single" */
    bool there[MOST_PICTURES];
} pictures;

/* A batch's picture; some are turned upside down. */
static wilor_picture picture_of(const pictures *p, json_t *entry) {
    const char *file = detector_text(entry, "file");
    wilor_picture view = {0};
    size_t i;
    json_t *single;
    json_array_foreach(p->entries, i, single) {
        if (p->there[i] && strcmp(detector_text(single, "file"), file) == 0)
            view = wilor_image_view(&p->images[i]);
    }
    if (!view.data)
        fail_msg("the batch's %s is not among the single pictures", file);
    if (json_is_true(json_object_get(entry, "upside_down"))) {
        view.data += view.stride * (view.height - 1);
        view.stride = -view.stride;
    }
    return view;
}

static void read_head(detector_run *r, json_t *of) {
    float shape[4];
    detector_floats(detector_get(of, "input_shape"), shape, 4);
    for (int i = 0; i < 4; i++)
        r->shape[i] = (int)shape[i];
    r->imgsz = (int)json_integer_value(detector_get(of, "imgsz"));
    r->conf = json_number_value(detector_get(of, "conf"));
    r->input = of;
}

static int each_single(pictures *p, void (*one)(const detector_run *, void *), void *context) {
    size_t i, k;
    json_t *entry, *of;
    int runs = 0;
    json_array_foreach(p->entries, i, entry) {
        json_array_foreach(detector_get(entry, "runs"), k, of) {
            detector_run r = {.file = detector_text(entry, "file"),
                              .kind = "single",
                              .count = 1,
                              .entry = of};
            read_head(&r, of);
            if (p->there[i]) {
                r.pictures[0] = wilor_image_view(&p->images[i]);
                one(&r, context);
                runs++;
            }
        }
    }
    return runs;
}

static int each_batch(const pictures *p, json_t *batches,
                      void (*one)(const detector_run *, void *), void *context) {
    size_t i, k;
    json_t *batch, *entry;
    int runs = 0;
    json_array_foreach(batches, i, batch) {
        json_t *entries = detector_get(batch, "images");
        detector_run r = {.kind = detector_text(batch, "kind"),
                          .count = (int)json_array_size(entries)};
        read_head(&r, batch);
        assert_in_range(r.count, 1, DETECTOR_BATCH);
        json_array_foreach(entries, k, entry) r.pictures[k] = picture_of(p, entry);
        json_array_foreach(entries, k, entry) {
            r.file = detector_text(entry, "file");
            r.which = (int)k;
            r.entry = entry;
            one(&r, context);
            runs++;
        }
    }
    return runs;
}

int detector_each_run(const char *folder, const char *name,
                      void (*one)(const detector_run *run, void *context), void *context) {
    static pictures p;
    json_t *root = detector_json(golden_path(folder, name)), *entry;
    size_t i;
    p = (pictures){.entries = detector_get(root, "single")};
    assert_true(json_array_size(p.entries) <= MOST_PICTURES);
    json_array_foreach(p.entries, i, entry) p.there[i] =
        detector_picture(folder, entry, &p.images[i]);
    int runs = each_single(&p, one, context);
    runs += each_batch(&p, detector_get(root, "batch"), one, context);
    for (i = 0; i < MOST_PICTURES; i++)
        wilor_image_free(&p.images[i]);
    json_decref(root);
    return runs;
}
