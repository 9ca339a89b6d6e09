#include "live_info.h"

#include "event_json.h"
#include "system_files.h"
#include "wilor/wilor_io.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const g_joints[21] = {
    "wrist",      "thumb_cmc",  "thumb_mcp", "thumb_ip",   "thumb_tip",  "index_mcp",
    "index_pip",  "index_dip",  "index_tip", "middle_mcp", "middle_pip", "middle_dip",
    "middle_tip", "ring_mcp",   "ring_pip",  "ring_dip",   "ring_tip",   "little_mcp",
    "little_pip", "little_dip", "little_tip"};

static const char *const g_xr26[26] = {"palm",
                                       "wrist",
                                       "thumb_metacarpal",
                                       "thumb_proximal",
                                       "thumb_distal",
                                       "thumb_tip",
                                       "index_metacarpal",
                                       "index_proximal",
                                       "index_intermediate",
                                       "index_distal",
                                       "index_tip",
                                       "middle_metacarpal",
                                       "middle_proximal",
                                       "middle_intermediate",
                                       "middle_distal",
                                       "middle_tip",
                                       "ring_metacarpal",
                                       "ring_proximal",
                                       "ring_intermediate",
                                       "ring_distal",
                                       "ring_tip",
                                       "little_metacarpal",
                                       "little_proximal",
                                       "little_intermediate",
                                       "little_distal",
                                       "little_tip"};

static bool is_hex(const char *text, size_t length) {
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

void wilor_cli_hub_sha256(char out[WILOR_CLI_SHA256_ROOM], const char *path) {
    *out = 0;
    char *real = path ? wilor_sys_real_path(path) : NULL;
    const char *name = real ? wilor_cli_base_name(real) : "";
    if (is_hex(name, WILOR_CLI_SHA256_ROOM - 1))
        memcpy(out, name, WILOR_CLI_SHA256_ROOM);
    free(real);
}

/* ".../snapshots/REVISION/file", as the hub's cache has it; "" for others. */
static void find_revision(char out[64], const char *path) {
    static const char folder[] = "/snapshots/";
    const char *at = path ? strstr(path, folder) : NULL;
    *out = 0;
    if (!at)
        return;
    at += sizeof folder - 1;
    snprintf(out, 64, "%.*s", (int)(strcspn(at, "/") < 63 ? strcspn(at, "/") : 63), at);
}

/* Missing values are null, so that a reader finds every key. */
static json_t *text_or_null(const char *text) {
    if (!text || !*text)
        return json_null();
    char *sound = wilor_cli_utf8_copy(text);
    json_t *value = sound ? json_string(sound) : NULL;
    free(sound);
    return value;
}

static json_t *names(const char *const *list, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        if (json_array_append_new(array, json_string(list[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *model_object(const char *weights, const wilor_model *model) {
    char sha256[WILOR_CLI_SHA256_ROOM], revision[64];
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    wilor_cli_hub_sha256(sha256, weights);
    find_revision(revision, weights);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:I, s:i, s:i}", "name",
                     *info.name ? info.name : "wilor", "file",
                     text_or_null(wilor_cli_base_name(info.weights)), "revision",
                     text_or_null(revision), "sha256", text_or_null(sha256), "label",
                     text_or_null(info.label), "dtype", wilor_dtype_name(info.dtype), "device",
                     info.device, "isa", wilor_isa_name(info.isa), "parameters",
                     (json_int_t)info.parameters, "vertices", info.vertices, "faces",
                     info.faces);
}

static json_t *detector_object(const wilor_detector *detector) {
    wilor_detector_info info;
    if (!detector)
        return json_null();
    wilor_detector_get_info(detector, &info, sizeof info);
    return json_pack("{s:o, s:i}", "file", text_or_null(wilor_cli_base_name(info.detector)),
                     "imgsz", info.imgsz);
}

/* What stands in for an option that was not given. */
static double default_rescale(const wilor_cli_predict_options *p,
                              const wilor_model_info *info) {
    return p->predict.rescale > 0            ? p->predict.rescale
           : info->rescale > 0               ? info->rescale
           : p->compat == WILOR_COMPAT_WILOR ? 2.0
                                             : 2.5;
}

static double default_iou(const wilor_cli_predict_options *p, const wilor_detector *detector) {
    wilor_detector_info info = {.iou = 0.7};
    if (detector)
        wilor_detector_get_info(detector, &info, sizeof info);
    return p->detect.iou > 0 ? p->detect.iou : p->compat == WILOR_COMPAT_MLX ? 0.5 : info.iou;
}

static json_t *defaults_object(const wilor_cli_predict_options *p,
                               const wilor_detector *detector, const wilor_model_info *info) {
    static const char *const parts[] = {"mano", "xr26", "vertices", "det", "gesture", "angles"};
    json_t *include = json_array();
    for (int i = 0; i < 6; i++)
        if (p->include >> i & 1)
            json_array_append_new(include, json_string(parts[i]));
    return json_pack("{s:f, s:f, s:i, s:f, s:b, s:o}", "conf",
                     p->detect.conf > 0 ? p->detect.conf : 0.3, "iou", default_iou(p, detector),
                     "max_hands", p->detect.max_hands, "rescale", default_rescale(p, info),
                     "mirrored", p->predict.mirrored, "include", include);
}

/* A model with a name of its own brings its hand along, under one licence. */
static json_t *licences_object(const wilor_model_info *info) {
    if (*info->name)
        return json_pack("{s:s, s:o, s:o}", "wilor", "MIT", "weights",
                         text_or_null(info->licence), "hand", text_or_null(info->licence));
    return json_pack("{s:s, s:s, s:s}", "wilor", "MIT", "weights",
                     "WiLoR's weights: CC BY-NC-ND 4.0, by their authors", "hand",
                     "MANO: licence of the Max Planck Society, https://mano.is.tue.mpg.de");
}

json_t *wilor_cli_live_info(const wilor_cli_predict_options *p, const wilor_cli_opened *opened,
                            const char *stream) {
    static const char *const compats[] = {"mini", "wilor", "mlx"};
    wilor_model_info info;
    wilor_model_get_info(opened->model, &info, sizeof info);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:s}", "name",
                     "wilor", "version", wilor_version(), "build", wilor_build_info(), "model",
                     model_object(p->weights, opened->model), "detector",
                     detector_object(opened->detector), "compat", compats[p->compat],
                     "defaults", defaults_object(p, opened->detector, &info), "joints",
                     names(g_joints, 21), "xr26", names(g_xr26, 26), "licences",
                     licences_object(&info), "pictures", wilor_io_formats(), "stream", stream);
}
