/* mano.npz: arrays in npy format 1.0 (numpy.lib.format), stored. Numbers are the checkpoint's; indices
 * become 32-bit, as in the files that wilor-mlx's script makes. */
#include "mano_file.h"

#include "temp_file.h"
#include "zip_store.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *checkpoint, *npz;
    bool whole; /* indices */
} g_arrays[] = {
    {"mano.v_template", "v_template", false},
    {"mano.shapedirs", "shapedirs", false},
    {"mano.posedirs", "posedirs", false},
    {"mano.J_regressor", "J_regressor", false},
    {"mano.parents", "parents", true},
    {"mano.lbs_weights", "lbs_weights", false},
    {"mano.faces_tensor", "faces", true},
    {"mano.extra_joints_idxs", "extra_joints_idxs", true},
    {"mano.joint_map", "joint_map", true},
    {"backbone.init_hand_pose", "init_hand_pose", false},
    {"backbone.init_betas", "init_betas", false},
    {"backbone.init_cam", "init_cam", false},
};

enum { ARRAYS = sizeof g_arrays / sizeof g_arrays[0], ELEMENTS_MOST = 1 << 26, HEADER = 128 };

static wilor_status find(const wilor_file *f, const char *path, const char *name, size_t *at,
                         wilor_tensor_info *t, wilor_error *err) {
    wilor_cli_quoted q;
    size_t count = wilor_file_count(f);
    for (size_t i = 0; i < count; i++)
        if (wilor_file_tensor(f, i, t) == WILOR_OK && !strcmp(t->name, name)) {
            *at = i;
            return WILOR_OK;
        }
    return wilor_cli_fail(err, WILOR_ERR_MISSING, "%s has no %s", wilor_cli_quote(&q, path),
                          name);
}

/* The first axis of mean parameters is 1 in checkpoints; mano.npz has none. */
static int first_axis(const char *name, const wilor_tensor_info *t) {
    return !strncmp(name, "backbone.", 9) && t->rank > 1 && t->shape[0] == 1;
}

static size_t make_header(char header[HEADER], const char *name, const wilor_tensor_info *t,
                          bool whole) {
    char dims[64] = "";
    size_t at = 0;
    for (int i = first_axis(name, t); i < t->rank && at < sizeof dims - 24; i++)
        at += (size_t)snprintf(dims + at, sizeof dims - at, "%lld,", (long long)t->shape[i]);
    memset(header, ' ', HEADER);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10); /* 118 bytes follow */
    int n = snprintf(header + 10, HEADER - 10,
                     "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                     whole ? "<i4" : "<f4", dims);
    header[10 + n] = ' ';
    header[HEADER - 1] = '\n';
    return HEADER;
}

static wilor_status write_array(wilor_cli_zip *z, const wilor_file *f, const char *path,
                                size_t k, wilor_error *err) {
    wilor_status st;
    wilor_tensor_info t;
    char header[HEADER], member[40];
    size_t at = 0, count = 1;
    st = find(f, path, g_arrays[k].checkpoint, &at, &t, err);
    if (st != WILOR_OK)
        return st;
    for (int i = 0; i < t.rank; i++) {
        if (t.rank > 3 || t.shape[i] < 1 || (size_t)t.shape[i] > ELEMENTS_MOST / count)
            return wilor_cli_fail(err, WILOR_ERR_LIMIT, "%s is larger than any hand's", t.name);
        count *= (size_t)t.shape[i];
    }
    float *values = malloc(count * sizeof *values);
    int32_t *numbers = (int32_t *)(void *)values; /* same size; converted in place below */
    if (!values)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing mano.npz");
    st = wilor_file_read(f, at, values, count, err);
    for (size_t i = 0; st == WILOR_OK && g_arrays[k].whole && i < count; i++) {
        /* Vertices and joints: far below 2^24, where floats hold every whole number. */
        float v = values[i];
        int32_t n = v > -1e6f && v < 1e6f ? (int32_t)v : -1;
        memcpy(&numbers[i], &n, sizeof n);
    }
    size_t head = make_header(header, g_arrays[k].checkpoint, &t, g_arrays[k].whole);
    snprintf(member, sizeof member, "%s.npy", g_arrays[k].npz);
    if (st == WILOR_OK)
        st = wilor_cli_zip_begin(z, member, head + count * sizeof *values, err);
    if (st == WILOR_OK)
        st = wilor_cli_zip_write(z, header, head, err);
    if (st == WILOR_OK)
        st = wilor_cli_zip_write(z, values, count * sizeof *values, err);
    if (st == WILOR_OK)
        st = wilor_cli_zip_end(z, err);
    free(values);
    return st;
}

wilor_status wilor_cli_mano_file_write(const char *path, const char *checkpoint,
                                       wilor_error *err) {
    wilor_file *f = NULL;
    wilor_cli_temp_file out = {0};
    wilor_cli_zip zip;
    wilor_status st = wilor_file_open(&f, checkpoint, err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_open(&out, path, err);
    if (st == WILOR_OK) {
        wilor_cli_zip_init(&zip, out.file, path);
        for (size_t k = 0; st == WILOR_OK && k < ARRAYS; k++)
            st = write_array(&zip, f, checkpoint, k, err);
        if (st == WILOR_OK)
            st = wilor_cli_zip_finish(&zip, err);
        if (st == WILOR_OK)
            st = wilor_cli_temp_commit(&out, err);
        else
            wilor_cli_temp_discard(&out);
    }
    wilor_file_close(&f);
    return st;
}
