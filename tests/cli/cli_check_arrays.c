/* Checks of the npz and OBJ files. */
#include "cli_check.h"

#include "crc32.h"
#include "file_map.h"
#include "heap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Largest |a - b| over max(1, largest |b|); infinity when one has a NaN and the other not. */
static double difference(const float *a, const float *b, size_t count) {
    double worst = 0, scale = 1;
    for (size_t i = 0; i < count; i++) {
        double x = (double)a[i], y = (double)b[i];
        if (isnan(x) != isnan(y))
            return INFINITY;
        if (isnan(x))
            continue;
        worst = fmax(worst, fabs(x - y));
        scale = fmax(scale, fabs(y));
    }
    return worst / scale;
}

int check_same(const char *a, const char *b, double tolerance) {
    wilor_index *left = check_open(a), *right = check_open(b);
    int bad = wilor_index_count(left) != wilor_index_count(right);
    if (bad)
        check_fail("%s and %s have not the same arrays", a, b);
    for (size_t i = 0; !bad && i < wilor_index_count(left); i++) {
        const char *name = wilor_index_at(left, i)->name;
        size_t n, m;
        float *x = check_values(left, name, &n), *y = check_values(right, name, &m);
        double d = n != m || !x != !y ? INFINITY : x ? difference(x, y, n) : 0;
        if (!(d <= tolerance))
            bad = check_fail("%s differs by %g (allowed %g)", name, d, tolerance);
        wilor_heap_free(x);
        wilor_heap_free(y);
    }
    wilor_index_close(&left);
    wilor_index_close(&right);
    return bad;
}

int check_print(const char *npz, const char *name) {
    wilor_index *index = check_open(npz);
    size_t count;
    float *values = check_values(index, name, &count);
    for (size_t i = 0; i < count; i++)
        printf("%s%.9g", i ? " " : "", (double)values[i]);
    putchar('\n');
    wilor_heap_free(values);
    wilor_index_close(&index);
    return values == NULL;
}

/* ---------------------------------------------------------------- zip */

static uint32_t little(const uint8_t *p, int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << 8 * i;
    return value;
}

/* The members one after the other from the file's front, as a reader of a stream sees them:
 * numpy and our reader go by the directory at the end. No member of these tests is large enough
 * for zip64. */
int check_zip(const char *path) {
    enum { LOCAL = 30 };

    wilor_file_map map;
    wilor_error err;
    size_t at = 0, members = 0;
    int bad = 0;
    if (wilor_file_map_open(&map, path, &err) != WILOR_OK)
        return check_fail("%s", err.text);
    while (!bad && at + LOCAL <= map.size && little(map.data + at, 4) == 0x04034B50) {
        const uint8_t *p = map.data + at;
        size_t size = little(p + 18, 4),
               begin = at + LOCAL + little(p + 26, 2) + little(p + 28, 2);
        if (little(p + 8, 2) != 0 || little(p + 22, 4) != size || begin + size > map.size)
            bad = check_fail("%s: member %zu is not stored, or cut", path, members);
        else if (wilor_crc32(map.data + begin, size) != little(p + 14, 4))
            bad = check_fail("%s: member %zu has another CRC than its header says", path,
                             members);
        at = begin + size;
        members++;
    }
    if (!bad && (members < 10 || at + 4 > map.size || little(map.data + at, 4) != 0x02014B50))
        bad = check_fail("%s: no directory behind its %zu members", path, members);
    wilor_file_map_close(&map);
    return bad;
}

int check_palm(const char *npz, double palm) {
    wilor_index *index = check_open(npz);
    size_t count;
    int bad = 0;
    float *points = check_values(index, "pred_keypoints_3d", &count);
    for (size_t i = 0; i + 63 <= count; i += 63) {
        double sum = 0;
        for (size_t k = 0; k < 3; k++)
            sum += pow((double)points[i + 9 * 3 + k] - (double)points[i + k], 2);
        if (fabs(sqrt(sum) - palm) > 1e-6)
            bad = check_fail("hand %zu: wrist to middle knuckle is %g m", i / 63, sqrt(sum));
    }
    wilor_heap_free(points);
    wilor_index_close(&index);
    return bad || count == 0;
}

/* ---------------------------------------------------------------- OBJ */

static int compare_vertex(const char *line, size_t i, const float *vertices,
                          const float *shift) {
    double p[3];
    if (sscanf(line, "v %lf %lf %lf", &p[0], &p[1], &p[2]) != 3)
        return check_fail("vertex %zu is not three numbers", i);
    for (size_t k = 0; k < 3; k++) {
        double want = (double)vertices[3 * i + k] + (double)shift[k];
        if (fabs(p[k] - want) > 1e-8 * fmax(1, fabs(want)))
            return check_fail("vertex %zu is off by %g", i, p[k] - want);
    }
    return 0;
}

/* The triangle's corners in the npz's order (the right hand's), or reversed for a left hand;
 * which corner comes first does not matter. */
static int compare_face(const char *line, size_t i, const float *faces, bool right) {
    long f[3], w[3];
    if (sscanf(line, "f %ld %ld %ld", &f[0], &f[1], &f[2]) != 3)
        return check_fail("face %zu is not three numbers", i);
    for (size_t k = 0; k < 3; k++)
        w[k] = (long)faces[3 * i + (right ? k : 2 - k)] + 1;
    for (size_t turn = 0; turn < 3; turn++)
        if (f[0] == w[turn] && f[1] == w[(turn + 1) % 3] && f[2] == w[(turn + 2) % 3])
            return 0;
    return check_fail("face %zu is wound otherwise", i);
}

int check_obj(const char *obj, const char *npz, size_t hand) {
    wilor_index *index = check_open(npz);
    size_t n_vertices, n_faces, n_shift, n_right, v = 0, f = 0;
    float *vertices = check_values(index, "pred_vertices", &n_vertices);
    float *faces = check_values(index, "faces", &n_faces);
    float *shift = check_values(index, "pred_cam_t_full", &n_shift);
    float *right = check_values(index, "is_right", &n_right);
    FILE *file = fopen(obj, "r");
    char line[256];
    if (!vertices || !faces || !shift || !right || hand >= n_right || !file)
        return check_fail("%s or %s lacks something", obj, npz);
    size_t per_hand = n_vertices / n_right / 3;
    int bad = 0;
    while (!bad && fgets(line, sizeof line, file)) {
        if (line[0] == 'v' && v < per_hand)
            bad = compare_vertex(line, v++, vertices + hand * per_hand * 3, shift + 3 * hand);
        else if (line[0] == 'f' && f < n_faces / 3)
            bad = compare_face(line, f++, faces, right[hand] != 0);
        else if (line[0] != '#')
            bad = check_fail("%s has a line too many: %s", obj, line);
    }
    fclose(file);
    if (!bad && (v != per_hand || f != n_faces / 3))
        bad = check_fail("%s has %zu vertices and %zu faces", obj, v, f);
    wilor_heap_free(vertices);
    wilor_heap_free(faces);
    wilor_heap_free(shift);
    wilor_heap_free(right);
    wilor_index_close(&index);
    return bad;
}

/* ---------------------------------------------------------------- upstream */

/* Upstream's raw outputs are the network's; a left hand is mirrored back here: the x of points
 * and of the camera, y and z of rotation vectors. */
static void mirror_back(const char *name, float *values, size_t count, const float *is_right,
                        size_t hands) {
    bool vector = !strcmp(name, "global_orient") || !strcmp(name, "hand_pose");
    bool point = !strcmp(name, "pred_keypoints_3d") || !strcmp(name, "pred_vertices");
    bool camera = !strcmp(name, "pred_cam");
    size_t width = count / hands;
    for (size_t i = 0; i < count; i++) {
        size_t axis = i % width % 3;
        bool flip = (point && axis == 0) || (vector && axis != 0) || (camera && axis == 1);
        if (flip && is_right[i / width] == 0)
            values[i] = -values[i];
    }
}

static int compare_array(const wilor_index *got, const wilor_index *want, const char *prefix,
                         const char *name, double tolerance, const float *is_right,
                         size_t hands) {
    char full[64];
    size_t n, m;
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    if (!wilor_index_find(want, full))
        return 0;
    float *a = check_values(got, name, &n), *b = check_values(want, full, &m);
    if (!a || !b || n != m)
        return check_fail("%s: %zu numbers, upstream has %zu", name, n, m);
    if (strcmp(prefix, "out") != 0)
        mirror_back(name, b, m, is_right, hands);
    double scale = 1;
    for (size_t i = 0; i < m; i++)
        scale = fmax(scale, fabs((double)b[i]));
    bool absolute = strstr(name, "keypoints") || strstr(name, "vertices");
    double d = difference(a, b, n) * (absolute ? scale : 1);
    printf("# %-7s %-20s %.2e (allowed %.0e)\n", prefix, name, d, tolerance);
    wilor_heap_free(a);
    wilor_heap_free(b);
    return d <= tolerance ? 0 : check_fail("%s differs by %g (allowed %g)", full, d, tolerance);
}

/* Points in metres and pixels absolutely, the rest relative to the largest number. */
int check_reference(const char *npz, const char *reference, const char *warp) {
    static const struct {
        const char *name;
        double tolerance;
    } arrays[] = {
        {"pred_keypoints_3d", 1e-6}, {"pred_vertices", 1e-6},   {"pred_keypoints_2d", 0.01},
        {"pred_cam", 1e-5},          {"pred_cam_t_full", 1e-5}, {"scaled_focal_length", 1e-6},
        {"global_orient", 1e-5},     {"hand_pose", 1e-5},       {"betas", 1e-5}};

    wilor_index *got = check_open(npz), *want = check_open(reference);
    bool cv5 = !strcmp(warp, "cv5");
    size_t hands, count;
    float *is_right = check_values(want, "is_right", &hands);
    float *side = check_values(got, "is_right", &count);
    int bad = 0;
    if (!is_right || !side || count != hands || difference(side, is_right, hands) != 0)
        return check_fail("%s: other hands than upstream's", npz);
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        if (cv5)
            bad |= compare_array(got, want, "out", arrays[i].name, arrays[i].tolerance,
                                 is_right, hands);
        bad |= compare_array(got, want, cv5 ? "raw" : "raw_cv4", arrays[i].name,
                             arrays[i].tolerance, is_right, hands);
    }
    wilor_heap_free(is_right);
    wilor_heap_free(side);
    wilor_index_close(&got);
    wilor_index_close(&want);
    return bad;
}
