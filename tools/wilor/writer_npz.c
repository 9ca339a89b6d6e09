/* The npz writer.
 *
 * npy format 1.0 (numpy.lib.format) in a stored zip. How many hands there are is known at the
 * end only and their vertices do not fit memory in a long run, so each array grows in a file of
 * its own and is copied into the archive by _finish. Names, units and trailing shapes are those
 * of WiLoR-mini's predict(); is_right is 1.0 or 0.0 there, hence a float.
 * WiLoR-mini throws the detector's points away: their two arrays are ours. */
#include "writer_npz.h"

#include "temp_file.h"
#include "zip_store.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct field {
    const char *name;
    size_t offset; /* of the wilor_hands member; 0: filled by hand */
    int take, of;  /* the first `take` floats of the member's `of` a hand; 0: vertices × 3 */
    const char *dims; /* behind the first axis; "" for a number a hand */
    bool camera;      /* only with a camera */
    bool model;       /* said by the model: NaN for a failed hand */
} field;

#define MEMBER(m) offsetof(wilor_hands, m)

static const field g_fields[] = {
    {"score", MEMBER(score), 1, 1, "", false, false},
    {"bbox", MEMBER(box), 4, 4, "4", true, false},
    {"pred_cam", MEMBER(pred_cam), 3, 3, "3", false, true},
    {"pred_cam_t_full", MEMBER(cam_t), 3, 3, "3", true, true},
    {"scaled_focal_length", MEMBER(focal), 1, 2, "", true, false},
    {"pred_keypoints_3d", MEMBER(keypoints_3d), 63, 63, "21, 3", false, true},
    {"pred_keypoints_2d", MEMBER(keypoints_2d), 42, 42, "21, 2", true, true},
    {"pred_vertices", MEMBER(vertices_3d), 0, 0, NULL, false, true},
    {"global_orient", MEMBER(global_orient), 3, 3, "1, 3", false, true},
    {"hand_pose", MEMBER(hand_pose), 45, 45, "15, 3", false, true},
    {"betas", MEMBER(betas), 10, 10, "10", false, true},
    {"detected_keypoints", MEMBER(detected_keypoints), 63, 63, "21, 3", true, false},
};

enum { FIELDS = sizeof g_fields / sizeof g_fields[0] };

struct wilor_cli_npz {
    wilor_cli_temp_file file;
    char *path;
    wilor_cli_temp_file spools[FIELDS]; /* floats */
    wilor_cli_temp_file image, is_right, detected;
    bool camera;
    size_t hands;
    char **sources; /* as UTF-8 */
    size_t pictures, room;
    size_t longest; /* code points */
};

static wilor_status no_memory(wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing an npz");
}

static bool wanted(const wilor_cli_npz *z, size_t i) {
    return z->camera || !g_fields[i].camera;
}

wilor_status wilor_cli_npz_open(wilor_cli_npz **out, const char *path, bool camera,
                                wilor_error *err) {
    wilor_status st = WILOR_OK;
    *out = NULL;
    wilor_cli_npz *z = calloc(1, sizeof *z);
    if (!z)
        return no_memory(err);
    z->camera = camera;
    z->path = strdup(path);
    if (!z->path)
        st = no_memory(err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_open(&z->file, path, err);
    if (st == WILOR_OK && !z->file.path)
        st = wilor_cli_fail_errno(err, path, "cannot be written as npz", ESPIPE);
    if (st == WILOR_OK)
        st = wilor_cli_temp_spool(&z->image, path, err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_spool(&z->is_right, path, err);
    if (st == WILOR_OK && camera)
        st = wilor_cli_temp_spool(&z->detected, path, err);
    for (size_t i = 0; st == WILOR_OK && i < FIELDS; i++)
        if (wanted(z, i))
            st = wilor_cli_temp_spool(&z->spools[i], path, err);
    if (st != WILOR_OK)
        wilor_cli_npz_free(&z);
    *out = z;
    return st;
}

void wilor_cli_npz_free(wilor_cli_npz **z) {
    if (!*z)
        return;
    wilor_cli_temp_discard(&(*z)->file);
    wilor_cli_temp_discard(&(*z)->image);
    wilor_cli_temp_discard(&(*z)->is_right);
    wilor_cli_temp_discard(&(*z)->detected);
    for (size_t i = 0; i < FIELDS; i++)
        wilor_cli_temp_discard(&(*z)->spools[i]);
    for (size_t i = 0; i < (*z)->pictures; i++)
        free((*z)->sources[i]);
    free((void *)(*z)->sources);
    free((*z)->path);
    free(*z);
    *z = NULL;
}

static wilor_status spool(wilor_cli_npz *z, FILE *to, const void *data, size_t bytes,
                          wilor_error *err) {
    if (fwrite(data, 1, bytes, to) != bytes)
        return wilor_cli_fail_errno(err, z->path, "cannot write beside it", errno);
    return WILOR_OK;
}

static wilor_status spool_nan(wilor_cli_npz *z, FILE *to, size_t count, wilor_error *err) {
    const float nan = NAN;
    wilor_status st = WILOR_OK;
    for (size_t i = 0; st == WILOR_OK && i < count; i++)
        st = spool(z, to, &nan, sizeof nan, err);
    return st;
}

static wilor_status append_hand(wilor_cli_npz *z, const wilor_hands *hands, size_t h,
                                wilor_error *err) {
    int32_t image = (int32_t)(z->pictures - 1);
    float is_right = hands->side[h] == WILOR_RIGHT ? 1.0f : 0.0f;
    float detected = hands->detected[h] ? 1.0f : 0.0f;
    wilor_status st = spool(z, z->image.file, &image, sizeof image, err);
    if (st == WILOR_OK)
        st = spool(z, z->is_right.file, &is_right, sizeof is_right, err);
    if (st == WILOR_OK && z->camera)
        st = spool(z, z->detected.file, &detected, sizeof detected, err);
    for (size_t i = 0; st == WILOR_OK && i < FIELDS; i++) {
        const field *f = &g_fields[i];
        if (!wanted(z, i))
            continue;
        size_t take = f->take ? (size_t)f->take : 3 * (size_t)hands->vertices;
        size_t of = f->of ? (size_t)f->of : take;
        const float *values;
        memcpy(&values, (const char *)hands + f->offset, sizeof values);
        if (f->model && hands->failed[h])
            st = spool_nan(z, z->spools[i].file, take, err);
        else
            st = spool(z, z->spools[i].file, values + h * of, take * sizeof(float), err);
    }
    return st;
}

static size_t code_points(const char *text) {
    size_t n = 0;
    uint32_t c;
    for (; *text; n++)
        text += wilor_cli_utf8_next(text, &c);
    return n;
}

wilor_status wilor_cli_npz_append(wilor_cli_npz *z, const char *source,
                                  const wilor_hands *hands, wilor_error *err) {
    if (z->pictures >= INT32_MAX)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT, "more than %d pictures in one npz",
                              INT32_MAX);
    if (z->pictures == z->room) {
        size_t room = z->room ? z->room * 2 : 16;
        char **grown = realloc((void *)z->sources, room * sizeof *grown);
        if (!grown)
            return no_memory(err);
        z->sources = grown;
        z->room = room;
    }
    char *copy = wilor_cli_utf8_copy(source);
    if (!copy)
        return no_memory(err);
    z->sources[z->pictures++] = copy;
    size_t length = code_points(copy);
    if (length > z->longest)
        z->longest = length;
    wilor_status st = WILOR_OK;
    for (int h = 0; st == WILOR_OK && h < hands->n; h++)
        st = append_hand(z, hands, (size_t)h, err);
    if (st == WILOR_OK)
        z->hands += (size_t)hands->n;
    return st;
}

/* ---------------------------------------------------------------- the archive */

static char byte_order(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first ? '<' : '>';
}

/* Begin the member NAME.npy with its header: magic, version 1.0, length, a Python dict padded
 * so that the values start at a multiple of 64 bytes. kind: "f4", "i4", "U12". */
static wilor_status begin_array(wilor_cli_zip *zip, const char *name, const char *kind,
                                const char *shape, uint64_t bytes, wilor_error *err) {
    char member[40], text[256];
    unsigned char head[10 + sizeof text] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    snprintf(member, sizeof member, "%s.npy", name);
    int n = snprintf(text, sizeof text - 64,
                     "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }", byte_order(),
                     kind, shape);
    size_t length = (size_t)n;
    while ((10 + length + 1) % 64)
        text[length++] = ' ';
    text[length++] = '\n';
    head[8] = (unsigned char)(length & 0xFF);
    head[9] = (unsigned char)(length >> 8);
    memcpy(head + 10, text, length);
    wilor_status st = wilor_cli_zip_begin(zip, member, 10 + length + bytes, err);
    return st == WILOR_OK ? wilor_cli_zip_write(zip, head, 10 + length, err) : st;
}

/* An array from its spool. dims: what follows the number of hands in the shape. */
static wilor_status write_spooled(wilor_cli_npz *z, wilor_cli_zip *zip, const char *name,
                                  const char *kind, const char *dims, FILE *from,
                                  wilor_error *err) {
    char shape[64];
    unsigned char block[16384];
    off_t bytes = ftello(from);
    if (bytes < 0 || fflush(from) != 0 || fseeko(from, 0, SEEK_SET) != 0)
        return wilor_cli_fail_errno(err, z->path, "cannot write beside it", errno);
    snprintf(shape, sizeof shape, "%zu,%s%s", z->hands, *dims ? " " : "", dims);
    wilor_status st = begin_array(zip, name, kind, shape, (uint64_t)bytes, err);
    while (st == WILOR_OK && bytes > 0) {
        size_t n = bytes < (off_t)sizeof block ? (size_t)bytes : sizeof block;
        if (fread(block, 1, n, from) != n)
            return wilor_cli_fail(err, WILOR_ERR_IO, "%s: its temporary file is cut", z->path);
        st = wilor_cli_zip_write(zip, block, n, err);
        bytes -= (off_t)n;
    }
    return st == WILOR_OK ? wilor_cli_zip_end(zip, err) : st;
}

static wilor_status write_faces(wilor_cli_zip *zip, const int32_t *faces, int count,
                                wilor_error *err) {
    char shape[32];
    size_t bytes = (size_t)count * 3 * sizeof *faces;
    snprintf(shape, sizeof shape, "%d, 3", count);
    wilor_status st = begin_array(zip, "faces", "i4", shape, bytes, err);
    if (st == WILOR_OK)
        st = wilor_cli_zip_write(zip, faces, bytes, err);
    return st == WILOR_OK ? wilor_cli_zip_end(zip, err) : st;
}

/* One path, as UCS-4 padded with zeros to `width`. */
static wilor_status write_path(wilor_cli_zip *zip, const char *path, size_t width,
                               wilor_error *err) {
    uint32_t block[256];
    size_t n = 0;
    wilor_status st = WILOR_OK;
    for (size_t i = 0; st == WILOR_OK && i < width; i++) {
        block[n] = 0;
        if (*path)
            path += wilor_cli_utf8_next(path, &block[n]);
        if (++n == 256 || i + 1 == width) {
            st = wilor_cli_zip_write(zip, block, n * sizeof *block, err);
            n = 0;
        }
    }
    return st;
}

static wilor_status write_paths(wilor_cli_npz *z, wilor_cli_zip *zip, wilor_error *err) {
    char kind[32], shape[32];
    size_t width = z->longest ? z->longest : 1;
    snprintf(kind, sizeof kind, "U%zu", width);
    snprintf(shape, sizeof shape, "%zu,", z->pictures);
    uint64_t bytes = (uint64_t)z->pictures * width * sizeof(uint32_t);
    wilor_status st = begin_array(zip, "image_path", kind, shape, bytes, err);
    for (size_t i = 0; st == WILOR_OK && i < z->pictures; i++)
        st = write_path(zip, z->sources[i], width, err);
    return st == WILOR_OK ? wilor_cli_zip_end(zip, err) : st;
}

wilor_status wilor_cli_npz_finish(wilor_cli_npz *z, int vertices, const int32_t *faces,
                                  int count, wilor_error *err) {
    wilor_cli_zip zip;
    char dims[32];
    snprintf(dims, sizeof dims, "%d, 3", vertices);
    wilor_cli_zip_init(&zip, z->file.file, z->path);
    wilor_status st = write_paths(z, &zip, err);
    if (st == WILOR_OK)
        st = write_spooled(z, &zip, "image", "i4", "", z->image.file, err);
    if (st == WILOR_OK)
        st = write_spooled(z, &zip, "is_right", "f4", "", z->is_right.file, err);
    for (size_t i = 0; st == WILOR_OK && i < FIELDS; i++)
        if (wanted(z, i))
            st = write_spooled(z, &zip, g_fields[i].name, "f4",
                               g_fields[i].dims ? g_fields[i].dims : dims, z->spools[i].file,
                               err);
    if (st == WILOR_OK && z->camera)
        st = write_spooled(z, &zip, "detected", "f4", "", z->detected.file, err);
    if (st == WILOR_OK)
        st = write_faces(&zip, faces, count, err);
    if (st == WILOR_OK)
        st = wilor_cli_zip_finish(&zip, err);
    return st == WILOR_OK ? wilor_cli_temp_commit(&z->file, err) : st;
}
