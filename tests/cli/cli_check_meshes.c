/* Checks of OBJ and glTF meshes against the npz of the same run.
 *
 * What a writer can get wrong without anyone seeing it in numbers is checked by geometry, not
 * by the winding that the model says: with the open wrist closed by a fan, a surface that faces
 * outwards encloses a positive volume, and that volume is of a hand's size only when the unit
 * is the metre. The glTF file is read from its specification, sizes and offsets first. */
#include "cli_check.h"

#include "file_map.h"
#include "heap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct mesh {
    size_t vertices, faces;
    double *points; /* vertices × 3 */
    size_t *index;  /* faces × 3 */
} mesh;

static void *take(size_t count, size_t size) {
    void *memory = wilor_heap_alloc(count, size);
    if (!memory)
        exit(check_fail("out of memory"));
    return memory;
}

static void *zeros(size_t count, size_t size) {
    return memset(take(count, size), 0, count * size);
}

/* The hands of an npz, with points in the camera's frame. */
typedef struct truth {
    size_t hands, vertices, faces;
    float *points, *shift, *triangles, *right, *score, *focal;
} truth;

static truth open_truth(const char *npz) {
    wilor_index *index = check_open(npz);
    size_t n_points, n_faces, n;
    truth t = {0};
    t.points = check_values(index, "pred_vertices", &n_points);
    t.shift = check_values(index, "pred_cam_t_full", &n);
    t.triangles = check_values(index, "faces", &n_faces);
    t.right = check_values(index, "is_right", &t.hands);
    t.score = check_values(index, "score", &n);
    t.focal = check_values(index, "scaled_focal_length", &n);
    if (!t.points || !t.triangles || !t.right || t.hands == 0)
        exit(check_fail("%s lacks something", npz));
    t.vertices = n_points / t.hands / 3;
    t.faces = n_faces / 3;
    wilor_index_close(&index);
    return t;
}

static void close_truth(truth *t) {
    float *all[] = {t->points, t->shift, t->triangles, t->right, t->score, t->focal};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        wilor_heap_free(all[i]);
}

static void close_mesh(mesh *m) {
    wilor_heap_free(m->points);
    wilor_heap_free(m->index);
}

/* ---------------------------------------------------------------- geometry */

static double triple(const double *a, const double *b, const double *c) {
    return a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) +
           a[2] * (b[0] * c[1] - b[1] * c[0]);
}

/* The volume that the surface encloses after each open edge is joined with their middle;
 * positive when it faces outwards. NaN when two triangles pass an edge in the same direction:
 * they disagree on what is outside. */
static double closed_volume(const mesh *m) {
    size_t v = m->vertices, rim = 0;
    unsigned char *edge = zeros(v * v, 1);
    double middle[3] = {0, 0, 0}, volume = 0;
    for (size_t i = 0; i < 3 * m->faces; i++) {
        size_t a = m->index[i], b = m->index[i % 3 == 2 ? i - 2 : i + 1];
        if (edge[a * v + b]++)
            volume = NAN;
    }
    for (size_t i = 0; i < v * v; i++)
        if (edge[i] && !edge[i % v * v + i / v]) {
            for (size_t k = 0; k < 3; k++)
                middle[k] += m->points[3 * (i / v) + k];
            rim++;
        }
    for (size_t k = 0; rim > 0 && k < 3; k++)
        middle[k] /= (double)rim;
    for (size_t i = 0; i < m->faces; i++)
        volume += triple(m->points + 3 * m->index[3 * i], m->points + 3 * m->index[3 * i + 1],
                         m->points + 3 * m->index[3 * i + 2]);
    for (size_t i = 0; i < v * v; i++)
        if (edge[i] && !edge[i % v * v + i / v])
            volume += triple(m->points + 3 * (i % v), m->points + 3 * (i / v), middle);
    wilor_heap_free(edge);
    return volume / 6;
}

/* A grown hand takes some 0.3 litres; 0.05 … 1 holds for all and for no wrong unit. */
static int check_volume(const mesh *m, const char *what) {
    double litres = 1000 * closed_volume(m);
    if (isnan(litres))
        return check_fail("%s: neighbouring triangles are wound differently", what);
    if (litres < 0)
        return check_fail("%s: faces inwards (%.3f litres)", what, litres);
    if (litres < 0.05 || litres > 1)
        return check_fail("%s: a hand of %.3g litres", what, litres);
    return 0;
}

/* sign: the axes' factors that lead from the mesh to the camera's frame. */
static int compare_points(const mesh *m, const truth *t, size_t hand, const double *sign,
                          double tolerance, const char *what) {
    double low[2][3], high[2][3];
    for (size_t i = 0; i < m->vertices; i++)
        for (size_t k = 0; k < 3; k++) {
            double got = sign[k] * m->points[3 * i + k];
            double want = (double)t->points[3 * (hand * t->vertices + i) + k] +
                          (t->shift ? (double)t->shift[3 * hand + k] : 0);
            if (!(fabs(got - want) <= tolerance))
                return check_fail("%s: vertex %zu, axis %zu: %.9g, the npz has %.9g", what, i,
                                  k, got, want);
            low[0][k] = i ? fmin(low[0][k], got) : got;
            high[0][k] = i ? fmax(high[0][k], got) : got;
            low[1][k] = i ? fmin(low[1][k], want) : want;
            high[1][k] = i ? fmax(high[1][k], want) : want;
        }
    for (size_t k = 0; k < 3; k++)
        if (fabs(low[0][k] - low[1][k]) > tolerance ||
            fabs(high[0][k] - high[1][k]) > tolerance)
            return check_fail("%s: another bounding box", what);
    return 0;
}

/* Triangles in the npz's order, reversed for a left hand; the first corner does not matter. */
static int compare_faces(const mesh *m, const truth *t, size_t hand, const char *what) {
    for (size_t i = 0; i < t->faces; i++) {
        const size_t *f = m->index + 3 * i;
        size_t w[3], turn = 0;
        for (size_t k = 0; k < 3; k++)
            w[k] = (size_t)t->triangles[3 * i + (t->right[hand] != 0 ? k : 2 - k)];
        while (turn < 3 &&
               (f[0] != w[turn] || f[1] != w[(turn + 1) % 3] || f[2] != w[(turn + 2) % 3]))
            turn++;
        if (turn == 3)
            return check_fail("%s: triangle %zu is another, or wound otherwise", what, i);
    }
    return 0;
}

static int compare_mesh(const mesh *m, const truth *t, size_t hand, const double *sign,
                        double tolerance, const char *what) {
    if (m->vertices != t->vertices || m->faces != t->faces)
        return check_fail("%s: %zu vertices and %zu faces", what, m->vertices, m->faces);
    for (size_t i = 0; i < 3 * m->faces; i++)
        if (m->index[i] >= m->vertices)
            return check_fail("%s: an index is %zu", what, m->index[i]);
    int bad = compare_points(m, t, hand, sign, tolerance, what);
    if (!bad)
        bad = compare_faces(m, t, hand, what);
    return bad ? bad : check_volume(m, what);
}

/* ---------------------------------------------------------------- OBJ */

static mesh read_obj(const char *path) {
    enum { MOST = 10000 };

    mesh m = {.points = take(3 * MOST, sizeof *m.points),
              .index = take(3 * MOST, sizeof *m.index)};
    FILE *file = fopen(path, "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        double *p = m.points + 3 * m.vertices;
        size_t *f = m.index + 3 * m.faces;
        if (m.vertices < MOST && sscanf(line, "v %lf %lf %lf", p, p + 1, p + 2) == 3)
            m.vertices++;
        else if (m.faces < MOST && sscanf(line, "f %zu %zu %zu", f, f + 1, f + 2) == 3) {
            for (size_t k = 0; k < 3; k++)
                f[k]--; /* counted from 1; a 0 becomes too large */
            m.faces++;
        } else if (line[0] != '#')
            exit(check_fail("%s: what is %s", path, line));
    }
    if (file)
        fclose(file);
    return m;
}

int check_obj_mesh(const char *path, const char *npz, size_t hand) {
    static const double sign[3] = {1, 1, 1};
    truth t = open_truth(npz);
    mesh m = read_obj(path);
    int bad = hand >= t.hands ? check_fail("no hand %zu in %s", hand, npz)
                              : compare_mesh(&m, &t, hand, sign, 1e-7, path);
    close_mesh(&m);
    close_truth(&t);
    return bad;
}

/* ---------------------------------------------------------------- the glTF container */

typedef struct document {
    const char *path;
    json_t *json;
    uint8_t *buffer;
    size_t size;
} document;

static size_t word(const uint8_t *p) {
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static json_t *parse(const char *path, const char *text, size_t size) {
    json_error_t e;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &e);
    if (!json)
        exit(check_fail("%s: JSON, byte %d: %s", path, e.position, e.text));
    return json;
}

static void open_glb(document *d, const wilor_file_map *map) {
    const uint8_t *p = map->data;
    size_t length = map->size < 20 ? 0 : word(p + 12);
    if (map->size < 20 || memcmp(p, "glTF", 4) != 0 || word(p + 4) != 2 ||
        word(p + 8) != map->size || map->size % 4 || length % 4 || length > map->size - 20 ||
        memcmp(p + 16, "JSON", 4) != 0)
        exit(check_fail("%s: its header or JSON chunk is wrong", d->path));
    d->json = parse(d->path, (const char *)p + 20, length);
    size_t at = 20 + length;
    if (at == map->size)
        return;
    if (map->size - at < 8 || memcmp(p + at + 4, "BIN", 4) != 0 ||
        word(p + at) != map->size - at - 8)
        exit(check_fail("%s: its binary chunk is wrong", d->path));
    d->size = map->size - at - 8;
    d->buffer = take(d->size, 1);
    memcpy(d->buffer, p + at + 8, d->size);
}

static uint8_t *from_base64(const char *text, size_t *size) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);
    uint8_t *out = take(n / 4 * 3 + 3, 1);
    uint32_t bits = 0;
    *size = 0;
    for (size_t i = 0; i < n && text[i] != '='; i++) {
        const char *digit = strchr(digits, text[i]);
        if (!digit)
            exit(check_fail("'%c' in base64", text[i]));
        bits = bits << 6 | (uint32_t)(digit - digits);
        if (i % 4 > 0)
            out[(*size)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    if (n % 4)
        exit(check_fail("base64 of %zu digits", n));
    return out;
}

static json_t *at(const json_t *object, const char *list, json_int_t i) {
    json_t *entry = i < 0 ? NULL : json_array_get(json_object_get(object, list), (size_t)i);
    if (!entry)
        exit(check_fail("no entry %lld in %s", (long long)i, list));
    return entry;
}

static json_int_t whole(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        exit(check_fail("%s is missing or no whole number", key));
    return json_integer_value(value);
}

static void open_uri(document *d) {
    static const char head[] = "data:application/octet-stream;base64,";
    const char *uri = json_string_value(json_object_get(at(d->json, "buffers", 0), "uri"));
    if (!uri || strncmp(uri, head, sizeof head - 1) != 0)
        exit(check_fail("%s: its buffer is not in it", d->path));
    d->buffer = from_base64(uri + sizeof head - 1, &d->size);
}

static document open_document(const char *path) {
    document d = {.path = path};
    wilor_file_map map;
    wilor_error err;
    if (wilor_file_map_open(&map, path, &err) != WILOR_OK)
        exit(check_fail("%s", err.text));
    if (map.size > 0 && map.data[0] != '{') {
        open_glb(&d, &map);
    } else {
        d.json = parse(path, (const char *)map.data, map.size);
        if (json_object_get(d.json, "buffers"))
            open_uri(&d);
    }
    wilor_file_map_close(&map);
    const char *version =
        json_string_value(json_object_get(json_object_get(d.json, "asset"), "version"));
    if (!version || strcmp(version, "2.0") != 0)
        exit(check_fail("%s: not version 2.0", path));
    if (d.buffer && (size_t)whole(at(d.json, "buffers", 0), "byteLength") != d.size)
        exit(check_fail("%s: its buffer has another length than it says", path));
    return d;
}

static void close_document(document *d) {
    json_decref(d->json);
    wilor_heap_free(d->buffer);
}

/* Where an accessor's bytes are, after all that the specification asks of them. */
static const uint8_t *find(const document *d, json_int_t i, const char *type, int component,
                           size_t width, int target, size_t *count) {
    const json_t *a = at(d->json, "accessors", i);
    const json_t *view = at(d->json, "bufferViews", whole(a, "bufferView"));
    const char *is = json_string_value(json_object_get(a, "type"));
    const json_t *stride = json_object_get(view, "byteStride");
    size_t offset = (size_t)whole(a, "byteOffset"), begin = (size_t)whole(view, "byteOffset");
    size_t length = (size_t)whole(view, "byteLength");
    *count = (size_t)whole(a, "count");
    if (!is || strcmp(is, type) != 0 || whole(a, "componentType") != component ||
        whole(view, "target") != target || (stride && json_integer_value(stride) != 12))
        exit(check_fail("accessor %d is of another type", (int)i));
    if (begin > d->size || length > d->size - begin || offset > length || offset % 4 ||
        begin % 4 || *count == 0 || *count > (length - offset) / (4 * width))
        exit(check_fail("accessor %d reaches outside", (int)i));
    return d->buffer + begin + offset;
}

static double *read_vectors(const document *d, json_int_t i, size_t *count) {
    const uint8_t *bytes = find(d, i, "VEC3", 5126, 3, 34962, count);
    double *out = take(3 * *count, sizeof *out);
    for (size_t k = 0; k < 3 * *count; k++) {
        uint32_t bits = (uint32_t)word(bytes + 4 * k);
        float value;
        memcpy(&value, &bits, sizeof value);
        out[k] = (double)value;
    }
    return out;
}

/* ---------------------------------------------------------------- a hand of a glTF file */

/* min and max are the vertices' own, to the bit. */
static int check_bounds(const document *d, json_int_t accessor, const mesh *m) {
    const json_t *a = at(d->json, "accessors", accessor);
    for (size_t k = 0; k < 3; k++) {
        double low = m->points[k], high = m->points[k];
        for (size_t i = 0; i < m->vertices; i++) {
            low = fmin(low, m->points[3 * i + k]);
            high = fmax(high, m->points[3 * i + k]);
        }
        double says_low = json_number_value(json_array_get(json_object_get(a, "min"), k));
        double says_high = json_number_value(json_array_get(json_object_get(a, "max"), k));
        if ((float)says_low != (float)low || (float)says_high != (float)high)
            return check_fail("axis %zu lies in %g … %g, says %g … %g", k, low, high, says_low,
                              says_high);
    }
    return 0;
}

/* Each normal is of length 1 and points where the triangles around it do, larger ones more. */
static int check_normals(const mesh *m, const double *normals) {
    double *sums = zeros(3 * m->vertices, sizeof *sums);
    int bad = 0;
    for (size_t i = 0; i < m->faces; i++) {
        const size_t *f = m->index + 3 * i;
        for (size_t k = 0; k < 3; k++) {
            size_t u = (k + 1) % 3, w = (k + 2) % 3;
            const double *p = m->points;
            double n =
                (p[3 * f[1] + u] - p[3 * f[0] + u]) * (p[3 * f[2] + w] - p[3 * f[0] + w]) -
                (p[3 * f[1] + w] - p[3 * f[0] + w]) * (p[3 * f[2] + u] - p[3 * f[0] + u]);
            for (size_t corner = 0; corner < 3; corner++)
                sums[3 * f[corner] + k] += n;
        }
    }
    for (size_t i = 0; !bad && i < m->vertices; i++) {
        const double *n = normals + 3 * i, *s = sums + 3 * i;
        double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        double along = (n[0] * s[0] + n[1] * s[1] + n[2] * s[2]) /
                       sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);
        if (fabs(length - 1) > 1e-6 || !(along > 1 - 1e-6))
            bad = check_fail("normal %zu: length %g, cosine to its triangles %g", i, length,
                             along);
    }
    wilor_heap_free(sums);
    return bad;
}

static mesh read_primitive(const document *d, const json_t *primitive, double **normals) {
    const json_t *attributes = json_object_get(primitive, "attributes");
    size_t count, n_normals;
    mesh m = {0};
    m.points = read_vectors(d, whole(attributes, "POSITION"), &m.vertices);
    *normals = read_vectors(d, whole(attributes, "NORMAL"), &n_normals);
    const uint8_t *bytes =
        find(d, whole(primitive, "indices"), "SCALAR", 5125, 1, 34963, &count);
    if (n_normals != m.vertices || count % 3 != 0)
        exit(check_fail("%zu normals, %zu indices", n_normals, count));
    m.index = take(count, sizeof *m.index);
    m.faces = count / 3;
    for (size_t i = 0; i < count; i++)
        if ((m.index[i] = word(bytes + 4 * i)) >= m.vertices)
            exit(check_fail("index %zu is %zu", i, m.index[i]));
    return m;
}

static int check_labels(const document *d, const json_t *node, const json_t *primitive,
                        const truth *t, size_t hand) {
    const char *side = t->right[hand] != 0 ? "right" : "left";
    const char *name = json_string_value(json_object_get(node, "name"));
    const json_t *extras = json_object_get(node, "extras");
    const char *says = json_string_value(json_object_get(extras, "side"));
    const json_t *material = at(d->json, "materials", whole(primitive, "material"));
    const char *tint = json_string_value(json_object_get(material, "name"));
    size_t length = name ? strlen(name) : 0, n = strlen(side);
    if (length < n || strcmp(name + length - n, side) != 0 || !says ||
        strcmp(says, side) != 0 || !tint || strncmp(tint, side, n) != 0)
        return check_fail("hand %zu is a %s one; name, extras or material say otherwise", hand,
                          side);
    if (!json_is_true(json_object_get(material, "doubleSided")))
        return check_fail("hand %zu is not double-sided", hand);
    if (!json_is_string(json_object_get(extras, "source")) ||
        (float)json_number_value(json_object_get(extras, "score")) != t->score[hand])
        return check_fail("hand %zu: source or score", hand);
    return 0;
}

static int check_hand(const document *d, const json_t *node, const truth *t, size_t hand) {
    static const double sign[3] = {1, -1, -1};
    const json_t *shape = at(d->json, "meshes", whole(node, "mesh"));
    const json_t *primitive = at(shape, "primitives", 0);
    const json_t *shift = json_object_get(node, "translation");
    double *normals, scale = 1;
    mesh m = read_primitive(d, primitive, &normals);
    int bad = check_labels(d, node, primitive, t, hand);
    bad |= check_bounds(d, whole(json_object_get(primitive, "attributes"), "POSITION"), &m);
    bad |= check_normals(&m, normals);
    if ((shift != NULL) != (t->shift != NULL) || (shift && json_array_size(shift) != 3))
        bad = check_fail("hand %zu: translation", hand);
    for (size_t i = 0; shift && i < 3 * m.vertices; i++) {
        double s = json_number_value(json_array_get(shift, i % 3));
        m.points[i] += s;
        scale = fmax(scale, fabs(s));
    }
    bad |= compare_mesh(&m, t, hand, sign, 2e-7 * scale, d->path);
    wilor_heap_free(normals);
    close_mesh(&m);
    return bad;
}

/* ---------------------------------------------------------------- the scene */

/* The picture's camera looks along -z with y up as it stands: no transformation in its node. */
static int check_camera(const document *d, const json_t *node, const truth *t, size_t hand,
                        double width, double height) {
    const json_t *camera = at(d->json, "cameras", whole(node, "camera"));
    const json_t *lens = json_object_get(camera, "perspective");
    const json_t *focal = json_object_get(json_object_get(node, "extras"), "focal");
    double fx = json_number_value(json_array_get(focal, 0));
    double fy = json_number_value(json_array_get(focal, 1));
    double half = tan(json_number_value(json_object_get(lens, "yfov")) / 2);
    double aspect = json_number_value(json_object_get(lens, "aspectRatio"));
    if (json_object_get(node, "rotation") || json_object_get(node, "translation") ||
        json_object_get(node, "matrix"))
        return check_fail("the camera is somewhere else");
    if (hand >= t->hands || (float)fx != t->focal[hand])
        return check_fail("the camera's focal length is %g, the npz has %g", fx,
                          hand < t->hands ? (double)t->focal[hand] : 0);
    if (fabs(half - height / (2 * fy)) > 1e-6 * half ||
        fabs(half * aspect - width / (2 * fx)) > 1e-6 * half * aspect)
        return check_fail("the camera's angles are not those of %g x %g pixels", width, height);
    return 0;
}

/* The first hand from here on that has numbers: the others have no node. */
static size_t not_failed(const truth *t, size_t hand) {
    while (hand < t->hands && isnan(t->points[3 * hand * t->vertices]))
        hand++;
    return hand;
}

static int check_picture(const document *d, const json_t *node, const truth *t, size_t *hand,
                         double width, double height) {
    const json_t *children = json_object_get(node, "children");
    int bad = json_object_get(node, "children") && json_array_size(children) == 0;
    for (size_t i = 0; !bad && i < json_array_size(children); i++) {
        const json_t *child =
            at(d->json, "nodes", json_integer_value(json_array_get(children, i)));
        if (json_object_get(child, "camera")) {
            bad = check_camera(d, child, t, *hand, width, height);
            continue;
        }
        *hand = not_failed(t, *hand);
        if (*hand >= t->hands)
            return check_fail("%s has more hands than its npz", d->path);
        bad = check_hand(d, child, t, (*hand)++);
    }
    return bad;
}

int check_gltf(const char *path, const char *npz, double width, double height) {
    truth t = open_truth(npz);
    document d = open_document(path);
    const json_t *roots =
        json_object_get(at(d.json, "scenes", whole(d.json, "scene")), "nodes");
    size_t hand = 0;
    int bad = 0;
    for (size_t i = 0; !bad && i < json_array_size(roots); i++)
        bad =
            check_picture(&d, at(d.json, "nodes", json_integer_value(json_array_get(roots, i))),
                          &t, &hand, width, height);
    if (!bad && not_failed(&t, hand) != t.hands)
        bad = check_fail("%s has %zu hands, its npz %zu", path, hand, t.hands);
    close_document(&d);
    close_truth(&t);
    return bad;
}
