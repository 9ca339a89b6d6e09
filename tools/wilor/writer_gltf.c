/* The glTF writer, after the Khronos glTF 2.0 specification: one GLB container, or JSON with
 * the buffer as a data URI.
 *
 * Axes: (x, -y, -z) of the camera frame, half a turn about x, so that y is up, a camera node
 * without a rotation looks along the hands' own camera, and the faces keep their winding.
 * Vertices are those about the hand model's origin and the node's translation is cam_t: with a
 * guessed focal length a hand is tens of metres away, where a float32 vertex would be rounded
 * to micrometres.
 *
 * The buffer is all positions and normals (24 bytes a vertex), hand by hand, then the right
 * and the left hand's triangles, which all hands of a side share. JSON lists that are empty may
 * not be written: a scene without hands has none of them. */
#include "writer_gltf.h"

#include "event_json.h"
#include "mesh_normals.h"
#include "temp_file.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The specification's numbers. */
enum {
    TYPE_FLOAT = 5126,
    TYPE_UINT32 = 5125,
    TARGET_VERTICES = 34962,
    TARGET_INDICES = 34963,
    MAGIC = 0x46546C67,
    CHUNK_JSON = 0x4E4F534A,
    CHUNK_BIN = 0x004E4942
};

enum { VIEW_VERTICES = 0, VIEW_INDICES = 1 };

#define FILE_MOST ((uint64_t)UINT32_MAX)

struct wilor_cli_gltf {
    wilor_cli_temp_file file, spool; /* the spool holds positions and normals */
    char *path;
    bool binary;
    uint64_t spooled;
    json_t *nodes, *roots, *meshes, *accessors, *cameras, *materials;
    int indices[2], material[2]; /* right, left; -1 before its first hand */
    bool ok;                     /* memory was enough for all JSON so far */
};

static wilor_status no_memory(wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing a glTF");
}

/* ---------------------------------------------------------------- JSON */

/* jansson hands errors on: a NULL value makes these fail. */
static void put(wilor_cli_gltf *g, json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value) != 0)
        g->ok = false;
}

/* Append and give the place in the list. */
static int push(wilor_cli_gltf *g, json_t *list, json_t *value) {
    if (json_array_append_new(list, value) != 0)
        g->ok = false;
    return (int)json_array_size(list) - 1;
}

static json_t *floats(wilor_cli_gltf *g, const float *values, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        push(g, list, wilor_cli_json_float(values[i]));
    return list;
}

static json_t *text(const char *bytes) {
    char *copy = wilor_cli_utf8_copy(bytes);
    json_t *string = copy ? json_string(copy) : NULL;
    free(copy);
    return string;
}

static const char *side_name(int side) { return side == WILOR_LEFT ? "left" : "right"; }

/* ---------------------------------------------------------------- begin and end */

wilor_status wilor_cli_gltf_open(wilor_cli_gltf **out, const char *path, wilor_error *err) {
    *out = NULL;
    wilor_cli_gltf *g = calloc(1, sizeof *g);
    if (!g)
        return no_memory(err);
    g->ok = true;
    g->binary = strcasecmp(wilor_cli_ending(path), ".glb") == 0;
    g->indices[0] = g->indices[1] = g->material[0] = g->material[1] = -1;
    json_t **lists[] = {&g->nodes,     &g->roots,   &g->meshes,
                        &g->accessors, &g->cameras, &g->materials};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        g->ok = (*lists[i] = json_array()) != NULL && g->ok;
    g->path = strdup(path);
    wilor_status st = g->ok && g->path ? WILOR_OK : no_memory(err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_open(&g->file, path, err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_spool(&g->spool, path, err);
    if (st != WILOR_OK)
        wilor_cli_gltf_free(&g);
    *out = g;
    return st;
}

void wilor_cli_gltf_free(wilor_cli_gltf **g) {
    if (!*g)
        return;
    json_t *lists[] = {(*g)->nodes,     (*g)->roots,   (*g)->meshes,
                       (*g)->accessors, (*g)->cameras, (*g)->materials};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        json_decref(lists[i]);
    wilor_cli_temp_discard(&(*g)->file);
    wilor_cli_temp_discard(&(*g)->spool);
    free((*g)->path);
    free(*g);
    *g = NULL;
}

/* ---------------------------------------------------------------- vertices */

static void to_gltf_axes(float *to, const float *from, size_t points) {
    for (size_t i = 0; i < points; i++) {
        to[3 * i] = from[3 * i];
        to[3 * i + 1] = -from[3 * i + 1];
        to[3 * i + 2] = -from[3 * i + 2];
    }
}

static wilor_status spool(wilor_cli_gltf *g, const float *values, size_t count,
                          wilor_error *err) {
    size_t bytes = count * sizeof *values;
    if (g->spooled + bytes > FILE_MOST)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT,
                              "%s: more than 4 GiB of hands do not fit a glTF file", g->path);
    if (fwrite(values, 1, bytes, g->spool.file) != bytes)
        return wilor_cli_fail_errno(err, g->path, "cannot write beside it", errno);
    g->spooled += bytes;
    return WILOR_OK;
}

static int vector_accessor(wilor_cli_gltf *g, uint64_t offset, size_t count) {
    json_t *a = json_object();
    put(g, a, "bufferView", json_integer(VIEW_VERTICES));
    put(g, a, "byteOffset", json_integer((json_int_t)offset));
    put(g, a, "componentType", json_integer(TYPE_FLOAT));
    put(g, a, "count", json_integer((json_int_t)count));
    put(g, a, "type", json_string("VEC3"));
    return push(g, g->accessors, a);
}

static void put_bounds(wilor_cli_gltf *g, int accessor, const float *points, size_t count) {
    float low[3], high[3];
    memcpy(low, points, sizeof low);
    memcpy(high, points, sizeof high);
    for (size_t i = 3; i < 3 * count; i++) {
        low[i % 3] = fminf(low[i % 3], points[i]);
        high[i % 3] = fmaxf(high[i % 3], points[i]);
    }
    json_t *a = json_array_get(g->accessors, (size_t)accessor);
    put(g, a, "min", floats(g, low, 3));
    put(g, a, "max", floats(g, high, 3));
}

/* Positions and normals of a hand to the buffer; their accessors into `attributes`. */
static wilor_status append_vertices(wilor_cli_gltf *g, const wilor_hands *hands, size_t h,
                                    const int32_t *faces, int count, json_t *attributes,
                                    wilor_error *err) {
    size_t v = (size_t)hands->vertices;
    float *points = malloc(6 * v * sizeof *points);
    double *sums = malloc(3 * v * sizeof *sums);
    wilor_status st = points && sums ? WILOR_OK : no_memory(err);
    if (st == WILOR_OK) {
        to_gltf_axes(points, hands->vertices_3d + h * v * 3, v);
        wilor_cli_mesh_normals(points + 3 * v, sums, points, v, faces, count);
        int positions = vector_accessor(g, g->spooled, v);
        put_bounds(g, positions, points, v);
        put(g, attributes, "POSITION", json_integer(positions));
        put(g, attributes, "NORMAL",
            json_integer(vector_accessor(g, g->spooled + 3 * v * sizeof *points, v)));
        st = spool(g, points, 6 * v, err);
    }
    free(points);
    free(sums);
    return st;
}

/* ---------------------------------------------------------------- what hands share */

static int indices_of(wilor_cli_gltf *g, wilor_side side, int count) {
    int *place = &g->indices[side == WILOR_LEFT];
    if (*place >= 0)
        return *place;
    json_t *a = json_object();
    put(g, a, "bufferView", json_integer(VIEW_INDICES));
    put(g, a, "byteOffset", json_integer(side == WILOR_LEFT ? (json_int_t)count * 12 : 0));
    put(g, a, "componentType", json_integer(TYPE_UINT32));
    put(g, a, "count", json_integer((json_int_t)count * 3));
    put(g, a, "type", json_string("SCALAR"));
    *place = push(g, g->accessors, a);
    return *place;
}

static int material_of(wilor_cli_gltf *g, wilor_side side) {
    static const float tints[2][4] = {{0.80f, 0.42f, 0.27f, 1}, {0.25f, 0.45f, 0.80f, 1}};
    int *place = &g->material[side == WILOR_LEFT];
    if (*place >= 0)
        return *place;
    json_t *surface = json_object(), *m = json_object();
    put(g, surface, "baseColorFactor", floats(g, tints[side == WILOR_LEFT], 4));
    put(g, surface, "metallicFactor", json_integer(0));
    put(g, surface, "roughnessFactor", json_real(0.75));
    put(g, m, "name", json_string(side == WILOR_LEFT ? "left hand" : "right hand"));
    put(g, m, "pbrMetallicRoughness", surface);
    put(g, m, "doubleSided", json_true()); /* the wrist is open: one sees inside */
    *place = push(g, g->materials, m);
    return *place;
}

/* ---------------------------------------------------------------- nodes */

static json_t *hand_extras(wilor_cli_gltf *g, const wilor_cli_gltf_picture *picture,
                           const wilor_hands *hands, size_t h) {
    json_t *extras = json_object();
    put(g, extras, "side", json_string(side_name(hands->side[h])));
    put(g, extras, "score", wilor_cli_json_float(hands->score[h]));
    put(g, extras, "source", text(picture->source));
    return extras;
}

static json_t *hand_name(const wilor_cli_gltf_picture *picture, const wilor_hands *hands,
                         size_t h) {
    size_t room = strlen(picture->stem) + 48;
    char *name = malloc(room);
    if (!name)
        return NULL;
    snprintf(name, room, "%s hand %zu %s", picture->stem, h, side_name(hands->side[h]));
    json_t *string = text(name);
    free(name);
    return string;
}

static wilor_status append_hand(wilor_cli_gltf *g, const wilor_cli_gltf_picture *picture,
                                const wilor_model *model, const wilor_hands *hands, size_t h,
                                json_t *children, wilor_error *err) {
    wilor_side side = hands->side[h] == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    json_t *attributes = json_object(), *primitive = json_object(), *mesh = json_object();
    json_t *primitives = json_array(), *node = json_object();
    wilor_status st = append_vertices(g, hands, h, wilor_model_faces(model, side), info.faces,
                                      attributes, err);
    put(g, primitive, "attributes", attributes);
    put(g, primitive, "indices", json_integer(indices_of(g, side, info.faces)));
    put(g, primitive, "material", json_integer(material_of(g, side)));
    push(g, primitives, primitive);
    put(g, mesh, "name", hand_name(picture, hands, h));
    put(g, mesh, "primitives", primitives);
    put(g, node, "name", hand_name(picture, hands, h));
    put(g, node, "mesh", json_integer(push(g, g->meshes, mesh)));
    if (picture->camera) {
        float place[3];
        to_gltf_axes(place, hands->cam_t + 3 * h, 1);
        put(g, node, "translation", floats(g, place, 3));
    }
    put(g, node, "extras", hand_extras(g, picture, hands, h));
    push(g, children, json_integer(push(g, g->nodes, node)));
    return st;
}

/* glTF's camera knows angles only, with the optical centre in the middle: the numbers
 * themselves are beside them. */
static void append_camera(wilor_cli_gltf *g, const wilor_cli_gltf_picture *picture,
                          const wilor_hands *hands, json_t *children) {
    double w = picture->width, h = picture->height;
    double fx = (double)hands->focal[0], fy = (double)hands->focal[1];
    json_t *lens = json_object(), *camera = json_object(), *node = json_object();
    json_t *extras = json_object();
    put(g, lens, "yfov", json_real(2 * atan(h / (2 * fy))));
    put(g, lens, "aspectRatio", json_real(w * fy / (h * fx)));
    put(g, lens, "znear", json_real(0.01));
    put(g, extras, "width", json_integer(picture->width));
    put(g, extras, "height", json_integer(picture->height));
    put(g, extras, "focal", floats(g, hands->focal, 2));
    put(g, extras, "principal", floats(g, hands->principal, 2));
    put(g, extras, "source", json_string(picture->camera_given ? "given" : "guess"));
    put(g, extras, "mirrored", json_boolean(hands->mirrored));
    put(g, camera, "type", json_string("perspective"));
    put(g, camera, "perspective", lens);
    put(g, node, "name", json_string("camera"));
    put(g, node, "camera", json_integer(push(g, g->cameras, camera)));
    put(g, node, "extras", extras);
    push(g, children, json_integer(push(g, g->nodes, node)));
}

wilor_status wilor_cli_gltf_append(wilor_cli_gltf *g, const wilor_cli_gltf_picture *picture,
                                   const wilor_model *model, const wilor_hands *hands,
                                   wilor_error *err) {
    wilor_status st = WILOR_OK;
    json_t *node = json_object(), *children = json_array(), *extras = json_object();
    put(g, extras, "source", text(picture->source));
    put(g, node, "name", text(picture->stem));
    put(g, node, "extras", extras);
    if (picture->camera && hands->n > 0)
        append_camera(g, picture, hands, children);
    for (int h = 0; st == WILOR_OK && h < hands->n; h++)
        if (!hands->failed[h])
            st = append_hand(g, picture, model, hands, (size_t)h, children, err);
    if (json_array_size(children) > 0)
        put(g, node, "children", children);
    else
        json_decref(children);
    push(g, g->roots, json_integer(push(g, g->nodes, node)));
    return st == WILOR_OK && !g->ok ? no_memory(err) : st;
}

/* ---------------------------------------------------------------- the file */

static void put_list(wilor_cli_gltf *g, json_t *object, const char *key, json_t *list) {
    if (json_array_size(list) > 0)
        put(g, object, key, json_incref(list));
}

static json_t *buffer_view(wilor_cli_gltf *g, uint64_t offset, uint64_t bytes, int target) {
    json_t *view = json_object();
    put(g, view, "buffer", json_integer(0));
    put(g, view, "byteOffset", json_integer((json_int_t)offset));
    put(g, view, "byteLength", json_integer((json_int_t)bytes));
    if (target == TARGET_VERTICES)
        put(g, view, "byteStride", json_integer(12));
    put(g, view, "target", json_integer(target));
    return view;
}

/* Everything but the buffer. */
static json_t *build_document(wilor_cli_gltf *g, const char *label, uint64_t index_bytes) {
    char generator[64];
    json_t *root = json_object(), *asset = json_object(), *scene = json_object();
    json_t *scenes = json_array(), *views = json_array();
    snprintf(generator, sizeof generator, "wilor %s", wilor_version());
    put(g, asset, "version", json_string("2.0"));
    put(g, asset, "generator", json_string(generator));
    if (label && *label) { /* test weights: nobody should take this for a result */
        json_t *extras = json_object();
        put(g, extras, "label", text(label));
        put(g, asset, "extras", extras);
    }
    put(g, scene, "name", json_string("hands"));
    put_list(g, scene, "nodes", g->roots);
    push(g, scenes, scene);
    put(g, root, "asset", asset);
    put(g, root, "scene", json_integer(0));
    put(g, root, "scenes", scenes);
    put_list(g, root, "nodes", g->nodes);
    put_list(g, root, "cameras", g->cameras);
    put_list(g, root, "materials", g->materials);
    put_list(g, root, "meshes", g->meshes);
    put_list(g, root, "accessors", g->accessors);
    if (index_bytes > 0) {
        push(g, views, buffer_view(g, 0, g->spooled, TARGET_VERTICES));
        push(g, views, buffer_view(g, g->spooled, index_bytes, TARGET_INDICES));
        put(g, root, "bufferViews", json_incref(views));
    }
    json_decref(views);
    return root;
}

/* Bytes to the file, as they are or as base64. The buffer is 24 bytes a vertex and 24 a
 * triangle, a multiple of 3: base64 needs no padding at its end. */
typedef struct sink {
    FILE *to;
    bool base64;
    unsigned char carry[3];
    size_t carried;
} sink;

static void base64_group(sink *s) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *c = s->carry;
    char out[4] = {digits[c[0] >> 2], digits[(c[0] & 3) << 4 | c[1] >> 4],
                   digits[(c[1] & 15) << 2 | c[2] >> 6], digits[c[2] & 63]};
    fwrite(out, 1, 4, s->to);
    s->carried = 0;
}

static void sink_put(sink *s, const unsigned char *bytes, size_t count) {
    if (!s->base64) {
        fwrite(bytes, 1, count, s->to);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        s->carry[s->carried++] = bytes[i];
        if (s->carried == 3)
            base64_group(s);
    }
}

static void sink_word(sink *s, uint32_t value) {
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
    sink_put(s, bytes, 4);
}

/* The buffer's bytes, little-endian wherever this runs: floats and indices are words of 4. */
static wilor_status put_buffer(wilor_cli_gltf *g, sink *s, const wilor_model *model,
                               wilor_error *err) {
    uint32_t words[4096];
    uint64_t left = g->spooled;
    if (fflush(g->spool.file) != 0 || fseeko(g->spool.file, 0, SEEK_SET) != 0)
        return wilor_cli_fail_errno(err, g->path, "cannot write beside it", errno);
    while (left > 0) {
        size_t n = left < sizeof words ? (size_t)left : sizeof words;
        if (fread(words, 1, n, g->spool.file) != n)
            return wilor_cli_fail(err, WILOR_ERR_IO, "%s: its temporary file is cut", g->path);
        for (size_t i = 0; i < n / 4; i++)
            sink_word(s, words[i]);
        left -= n;
    }
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    for (int turn = 0; turn < 2; turn++) {
        const int32_t *faces = wilor_model_faces(model, turn ? WILOR_LEFT : WILOR_RIGHT);
        for (int i = 0; i < 3 * info.faces; i++)
            sink_word(s, (uint32_t)faces[i]);
    }
    return WILOR_OK;
}

static wilor_status put_glb(wilor_cli_gltf *g, const char *json, uint64_t buffer,
                            const wilor_model *model, wilor_error *err) {
    sink s = {.to = g->file.file};
    char tail[64] = "";
    if (buffer > 0)
        snprintf(tail, sizeof tail, ",\"buffers\":[{\"byteLength\":%llu}]",
                 (unsigned long long)buffer);
    size_t body = strlen(json) - 1, rest = strlen(tail); /* without the closing brace */
    uint64_t length = ((uint64_t)body + rest + 1 + 3) / 4 * 4;
    uint64_t total = 12 + 8 + length + (buffer > 0 ? 8 + buffer : 0);
    if (total > FILE_MOST)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT,
                              "%s: more than 4 GiB of hands do not fit a glTF file", g->path);
    sink_word(&s, MAGIC);
    sink_word(&s, 2);
    sink_word(&s, (uint32_t)total);
    sink_word(&s, (uint32_t)length);
    sink_word(&s, CHUNK_JSON);
    fwrite(json, 1, body, s.to);
    fwrite(tail, 1, rest, s.to);
    fputc('}', s.to);
    for (uint64_t i = (uint64_t)body + rest + 1; i < length; i++)
        fputc(' ', s.to);
    if (buffer == 0)
        return WILOR_OK;
    sink_word(&s, (uint32_t)buffer);
    sink_word(&s, CHUNK_BIN);
    return put_buffer(g, &s, model, err);
}

static wilor_status put_text(wilor_cli_gltf *g, const char *json, uint64_t buffer,
                             const wilor_model *model, wilor_error *err) {
    sink s = {.to = g->file.file, .base64 = true};
    wilor_status st = WILOR_OK;
    fwrite(json, 1, strlen(json) - 1, s.to);
    if (buffer > 0) {
        fprintf(s.to, ",\"buffers\":[{\"byteLength\":%llu,\"uri\":\"",
                (unsigned long long)buffer);
        fputs("data:application/octet-stream;base64,", s.to);
        st = put_buffer(g, &s, model, err);
        fputs("\"}]", s.to);
    }
    fputs("}\n", s.to);
    return st;
}

wilor_status wilor_cli_gltf_finish(wilor_cli_gltf *g, const wilor_model *model,
                                   wilor_error *err) {
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    uint64_t index_bytes = json_array_size(g->meshes) > 0 ? 2 * (uint64_t)info.faces * 12 : 0;
    json_t *root = build_document(g, info.label, index_bytes);
    char *json =
        g->ok ? wilor_cli_json_text(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    if (!json)
        return no_memory(err);
    uint64_t buffer = g->spooled + index_bytes;
    wilor_status st = g->binary ? put_glb(g, json, buffer, model, err)
                                : put_text(g, json, buffer, model, err);
    free(json);
    return st == WILOR_OK ? wilor_cli_temp_commit(&g->file, err) : st;
}
