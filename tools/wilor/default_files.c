/* Which files a run uses.
 *
 * No --weights: what WILOR_WEIGHTS says as if it were given; else the set that the cache has, WiLoR-mini's
 * before wilor-mlx's; else nano, where it is installed; else WiLoR-mini's from the hub. `wilor` is the set that the cache
 * has, else WiLoR-mini's from the hub. The detector comes from the same set. A checkpoint brings its hand along, and it is kept as
 * mano.npz in wilor's own cache folder; wilor-mlx's weights take that one, else the one of a cached
 * checkpoint, else MANO's own file from the hub. A path for --weights asks no network for anything. */
#include "default_files.h"

#include "hub_calls.h"
#include "hub_name.h"
#include "mano_file.h"
#include "nano_name.h"
#include "system_files.h"
#include "wilor/wilor_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 4096 };

typedef struct finder {
    wilor_cli_files *f;
    const wilor_cli_wanted_files *w;
    wilor_cli_hub_calls calls;
    wilor_hub_options hub;
} finder;

static char *copy(const char *text) { return text ? strdup(text) : NULL; }

static wilor_status keep(char **out, const char *text, wilor_error *err) {
    free(*out);
    *out = copy(text);
    return *out || !text ? WILOR_OK : wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
}

static bool exists(const char *path) { return wilor_sys_access(path, WILOR_SYS_READABLE) == 0; }

/* The set's file for a role; false: it has none. */
static bool default_file(const char *set, wilor_hub_role role, wilor_hub_default_file *out) {
    for (size_t i = 0; wilor_hub_default(set, i, out) == WILOR_OK; i++)
        if (out->role == role)
            return true;
    return false;
}

static wilor_status fetch(finder *x, char **out, const char *repo, const char *file,
                          bool offline, wilor_error *err) {
    char path[PATH_ROOM];
    wilor_hub_options o = x->hub;
    o.offline = offline || x->w->offline;
    wilor_status st = wilor_hub_fetch(path, sizeof path, repo, file, &o, err);
    wilor_cli_report_clear(x->calls.report);
    return st == WILOR_OK ? keep(out, path, err) : st;
}

static wilor_status fetch_role(finder *x, char **out, const char *set, wilor_hub_role role,
                               bool offline, wilor_error *err) {
    wilor_hub_default_file d;
    if (!default_file(set, role, &d))
        return wilor_cli_fail(err, WILOR_ERR_MISSING, "the set %s has no such file", set);
    return fetch(x, out, d.repo, d.file, offline, err);
}

/* ---------------------------------------------------------------- the hand */

static bool own_hand(char path[PATH_ROOM]) {
    if (wilor_hub_folder(path, PATH_ROOM - 16, WILOR_HUB_OWN, NULL) != WILOR_OK)
        return false;
    strcat(path, "/mano.npz");
    return true;
}

/* Keep a checkpoint's hand for weights that have none. It can be made again: failing is no error. */
static void keep_hand(const char *checkpoint) {
    char path[PATH_ROOM];
    wilor_error err;
    if (own_hand(path) && !exists(path))
        (void)wilor_cli_mano_file_write(path, checkpoint, &err);
}

static wilor_status find_hand(finder *x, wilor_error *err) {
    char path[PATH_ROOM] = "", *checkpoint = NULL;
    if (x->w->mano)
        return WILOR_OK;
    if (own_hand(path) && exists(path))
        return keep(&x->f->mano, path, err);
    if (fetch_role(x, &checkpoint, "mini", WILOR_HUB_WEIGHTS, true, err) == WILOR_OK)
        keep_hand(checkpoint);
    free(checkpoint);
    if (exists(path))
        return keep(&x->f->mano, path, err);
    wilor_status st = fetch_role(x, &x->f->mano, "mlx", WILOR_HUB_MANO, false, err);
    if (st == WILOR_OK && !x->w->mean)
        st = fetch_role(x, &x->f->mean, "mlx", WILOR_HUB_MEAN, false, err);
    return st;
}

/* ---------------------------------------------------------------- sets and repositories */

static bool wants_detector(const finder *x) { return x->w->need_detector && !x->w->detector; }

static wilor_status after_weights(finder *x, const char *set, wilor_error *err) {
    if (!strcmp(set, "mlx"))
        return find_hand(x, err);
    keep_hand(x->f->weights);
    return WILOR_OK;
}

static wilor_status from_set(finder *x, const char *set, bool offline, wilor_error *err) {
    wilor_status st = fetch_role(x, &x->f->weights, set, WILOR_HUB_WEIGHTS, offline, err);
    if (st == WILOR_OK && wants_detector(x))
        st = fetch_role(x, &x->f->detector, set, WILOR_HUB_DETECTOR, offline, err);
    return st == WILOR_OK ? after_weights(x, set, err) : st;
}

/* WiLoR's own, of whichever set the cache has. */
static wilor_status from_cache(finder *x, wilor_error *err) {
    static const char *const sets[] = {"mini", "mlx"};
    wilor_status st = WILOR_ERR_MISSING;
    for (int i = 0; i < 2 && st == WILOR_ERR_MISSING; i++) {
        wilor_cli_files_free(x->f);
        st = from_set(x, sets[i], true, err);
    }
    if (st != WILOR_OK)
        wilor_cli_files_free(x->f);
    return st;
}

static wilor_status from_cache_or_hub(finder *x, wilor_error *err) {
    wilor_status st = from_cache(x, err);
    return st == WILOR_ERR_MISSING ? from_set(x, "mini", false, err) : st;
}

static wilor_status nano_file(char **out, wilor_nano_file file, wilor_error *err) {
    char path[WILOR_CLI_NANO_ROOM];
    wilor_status st = wilor_nano_path(path, sizeof path, file, err);
    return st == WILOR_OK ? keep(out, path, err) : st;
}

static wilor_status from_nano(finder *x, wilor_error *err) {
    wilor_status st = nano_file(&x->f->weights, WILOR_NANO_WEIGHTS, err);
    if (st == WILOR_OK && wants_detector(x))
        st = nano_file(&x->f->detector, WILOR_NANO_DETECTOR, err);
    x->f->nano = st == WILOR_OK;
    return st;
}

static bool nano_is_named(void) {
    const char *folder = wilor_sys_getenv("WILOR_NANO_DIR");
    return folder && *folder;
}

/* Neither --weights nor WILOR_WEIGHTS. What is wrong with the cache is told; that there is none, or no
 * hub in this build, is not wrong. Where nano was not installed the hub is asked, as for `wilor`. */
static wilor_status by_default(finder *x, wilor_error *err) {
    char missing[sizeof err->text];
    wilor_status st = from_cache(x, err);
    if (st != WILOR_ERR_MISSING && st != WILOR_ERR_UNSUPPORTED)
        return st;
    st = from_nano(x, err);
    if (st == WILOR_OK)
        wilor_cli_report_note(x->calls.report,
                              "the model is nano, small and free; wilor download mini fetches "
                              "WiLoR's own, more exact (2.6 GB, not for commercial use), which "
                              "is taken from then on");
    if (st != WILOR_ERR_MISSING)
        return st;
    if (!nano_is_named()) {
        wilor_cli_files_free(x->f);
        return from_set(x, "mini", false, err);
    }
    snprintf(missing, sizeof missing, "%s", err->text);
    return wilor_cli_fail(
        err, st,
        "no model: WiLoR's own is not in the cache (wilor download mini fetches "
        "it), and %.380s",
        missing);
}

/* org/name: a copy of one of the sets, told by its files; or one file of it. */
static wilor_status from_repo(finder *x, const wilor_cli_hub_name *n, wilor_error *err) {
    static const char *const sets[] = {"mini", "mlx"};
    wilor_hub_default_file weights, detector;
    wilor_status st = WILOR_ERR_MISSING;
    x->hub.revision = *n->revision ? n->revision : NULL;
    if (*n->file)
        st = fetch(x, &x->f->weights, n->repo, n->file, false, err);
    for (int i = 0; i < 2; i++) {
        bool known = default_file(sets[i], WILOR_HUB_WEIGHTS, &weights) &&
                     default_file(sets[i], WILOR_HUB_DETECTOR, &detector);
        if (!known || (*n->file && strcmp(n->file, weights.file) != 0))
            continue;
        if (!*n->file)
            st = fetch(x, &x->f->weights, n->repo, weights.file, false, err);
        if (st == WILOR_ERR_MISSING)
            continue;
        if (st == WILOR_OK && wants_detector(x))
            st = fetch(x, &x->f->detector, n->repo, detector.file, false, err);
        x->hub.revision = NULL;
        return st == WILOR_OK ? after_weights(x, sets[i], err) : st;
    }
    x->hub.revision = NULL;
    if (st == WILOR_ERR_MISSING && !*n->file) {
        char last[sizeof err->text];
        snprintf(last, sizeof last, "%s", err->text);
        return wilor_cli_fail(err, st, "no weights found in %s (%s:path names a file): %.380s",
                              n->repo, n->repo, last);
    }
    if (st == WILOR_OK && wants_detector(x))
        st = fetch_role(x, &x->f->detector, "mini", WILOR_HUB_DETECTOR, false, err);
    return st;
}

/* ---------------------------------------------------------------- paths */

/* Beside the weights, under the names of the sets; then in the cache. No network. */
static wilor_status detector_for_path(finder *x, wilor_error *err) {
    static const char *const sets[] = {"mini", "mlx"};
    wilor_hub_default_file d;
    size_t folder = (size_t)(wilor_cli_base_name(x->w->weights) - x->w->weights);
    for (int i = 0; i < 2; i++) {
        char path[PATH_ROOM];
        if (!default_file(sets[i], WILOR_HUB_DETECTOR, &d))
            continue;
        int n = snprintf(path, sizeof path, "%.*s%s", (int)folder, x->w->weights,
                         wilor_cli_base_name(d.file));
        if (n > 0 && n < (int)sizeof path && exists(path))
            return keep(&x->f->detector, path, err);
    }
    for (int i = 0; i < 2; i++)
        if (fetch_role(x, &x->f->detector, sets[i], WILOR_HUB_DETECTOR, true, err) == WILOR_OK)
            return WILOR_OK;
    return wilor_cli_fail(err, WILOR_ERR_MISSING,
                          "no hand detector: give --detector detector.pt, or fetch one with "
                          "wilor download mini; or say where the hands are, --bbox "
                          "x0,y0,x1,y1,left|right, or that the pictures are crops, --crops");
}

/* wilor-mlx's weights have no hand: the one that is kept will do. */
static wilor_status hand_for_path(finder *x, wilor_error *err) {
    char path[PATH_ROOM];
    wilor_file *file = NULL;
    bool bare = false;
    if (x->w->mano || !own_hand(path) || !exists(path))
        return WILOR_OK;
    if (wilor_file_open(&file, x->w->weights, NULL) == WILOR_OK)
        bare = wilor_file_get_kind(file) == WILOR_FILE_MLX;
    wilor_file_close(&file);
    return bare ? keep(&x->f->mano, path, err) : WILOR_OK;
}

static wilor_status from_path(finder *x, wilor_error *err) {
    wilor_status st = keep(&x->f->weights, x->w->weights, err);
    if (st == WILOR_OK && !wilor_cli_is_formula(x->w->weights))
        st = hand_for_path(x, err);
    if (st == WILOR_OK && wants_detector(x))
        st = detector_for_path(x, err);
    return st;
}

/* ---------------------------------------------------------------- the whole */

static bool is_set(const char *weights) {
    return !strcmp(weights, "mini") || !strcmp(weights, "mlx");
}

const char *wilor_cli_weights_wanted(const wilor_cli_wanted_files *w) {
    const char *named = wilor_sys_getenv("WILOR_WEIGHTS");
    return w->weights ? w->weights : named && *named ? named : NULL;
}

bool wilor_cli_files_are_found(const wilor_cli_wanted_files *w) {
    const char *weights = wilor_cli_weights_wanted(w);
    return !weights || is_set(weights) || !strcmp(weights, "wilor") ||
           wilor_cli_is_nano(weights) || !wilor_cli_is_local(weights);
}

void wilor_cli_files_free(wilor_cli_files *f) {
    free(f->weights);
    free(f->detector);
    free(f->mano);
    free(f->mean);
    *f = (wilor_cli_files){.nano = false};
}

static wilor_status find(finder *x, wilor_error *err) {
    const char *weights = x->w->weights;
    wilor_cli_hub_name n;
    if (!weights)
        return by_default(x, err);
    if (!strcmp(weights, "wilor"))
        return from_cache_or_hub(x, err);
    if (wilor_cli_is_nano(weights))
        return from_nano(x, err);
    if (is_set(weights))
        return from_set(x, weights, false, err);
    if (wilor_cli_is_local(weights) || !wilor_cli_hub_name_parse(&n, weights))
        return from_path(x, err);
    return from_repo(x, &n, err);
}

wilor_status wilor_cli_files_find(wilor_cli_files *f, const wilor_cli_wanted_files *w,
                                  wilor_cli_report *report, wilor_error *err) {
    wilor_cli_wanted_files own = *w;
    finder x = {.f = f, .w = &own};
    own.weights = wilor_cli_weights_wanted(w);
    *f = (wilor_cli_files){.nano = false};
    wilor_hub_options_init(&x.hub, sizeof x.hub);
    x.hub.callbacks = wilor_cli_hub_calls_begin(&x.calls, report);
    wilor_status st = find(&x, err);
    if (st == WILOR_OK && !wilor_cli_is_nano(w->detector) && w->detector)
        st = keep(&f->detector, w->detector, err);
    else if (st == WILOR_OK && w->detector && w->need_detector)
        st = nano_file(&f->detector, WILOR_NANO_DETECTOR, err);
    if (st == WILOR_OK && w->mano)
        st = keep(&f->mano, w->mano, err);
    if (st == WILOR_OK && w->mean)
        st = keep(&f->mean, w->mean, err);
    if (st != WILOR_OK)
        wilor_cli_files_free(f);
    return st;
}
