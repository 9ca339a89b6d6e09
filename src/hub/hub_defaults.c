/* The files that people use WiLoR with, and their pins.
 *
 * Part of every build, with or without downloads. A pin is the commit and the SHA-256 of a file that
 * somebody has seen and named in a commit of ours; "" where nobody has: none is ever made up. */
#include "status.h"
#include "wilor/wilor_io.h"

#include <stdbool.h>
#include <string.h>

#define MINI "warmshao/WiLoR-mini"
#define MLX "BasinShapers/wilor-mlx"

static const struct {
    const char *set;
    wilor_hub_default_file file;
} g_files[] = {
    {"mini", {MINI, "pretrained_models/wilor_final.ckpt", WILOR_HUB_WEIGHTS, "", ""}},
    {"mini", {MINI, "pretrained_models/detector.pt", WILOR_HUB_DETECTOR, "", ""}},
    {"mini", {MINI, "pretrained_models/MANO_RIGHT.pkl", WILOR_HUB_MANO, "", ""}},
    {"mini", {MINI, "pretrained_models/mano_mean_params.npz", WILOR_HUB_MEAN, "", ""}},
    {"mlx", {MLX, "wilor-mlx.safetensors", WILOR_HUB_WEIGHTS, "", ""}},
    {"mlx", {MLX, "hand-detector.safetensors", WILOR_HUB_DETECTOR, "", ""}},
    /* wilor-mlx has no hand of its own. */
    {"mlx", {MINI, "pretrained_models/MANO_RIGHT.pkl", WILOR_HUB_MANO, "", ""}},
    {"mlx", {MINI, "pretrained_models/mano_mean_params.npz", WILOR_HUB_MEAN, "", ""}},
};

wilor_status wilor_hub_default(const char *set, size_t i, wilor_hub_default_file *out) {
    bool known = false;
    for (size_t k = 0; k < sizeof g_files / sizeof g_files[0]; k++) {
        if (strcmp(g_files[k].set, set) != 0)
            continue;
        known = true;
        if (i-- == 0) {
            *out = g_files[k].file;
            return WILOR_OK;
        }
    }
    return known ? WILOR_ERR_MISSING : WILOR_ERR_ARG;
}
