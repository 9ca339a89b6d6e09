/* A take as a skinned, animated GLB, after the Khronos glTF 2.0 specification.
 *
 * Everything is in glTF's axes, (x, -y, -z) of the camera's: half a turn about x, which turns a rotation x y z w into x,
 * -y, -z, w. A hand's mesh is MANO's at rest with the hand's mean shape; its skin's joints are MANO's 16. What MANO
 * adds to the mesh for a pose is there as morph targets: with them a viewer shows MANO's own vertices, not an
 * approximation. MANO has 135, whose weights are the elements of R - I of the 15 finger joints, from -2 to 1. Blender
 * and Unity hold a target's weight between 0 and 1, so that an element on the diagonal (-2 … 0) has a target of -2
 * times the shape, any other (-1 … 1) one for each sign: 225. Hands that come and go are scaled to nothing while they
 * are away.
 *
 * The binary chunk is built in an unnamed file: what hands share first (weights; triangles and targets a side), then
 * hand by hand, one column of the animation after the other. Every accessor has a view of its own. */
#include "take_tracks.h"

#include "mesh_normals.h"
#include "text_buffer.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHAPES = 135, /* MANO's, 45 of them of elements on the diagonal */
    TARGETS = 45 + 2 * (135 - 45),
    TYPE_UINT8 = 5121,
    TYPE_UINT32 = 5125,
    TYPE_FLOAT = 5126,
    TARGET_VERTICES = 34962,
    TARGET_INDICES = 34963,
    MAGIC = 0x46546C67,
    CHUNK_JSON = 0x4E4F534A,
    CHUNK_BIN = 0x004E4942,
    MOST_SETS = 4 /* of four weights a vertex */
};

typedef wilor_cli_buffer buffer;

typedef struct writer {
    const wilor_cli_tracks *tracks;
    const char *path;
    wilor_cli_temp_file spool;
    uint64_t used; /* of the spool */
    buffer views, accessors, nodes, meshes, skins, samplers, channels, scene;
    int accessor_count, node_count, sampler_count, mesh_count;
    int vertices, faces;
    int sets, joints_at[MOST_SETS], weights_at[MOST_SETS];
    int indices[2], targets[2]; /* by side; -1: no such hand yet. Of 225 the first */
    float *mesh;                /* room for 6 a vertex */
    double *sums;               /* 3 a vertex */
    wilor_status st;
    wilor_error *err;
} writer;

static void fail_with(writer *w, wilor_status st) { w->st = w->st == WILOR_OK ? st : w->st; }

/* ---------------------------------------------------------------- text */

static void put(buffer *b, const char *format, ...) WILOR_CLI_PRINTF(2, 3);

static void put(buffer *b, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof text)
        wilor_cli_buffer_bytes(b, text, (size_t)n);
    else
        b->failed = true;
}

static void comma(buffer *b) {
    if (b->used)
        wilor_cli_buffer_bytes(b, ",", 1);
}

static void put_floats(buffer *b, const float *values, int count) {
    for (int i = 0; i < count; i++) {
        wilor_cli_buffer_bytes(b, i ? "," : "[", 1);
        wilor_cli_buffer_float(b, values[i]);
    }
    wilor_cli_buffer_bytes(b, "]", 1);
}

/* ---------------------------------------------------------------- the binary chunk */

/* Little-endian wherever this runs. */
static void put_words(writer *w, const void *values, size_t count) {
    unsigned char bytes[1024];
    const unsigned char *from = values;
    for (size_t done = 0; w->st == WILOR_OK && done < count;) {
        size_t n = count - done < sizeof bytes / 4 ? count - done : sizeof bytes / 4;
        for (size_t i = 0; i < n; i++) {
            uint32_t word;
            memcpy(&word, from + 4 * (done + i), 4);
            for (int k = 0; k < 4; k++)
                bytes[4 * i + (size_t)k] = (unsigned char)(word >> 8 * k);
        }
        if (fwrite(bytes, 4, n, w->spool.file) != n)
            fail_with(w,
                      wilor_cli_fail_errno(w->err, w->path, "cannot write beside it", errno));
        done += n;
    }
    w->used += 4 * (uint64_t)count;
}

/* An accessor over the bytes that are written next. target 0: none. */
static int begin_accessor(writer *w, int component, const char *type, size_t count,
                          uint64_t bytes, int target) {
    comma(&w->views);
    put(&w->views, "{\"buffer\":0,\"byteOffset\":%llu,\"byteLength\":%llu",
        (unsigned long long)w->used, (unsigned long long)bytes);
    if (target)
        put(&w->views, ",\"target\":%d", target);
    put(&w->views, "}");
    comma(&w->accessors);
    put(&w->accessors, "{\"bufferView\":%d,\"componentType\":%d,\"count\":%zu,\"type\":\"%s\"",
        w->accessor_count, component, count, type);
    return w->accessor_count++;
}

static void end_accessor(writer *w) { put(&w->accessors, "}"); }

static void put_bounds(writer *w, const float *values, size_t count, int width) {
    float low[3], high[3];
    for (int k = 0; k < width; k++)
        low[k] = high[k] = values[k];
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < width; k++) {
            float value = values[i * (size_t)width + (size_t)k];
            low[k] = fminf(low[k], value);
            high[k] = fmaxf(high[k], value);
        }
    put(&w->accessors, ",\"min\":");
    put_floats(&w->accessors, low, width);
    put(&w->accessors, ",\"max\":");
    put_floats(&w->accessors, high, width);
}

static int put_points(writer *w, const float *points, bool bounds) {
    size_t n = (size_t)w->vertices;
    int at = begin_accessor(w, TYPE_FLOAT, "VEC3", n, 12 * (uint64_t)n, TARGET_VERTICES);
    if (bounds)
        put_bounds(w, points, n, 3);
    end_accessor(w);
    put_words(w, points, 3 * n);
    return at;
}

static void turn_axes(float *xyz, size_t points) {
    for (size_t i = 0; i < points; i++) {
        xyz[3 * i + 1] = -xyz[3 * i + 1];
        xyz[3 * i + 2] = -xyz[3 * i + 2];
    }
}

/* ---------------------------------------------------------------- what hands share */

/* A vertex's weights, the largest first. */
static int sort_weights(const float *row, int joint[WILOR_CLI_BONES]) {
    int n = 0;
    for (int j = 0; j < WILOR_CLI_BONES; j++) {
        if (!(row[j] > 0))
            continue;
        int at = n++;
        for (; at > 0 && row[joint[at - 1]] < row[j]; at--)
            joint[at] = joint[at - 1];
        joint[at] = j;
    }
    return n;
}

static void put_weight_set(writer *w, const float *weights, int set) {
    size_t n = (size_t)w->vertices;
    w->joints_at[set] =
        begin_accessor(w, TYPE_UINT8, "VEC4", n, 4 * (uint64_t)n, TARGET_VERTICES);
    end_accessor(w);
    for (size_t v = 0; v < n; v++) {
        int joint[WILOR_CLI_BONES] = {0}, count = sort_weights(weights + 16 * v, joint);
        uint32_t word = 0;
        for (int k = 0; k < 4; k++)
            word |= (uint32_t)(4 * set + k < count ? joint[4 * set + k] : 0) << 8 * k;
        put_words(w, &word, 1);
    }
    w->weights_at[set] =
        begin_accessor(w, TYPE_FLOAT, "VEC4", n, 16 * (uint64_t)n, TARGET_VERTICES);
    end_accessor(w);
    for (size_t v = 0; v < n; v++) {
        int joint[WILOR_CLI_BONES] = {0}, count = sort_weights(weights + 16 * v, joint);
        float four[4];
        for (int k = 0; k < 4; k++)
            four[k] = 4 * set + k < count ? weights[16 * v + (size_t)joint[4 * set + k]] : 0;
        put_words(w, four, 4);
    }
}

static void put_weights(writer *w) {
    size_t n = (size_t)w->vertices;
    float *weights = malloc(16 * n * sizeof *weights);
    int most = 1;
    if (!weights) {
        fail_with(w, WILOR_ERR_NOMEM);
        return;
    }
    wilor_hand_skin(w->tracks->model, weights, NULL);
    for (size_t v = 0; v < n; v++) {
        int joint[WILOR_CLI_BONES], count = sort_weights(weights + 16 * v, joint);
        most = count > most ? count : most;
    }
    w->sets = (most + 3) / 4;
    for (int set = 0; set < w->sets; set++)
        put_weight_set(w, weights, set);
    free(weights);
}

/* Triangles and morph targets of a side, once. */
static void put_side(writer *w, wilor_side side) {
    size_t n = 3 * (size_t)w->faces;
    if (w->indices[side] >= 0)
        return;
    w->indices[side] =
        begin_accessor(w, TYPE_UINT32, "SCALAR", n, 4 * (uint64_t)n, TARGET_INDICES);
    end_accessor(w);
    put_words(w, wilor_model_faces(w->tracks->model, side), n);
    for (int k = 0; k < SHAPES; k++) {
        bool diagonal = k % 9 % 4 == 0;
        wilor_hand_pose_shape(w->tracks->model, side, k, w->mesh);
        turn_axes(w->mesh, (size_t)w->vertices);
        for (int i = 0; diagonal && i < 3 * w->vertices; i++)
            w->mesh[i] *= -2;
        int at = put_points(w, w->mesh, true);
        w->targets[side] = k ? w->targets[side] : at;
        for (int i = 0; !diagonal && i < 3 * w->vertices; i++)
            w->mesh[i] = -w->mesh[i];
        if (!diagonal)
            put_points(w, w->mesh, true);
    }
}

/* ---------------------------------------------------------------- a hand's mesh and joints */

static int put_mesh(writer *w, const wilor_cli_track *track) {
    size_t n = (size_t)w->vertices;
    wilor_side side = track->side;
    wilor_hand_rest(w->tracks->model, side, track->betas, w->mesh, NULL);
    turn_axes(w->mesh, n);
    wilor_cli_mesh_normals(w->mesh + 3 * n, w->sums, w->mesh, n,
                           wilor_model_faces(w->tracks->model, side), w->faces);
    int position = put_points(w, w->mesh, true);
    int normal = put_points(w, w->mesh + 3 * n, false);
    buffer *b = &w->meshes;
    comma(b);
    put(b,
        "{\"name\":\"hand %lu\",\"primitives\":[{\"attributes\":{\"POSITION\":%d,\"NORMAL\":%d",
        (unsigned long)track->id, position, normal);
    for (int set = 0; set < w->sets; set++)
        put(b, ",\"JOINTS_%d\":%d,\"WEIGHTS_%d\":%d", set, w->joints_at[set], set,
            w->weights_at[set]);
    put(b, "},\"indices\":%d,\"material\":%d,\"targets\":[", w->indices[side],
        side == WILOR_LEFT);
    for (int k = 0; k < TARGETS; k++)
        put(b, "%s{\"POSITION\":%d}", k ? "," : "", w->targets[side] + k);
    put(b, "]}],\"weights\":[");
    for (int k = 0; k < TARGETS; k++)
        put(b, k ? ",0" : "0");
    put(b, "]}");
    return w->mesh_count++;
}

/* What leads from the mesh at rest to each joint: a shift. */
static int put_inverse_matrices(writer *w, float joints[WILOR_CLI_BONES][3]) {
    int at = begin_accessor(w, TYPE_FLOAT, "MAT4", WILOR_CLI_BONES, 64 * WILOR_CLI_BONES, 0);
    end_accessor(w);
    for (int j = 0; j < WILOR_CLI_BONES; j++) {
        float m[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}; /* columns */
        for (int i = 0; i < 3; i++)
            m[12 + i] = -joints[j][i];
        put_words(w, m, 16);
    }
    return at;
}

static void rest_joints(const writer *w, const wilor_cli_track *track,
                        float joints[WILOR_CLI_BONES][3]) {
    float rest[63];
    wilor_hand_rest(w->tracks->model, track->side, track->betas, NULL, rest);
    for (int j = 0; j < WILOR_CLI_BONES; j++)
        memcpy(joints[j], rest + 3 * wilor_cli_bones[j].keypoint, sizeof joints[j]);
    turn_axes(joints[0], WILOR_CLI_BONES);
}

static void put_joint_node(writer *w, float joints[WILOR_CLI_BONES][3], int bone, int first) {
    const wilor_cli_bone *b = &wilor_cli_bones[bone];
    float offset[3];
    bool children = false;
    for (int i = 0; i < 3; i++)
        offset[i] = joints[bone][i] - (bone ? joints[b->parent][i] : 0);
    put(&w->nodes, ",{\"name\":\"%s\",\"translation\":", b->plain);
    put_floats(&w->nodes, offset, 3);
    for (int child = bone + 1; child < WILOR_CLI_BONES; child++)
        if (wilor_cli_bones[child].parent == bone) {
            put(&w->nodes, children ? ",%d" : ",\"children\":[%d", first + child);
            children = true;
        }
    put(&w->nodes, children ? "]}" : "}");
}

/* The hand's node, which is shown or not; its joints; beside it the mesh, whose own place counts for nothing. The
 * hand's node's number. */
static int put_nodes(writer *w, const wilor_cli_track *track) {
    float joints[WILOR_CLI_BONES][3];
    const char *side = track->side == WILOR_LEFT ? "left" : "right";
    int hand = w->node_count, first = hand + 1, mesh_node = first + WILOR_CLI_BONES;
    unsigned long id = (unsigned long)track->id;
    rest_joints(w, track, joints);
    int skin = (int)w->mesh_count, mesh = put_mesh(w, track);
    comma(&w->nodes);
    put(&w->nodes,
        "{\"name\":\"hand %lu "
        "%s\",\"children\":[%d],\"extras\":{\"id\":%lu,\"side\":\"%s\",\"betas\":",
        id, side, first, id, side);
    put_floats(&w->nodes, track->betas, 10);
    put(&w->nodes, "}}");
    for (int bone = 0; bone < WILOR_CLI_BONES; bone++)
        put_joint_node(w, joints, bone, first);
    put(&w->nodes, ",{\"name\":\"hand %lu %s mesh\",\"mesh\":%d,\"skin\":%d}", id, side, mesh,
        skin);
    comma(&w->skins);
    put(&w->skins,
        "{\"name\":\"hand %lu\",\"skeleton\":%d,\"inverseBindMatrices\":%d,\"joints\":[", id,
        first, put_inverse_matrices(w, joints));
    for (int j = 0; j < WILOR_CLI_BONES; j++)
        put(&w->skins, j ? ",%d" : "%d", first + j);
    put(&w->skins, "]}");
    comma(&w->scene);
    put(&w->scene, "%d,%d", hand, mesh_node);
    w->node_count += WILOR_CLI_BONES + 2;
    return hand;
}

/* ---------------------------------------------------------------- a hand's motion */

static void put_channel(writer *w, int node, const char *path, int input, int output,
                        const char *interpolation) {
    comma(&w->samplers);
    put(&w->samplers, "{\"input\":%d,\"output\":%d,\"interpolation\":\"%s\"}", input, output,
        interpolation);
    comma(&w->channels);
    put(&w->channels, "{\"sampler\":%d,\"target\":{\"node\":%d,\"path\":\"%s\"}}",
        w->sampler_count++, node, path);
}

/* A column of the animation: `width` floats a frame, from `of`. `before` is what it gave for the frame before. */
typedef void (*column_fn)(const wilor_cli_take_frame *f, int which, const float *before,
                          float *out);

static void time_of(const wilor_cli_take_frame *f, int which, const float *before, float *out) {
    (void)which;
    (void)before;
    out[0] = (float)f->t;
}

static void place_of(const wilor_cli_take_frame *f, int which, const float *before,
                     float *out) {
    (void)which;
    (void)before;
    memcpy(out, f->place, sizeof f->place);
    turn_axes(out, 1);
}

/* q and -q are one rotation: the one that is nearer to the frame before, for those who interpolate numbers. */
static void turn_of(const wilor_cli_take_frame *f, int which, const float *before, float *out) {
    memcpy(out, f->turn[which], 4 * sizeof *out);
    turn_axes(out, 1);
    float dot = 0;
    for (int i = 0; before && i < 4; i++)
        dot += before[i] * out[i];
    for (int i = 0; dot < 0 && i < 4; i++)
        out[i] = -out[i];
}

static void weights_of(const wilor_cli_take_frame *f, int which, const float *before,
                       float *out) {
    (void)which;
    (void)before;
    for (int j = 1; j < WILOR_CLI_BONES; j++) {
        double q[4], m[9];
        for (int i = 0; i < 4; i++)
            q[i] = (double)f->turn[j][i];
        wilor_cli_quat_to_matrix(q, m);
        for (int i = 0; i < 9; i++) {
            if (i % 4 == 0) {
                *out++ = (float)((1 - m[i]) / 2);
                continue;
            }
            *out++ = (float)(m[i] > 0 ? m[i] : 0);
            *out++ = (float)(m[i] < 0 ? -m[i] : 0);
        }
    }
}

static int put_column(writer *w, const wilor_cli_track *track, column_fn of, int which,
                      int width) {
    static const char *const types[] = {"", "SCALAR", "", "VEC3", "VEC4"};
    size_t scalars = width == TARGETS ? (size_t)width : 1;
    int at =
        begin_accessor(w, TYPE_FLOAT, width == TARGETS ? "SCALAR" : types[width],
                       track->count * scalars, 4 * (uint64_t)track->count * (uint64_t)width, 0);
    if (of == time_of) {
        float ends[2] = {(float)track->first, (float)track->last};
        put_bounds(w, ends, 2, 1);
    }
    end_accessor(w);
    float rows[2][TARGETS];
    for (size_t i = 0; w->st == WILOR_OK && i < track->count; i++) {
        wilor_cli_take_frame f;
        if (!wilor_cli_track_frame(w->tracks, track, i, &f)) {
            fail_with(w, wilor_cli_fail(w->err, WILOR_ERR_IO, "%s: its temporary file is cut",
                                        w->path));
            break;
        }
        of(&f, which, i ? rows[1 - i % 2] : NULL, rows[i % 2]);
        put_words(w, rows[i % 2], (size_t)width);
    }
    return at;
}

/* Scale 0 while the hand is not there. Nothing for a hand that is there from the take's beginning to its end. */
static void put_presence(writer *w, const wilor_cli_track *track, int node) {
    float times[3], scales[9] = {0};
    int n = 0;
    double late =
        track->count > 1 ? (track->last - track->first) / (double)(track->count - 1) : 1.0 / 30;
    if (track->first <= 0 && track->last >= w->tracks->end)
        return;
    if (track->first > 0)
        times[n++] = 0;
    times[n] = (float)track->first;
    for (int i = 0; i < 3; i++)
        scales[3 * n + i] = 1;
    n++;
    if (track->last < w->tracks->end)
        times[n++] = (float)(track->last + late / 2);
    int input = begin_accessor(w, TYPE_FLOAT, "SCALAR", (size_t)n, 4 * (uint64_t)n, 0);
    put_bounds(w, times, (size_t)n, 1);
    end_accessor(w);
    put_words(w, times, (size_t)n);
    int output = begin_accessor(w, TYPE_FLOAT, "VEC3", (size_t)n, 12 * (uint64_t)n, 0);
    end_accessor(w);
    put_words(w, scales, 3 * (size_t)n);
    put_channel(w, node, "scale", input, output, "STEP");
}

static void put_motion(writer *w, const wilor_cli_track *track, int node) {
    int first = node + 1, input = put_column(w, track, time_of, 0, 1);
    put_channel(w, first, "translation", input, put_column(w, track, place_of, 0, 3), "LINEAR");
    for (int j = 0; j < WILOR_CLI_BONES; j++)
        put_channel(w, first + j, "rotation", input, put_column(w, track, turn_of, j, 4),
                    "LINEAR");
    put_channel(w, first + WILOR_CLI_BONES, "weights", input,
                put_column(w, track, weights_of, 0, TARGETS), "LINEAR");
    put_presence(w, track, node);
}

/* ---------------------------------------------------------------- the file */

static void put_document(writer *w, buffer *b) {
    static const char materials[] =
        ",\"materials\":[{\"name\":\"right "
        "hand\",\"pbrMetallicRoughness\":{\"baseColorFactor\":[0.8,0.42,0.27,1],"
        "\"metallicFactor\":0,\"roughnessFactor\":0.75},\"doubleSided\":true},{\"name\":\"left "
        "hand\","
        "\"pbrMetallicRoughness\":{\"baseColorFactor\":[0.25,0.45,0.8,1],\"metallicFactor\":0,"
        "\"roughnessFactor\":0.75},\"doubleSided\":true}]";
    const buffer *parts[] = {&w->nodes, &w->meshes, &w->skins, &w->accessors, &w->views};
    static const char *const names[] = {"nodes", "meshes", "skins", "accessors", "bufferViews"};
    wilor_model_info info;
    wilor_model_get_info(w->tracks->model, &info, sizeof info);
    put(b, "{\"asset\":{\"version\":\"2.0\",\"generator\":\"wilor %s\"", wilor_version());
    if (info.label && *info.label) { /* test weights: nobody should take this for a result */
        put(b, ",\"extras\":{\"label\":");
        wilor_cli_buffer_string(b, info.label);
        put(b, "}");
    }
    put(b, "},\"scene\":0,\"scenes\":[{\"name\":\"take\"");
    if (w->scene.used) {
        put(b, ",\"nodes\":[");
        wilor_cli_buffer_bytes(b, w->scene.text, w->scene.used);
        put(b, "]");
    }
    put(b, "}]");
    for (size_t i = 0; w->scene.used && i < sizeof parts / sizeof parts[0]; i++) {
        put(b, ",\"%s\":[", names[i]);
        wilor_cli_buffer_bytes(b, parts[i]->text, parts[i]->used);
        put(b, "]");
    }
    if (w->scene.used) {
        wilor_cli_buffer_bytes(b, materials, sizeof materials - 1);
        put(b, ",\"animations\":[{\"name\":\"take\",\"samplers\":[");
        wilor_cli_buffer_bytes(b, w->samplers.text, w->samplers.used);
        put(b, "],\"channels\":[");
        wilor_cli_buffer_bytes(b, w->channels.text, w->channels.used);
        put(b, "]}],\"buffers\":[{\"byteLength\":%llu}]", (unsigned long long)w->used);
    }
    put(b, "}");
    while (b->used % 4 && !b->failed)
        put(b, " ");
}

static void put_word(FILE *to, uint32_t value) {
    for (int k = 0; k < 4; k++)
        putc((int)(value >> 8 * k & 255), to);
}

static wilor_status copy_spool(writer *w, FILE *to) {
    char bytes[65536];
    uint64_t left = w->used;
    if (fflush(w->spool.file) != 0 || fseeko(w->spool.file, 0, SEEK_SET) != 0)
        return wilor_cli_fail_errno(w->err, w->path, "cannot write beside it", errno);
    while (left > 0) {
        size_t n = left < sizeof bytes ? (size_t)left : sizeof bytes;
        if (fread(bytes, 1, n, w->spool.file) != n)
            return wilor_cli_fail(w->err, WILOR_ERR_IO, "%s: its temporary file is cut",
                                  w->path);
        if (fwrite(bytes, 1, n, to) != n)
            break;
        left -= n;
    }
    return WILOR_OK;
}

static wilor_status put_glb(writer *w, FILE *to) {
    buffer json = {0};
    put_document(w, &json);
    const buffer *all[] = {&json,     &w->views,    &w->accessors, &w->nodes, &w->meshes,
                           &w->skins, &w->samplers, &w->channels,  &w->scene};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]->failed)
            fail_with(w, WILOR_ERR_NOMEM);
    uint64_t total = 12 + 8 + (uint64_t)json.used + (w->used ? 8 + w->used : 0);
    if (w->st == WILOR_OK && total > UINT32_MAX)
        fail_with(w, wilor_cli_fail(w->err, WILOR_ERR_LIMIT,
                                    "%s: more than 4 GiB of hands do not fit a glTF file",
                                    w->path));
    if (w->st == WILOR_OK) {
        put_word(to, MAGIC);
        put_word(to, 2);
        put_word(to, (uint32_t)total);
        put_word(to, (uint32_t)json.used);
        put_word(to, CHUNK_JSON);
        fwrite(json.text, 1, json.used, to);
        if (w->used) {
            put_word(to, (uint32_t)w->used);
            put_word(to, CHUNK_BIN);
            fail_with(w, copy_spool(w, to));
        }
        if (w->st == WILOR_OK && ferror(to))
            fail_with(w, wilor_cli_fail_errno(w->err, w->path, "cannot write", errno));
    }
    wilor_cli_buffer_free(&json);
    return w->st;
}

static void free_writer(writer *w) {
    buffer *all[] = {&w->views, &w->accessors, &w->nodes,    &w->meshes,
                     &w->skins, &w->samplers,  &w->channels, &w->scene};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        wilor_cli_buffer_free(all[i]);
    free(w->mesh);
    free(w->sums);
    wilor_cli_temp_discard(&w->spool);
}

wilor_status wilor_cli_take_gltf(const wilor_cli_tracks *t, FILE *to, const char *path,
                                 wilor_error *err) {
    writer w = {.tracks = t, .path = path, .err = err, .indices = {-1, -1}};
    wilor_model_info info;
    wilor_model_get_info(t->model, &info, sizeof info);
    w.vertices = info.vertices;
    w.faces = info.faces;
    w.mesh = malloc(6 * (size_t)w.vertices * sizeof *w.mesh);
    w.sums = malloc(3 * (size_t)w.vertices * sizeof *w.sums);
    w.st = w.mesh && w.sums ? wilor_cli_temp_spool(&w.spool, path, err) : WILOR_ERR_NOMEM;
    if (w.st == WILOR_OK && t->count > 0)
        put_weights(&w);
    for (size_t i = 0; w.st == WILOR_OK && i < t->count; i++) {
        put_side(&w, t->list[i].side);
        put_motion(&w, &t->list[i], put_nodes(&w, &t->list[i]));
    }
    wilor_status st = w.st == WILOR_OK ? put_glb(&w, to) : w.st;
    if (st == WILOR_ERR_NOMEM)
        wilor_cli_fail(err, st, "out of memory while writing %s", path);
    free_writer(&w);
    return st;
}
