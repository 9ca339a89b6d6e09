/* Checks of JSON: that it is strict JSON, that events have section 2's fields with the right
 * number of entries, that they hold the numbers of the npz of the same run. */
#include "cli_check.h"

#include "heap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int check_json(const char *path) {
    json_error_t e;
    json_t *value = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    if (!value)
        return check_fail("%s: line %d: %s", path, e.line, e.text);
    json_decref(value);
    return 0;
}

/* All events of a file, as an array: one object, one array, or NDJSON. NULL after saying why. */
static json_t *load_events(const char *path) {
    json_error_t e;
    json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_array(all))
        return all;
    json_decref(all);
    FILE *file = fopen(path, "rb");
    all = json_array();
    while (file) {
        int c = getc(file);
        if (c == EOF)
            break;
        if (c == '\n')
            continue;
        ungetc(c, file);
        json_t *event = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &e);
        if (!event) {
            check_fail("%s: event %zu: %s", path, json_array_size(all), e.text);
            fclose(file);
            json_decref(all);
            return NULL;
        }
        json_array_append_new(all, event);
    }
    if (file)
        fclose(file);
    return all;
}

/* Whether value is `count` entries of `width` numbers each; width 0: of numbers. */
static bool is_table(const json_t *value, size_t count, size_t width) {
    if (json_array_size(value) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(value, i);
        if (width ? !is_table(entry, width, 0) : !json_is_number(entry))
            return false;
    }
    return true;
}

static double at(const json_t *rows, size_t row, size_t column) {
    return json_number_value(json_array_get(json_array_get(rows, row), column));
}

/* fit_px is the root mean square distance between the detector's points and ours, weighted by
 * visibility; points that the detector blanked are left out. */
static int check_fit(const json_t *hand) {
    const json_t *seen = json_object_get(hand, "kp2d_det"),
                 *ours = json_object_get(hand, "kp2d");
    double sum = 0, weight = 0;
    for (size_t i = 0; i < json_array_size(seen); i++) {
        double dx = at(seen, i, 0) - at(ours, i, 0), dy = at(seen, i, 1) - at(ours, i, 1);
        if (at(seen, i, 2) < 0 || at(seen, i, 2) > 1)
            return check_fail("a visibility is %g", at(seen, i, 2));
        if (at(seen, i, 0) == 0 && at(seen, i, 1) == 0)
            continue;
        sum += at(seen, i, 2) * (dx * dx + dy * dy);
        weight += at(seen, i, 2);
    }
    double want = weight > 0 ? sqrt(sum / weight) : 0;
    double got = json_number_value(json_object_get(hand, "fit_px"));
    if (seen && fabs(got - want) > 1e-5 * want + 1e-9)
        return check_fail("fit_px is %.9g instead of %.9g", got, want);
    return 0;
}

static int check_hand(const json_t *hand, bool camera) {
    static const struct {
        const char *name;
        size_t count, width;
        bool camera;
    } tables[] = {
        {"box", 4, 0, true},      {"crop", 3, 0, true},        {"kp2d", 21, 2, true},
        {"cam_t", 3, 0, true},    {"kp3d", 21, 3, false},      {"pred_cam", 3, 0, false},
        {"angles", 15, 2, false}, {"vertices", 778, 3, false}, {"kp2d_det", 21, 3, false}};

    const char *side = json_string_value(json_object_get(hand, "side"));
    if (!side || (strcmp(side, "left") != 0 && strcmp(side, "right") != 0))
        return check_fail("a hand has no side");
    if (!json_is_number(json_object_get(hand, "conf")))
        return check_fail("a hand has no conf");
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const json_t *value = json_object_get(hand, tables[i].name);
        bool optional = i >= 6;
        if (!value && (optional || (tables[i].camera && !camera)))
            continue;
        if (!is_table(value, tables[i].count, tables[i].width))
            return check_fail("%s is not %zu x %zu numbers", tables[i].name, tables[i].count,
                              tables[i].width);
    }
    if (check_fit(hand))
        return 1;
    const json_t *xr = json_object_get(hand, "xr26");
    if (xr && json_array_size(xr) != 26)
        return check_fail("xr26 has %zu joints", json_array_size(xr));
    const json_t *q = json_object_get(json_object_get(hand, "wrist"), "q");
    double length = 0;
    for (size_t i = 0; i < json_array_size(q); i++)
        length += pow(json_number_value(json_array_get(q, i)), 2);
    if (camera && (fabs(length - 1) > 1e-5 || json_number_value(json_array_get(q, 3)) < 0))
        return check_fail("the wrist's quaternion is no unit quaternion with w >= 0");
    return 0;
}

static int check_event(const json_t *event) {
    static const char *const times[] = {"decode", "crop", "pose", "post", "total"};
    const char *type = json_string_value(json_object_get(event, "type"));
    const json_t *camera = json_object_get(event, "camera");
    const json_t *timing = json_object_get(event, "timing");
    if (json_integer_value(json_object_get(event, "v")) != 1 || !type ||
        strcmp(type, "hands") != 0)
        return check_fail("not an event of version 1 and type hands");
    if (!json_is_string(json_object_get(event, "source")))
        return check_fail("an event has no source");
    if (json_integer_value(json_object_get(json_object_get(event, "image"), "w")) < 1)
        return check_fail("an event has no image size");
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (!json_is_integer(json_object_get(timing, times[i])))
            return check_fail("timing.%s is no whole number", times[i]);
    if (camera && json_number_value(json_object_get(camera, "fx")) <= 0)
        return check_fail("the camera has no focal length");
    size_t i;
    json_t *hand;
    json_array_foreach(json_object_get(event, "hands"), i,
                       hand) if (check_hand(hand, camera != NULL)) return 1;
    return 0;
}

int check_events(const char *path, size_t events, size_t hands) {
    json_t *all = load_events(path), *event;
    size_t i, found = 0;
    if (!all)
        return 1;
    json_array_foreach(all, i, event) {
        if (check_event(event))
            return 1;
        found += json_array_size(json_object_get(event, "hands"));
    }
    if (json_array_size(all) != events || found != hands)
        return check_fail("%s: %zu events with %zu hands instead of %zu with %zu", path,
                          json_array_size(all), found, events, hands);
    json_decref(all);
    return 0;
}

/* ---------------------------------------------------------------- events and npz */

/* Compare JSON numbers, however nested, with `count` floats. Every float is written so that it
 * reads back as itself: no tolerance. */
static bool equal(const json_t *value, const float *want, size_t count, size_t *used) {
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!equal(json_array_get(value, i), want, count, used))
                return false;
        return true;
    }
    if (*used >= count || !json_is_number(value))
        return false;
    return (float)json_number_value(value) == want[(*used)++];
}

static int compare_hand(const json_t *hand, const json_t *camera, const wilor_index *npz,
                        size_t row) {
    static const char *const names[][2] = {{"conf", "score"},
                                           {"box", "bbox"},
                                           {"pred_cam", "pred_cam"},
                                           {"cam_t", "pred_cam_t_full"},
                                           {"kp3d", "pred_keypoints_3d"},
                                           {"kp2d", "pred_keypoints_2d"},
                                           {"vertices", "pred_vertices"},
                                           {"global_orient", "global_orient"},
                                           {"hand_pose", "hand_pose"},
                                           {"betas", "betas"},
                                           {"fx", "scaled_focal_length"},
                                           {"kp2d_det", "detected_keypoints"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *value = json_object_get(hand, names[i][0]);
        if (!value)
            value = json_object_get(json_object_get(hand, "mano"), names[i][0]);
        if (!value)
            value = json_object_get(camera, names[i][0]);
        size_t count, used = 0;
        float *all = check_values(npz, names[i][1], &count);
        if (!all && !value)
            continue;
        if (!all)
            return check_fail("the npz has no %s", names[i][1]);
        size_t width = count / (size_t)wilor_index_find(npz, names[i][1])->shape[0];
        bool same = !value || (equal(value, all + row * width, width, &used) && used == width);
        wilor_heap_free(all);
        if (!same)
            return check_fail("hand %zu: %s differs from the npz's %s", row, names[i][0],
                              names[i][1]);
    }
    return 0;
}

/* With --include det: the detector's points are there for the hands that it found. */
static int compare_found(const json_t *hand, const wilor_index *npz, size_t row) {
    size_t count;
    float *detected = check_values(npz, "detected", &count);
    bool found = detected && row < count && detected[row] != 0;
    bool camera = json_object_get(hand, "kp2d") != NULL;
    wilor_heap_free(detected);
    if (camera && found != (json_object_get(hand, "kp2d_det") != NULL))
        return check_fail("hand %zu: kp2d_det and the npz's detected disagree", row);
    return 0;
}

static uint32_t next_code(const unsigned char **s) {
    const unsigned char *b = *s;
    int n = b[0] < 0x80 ? 1 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    uint32_t c = n == 1 ? b[0] : b[0] & (0xFFu >> (n + 1));
    for (int i = 1; i < n; i++)
        c = c << 6 | (b[i] & 0x3Fu);
    *s += n;
    return c;
}

/* The path of picture i is the event's source: UCS-4, zeros behind it. */
static int compare_path(const wilor_index *npz, size_t i, const char *source) {
    const wilor_tensor *t = wilor_index_find(npz, "image_path");
    const unsigned char *s = (const unsigned char *)source;
    if (!t || i >= (size_t)t->shape[0])
        return check_fail("the npz has no path %zu", i);
    for (size_t k = 0; k < t->element / 4; k++) {
        uint32_t code;
        memcpy(&code, t->data + i * t->element + 4 * k, 4);
        if (code != (*s ? next_code(&s) : 0))
            return check_fail("path %zu differs from %s", i, source);
    }
    return *s ? check_fail("path %zu is cut: %s", i, source) : 0;
}

int check_agree(const char *events, const char *path) {
    wilor_index *npz = check_open(path);
    json_t *all = load_events(events), *event, *hand;
    size_t i, k, row = 0, count, rights;
    float *image = check_values(npz, "image", &count);
    float *is_right = check_values(npz, "is_right", &rights);
    if (!all || !image || !is_right || rights != count)
        return check_fail("%s: no arrays image and is_right of one length", path);
    json_array_foreach(all, i, event) {
        if (compare_path(npz, i, json_string_value(json_object_get(event, "source"))))
            return 1;
        json_array_foreach(json_object_get(event, "hands"), k, hand) {
            bool right = !strcmp(json_string_value(json_object_get(hand, "side")), "right");
            if (row >= count || image[row] != (float)i ||
                is_right[row] != (right ? 1.0f : 0.0f))
                return check_fail("hand %zu: other picture or side in the npz", row);
            if (compare_found(hand, npz, row) ||
                compare_hand(hand, json_object_get(event, "camera"), npz, row++))
                return 1;
        }
    }
    if (row != count || !wilor_index_find(npz, "faces"))
        return check_fail("%s: %zu hands instead of %zu, or no faces", path, count, row);
    json_decref(all);
    wilor_heap_free(image);
    wilor_heap_free(is_right);
    wilor_index_close(&npz);
    return 0;
}

int check_boxes(const char *boxes, const char *photo) {
    json_t *all = json_load_file(boxes, 0, NULL), *entry, *hand;
    size_t i, k;
    json_array_foreach(json_object_get(all, "photos"), i, entry) {
        if (strcmp(json_string_value(json_object_get(entry, "file")), photo) != 0)
            continue;
        json_array_foreach(json_object_get(entry, "hands"), k, hand) {
            for (size_t n = 0; n < 4; n++)
                printf("%.17g,",
                       json_number_value(json_array_get(json_object_get(hand, "box"), n)));
            puts(json_integer_value(json_object_get(hand, "is_right")) ? "right" : "left");
        }
    }
    json_decref(all);
    return 0;
}
