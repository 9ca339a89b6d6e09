/* Recording. Frames go to an unnamed file as they come; in memory a hand has its shape's sums and four bytes a
 * frame. The files are written at the end, each under a temporary name first. */
#include "live_take.h"

#include "system_files.h"
#include "take_tracks.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MOST_FRAMES = 1 << 30 };

struct wilor_cli_take {
    wilor_cli_temp_file gltf, spool;
    char *bvh; /* NULL: none */
    char *gltf_name;
    wilor_cli_tracks tracks;
    size_t track_room;
    uint32_t frames;
    bool begun;
    int64_t start, last; /* ns */
};

static wilor_status no_memory(wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while recording");
}

/* ---------------------------------------------------------------- begin and end */

static wilor_status check_ending(const char *option, const char *path, const char *ending,
                                 wilor_error *err) {
    wilor_cli_quoted q;
    if (!path || strcasecmp(wilor_cli_ending(path), ending) == 0)
        return WILOR_OK;
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s %s: it should be a name that ends in %s",
                          option, wilor_cli_quote(&q, path), ending);
}

/* BVH's names are not known before the end; that nothing can be written there should be known now. */
static wilor_status check_folder(const char *path, wilor_error *err) {
    char *folder = strdup(path);
    if (!folder)
        return no_memory(err);
    size_t n = (size_t)(wilor_sys_base_name(folder) - folder);
    folder[n > 1 ? n - 1 : n] = 0; /* "/" stays */
    wilor_status st = WILOR_OK;
    if (wilor_sys_access(n ? folder : ".", WILOR_SYS_FOLDER_WRITABLE) != 0)
        st = wilor_cli_fail_errno(err, path, "cannot write", errno);
    free(folder);
    return st;
}

static wilor_status open_files(wilor_cli_take *t, const char *gltf, const char *bvh,
                               wilor_error *err) {
    wilor_status st = check_ending("--gltf", gltf, ".glb", err);
    if (st == WILOR_OK)
        st = check_ending("--bvh", bvh, ".bvh", err);
    if (st == WILOR_OK && bvh)
        st = check_folder(bvh, err);
    if (st != WILOR_OK)
        return st;
    t->bvh = bvh ? strdup(bvh) : NULL;
    t->gltf_name = gltf ? strdup(gltf) : NULL;
    if ((bvh && !t->bvh) || (gltf && !t->gltf_name))
        return no_memory(err);
    if (gltf)
        st = wilor_cli_temp_open(&t->gltf, gltf, err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_spool(&t->spool, gltf ? gltf : bvh ? bvh : "take", err);
    return st;
}

wilor_status wilor_cli_take_open(wilor_cli_take **out, const char *gltf, const char *bvh,
                                 const wilor_model *model, wilor_error *err) {
    wilor_cli_take *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return no_memory(err);
    wilor_status st = open_files(t, gltf, bvh, err);
    if (st != WILOR_OK)
        wilor_cli_take_free(&t);
    if (t) {
        t->tracks.model = model;
        t->tracks.spool = t->spool.file;
    }
    *out = t;
    return st;
}

void wilor_cli_take_free(wilor_cli_take **take) {
    if (!take || !*take)
        return;
    wilor_cli_take *t = *take;
    wilor_cli_temp_discard(&t->gltf);
    wilor_cli_temp_discard(&t->spool);
    for (size_t i = 0; i < t->tracks.count; i++)
        free(t->tracks.list[i].places);
    free(t->tracks.list);
    free(t->bvh);
    free(t->gltf_name);
    free(t);
    *take = NULL;
}

/* ---------------------------------------------------------------- frames */

static wilor_cli_track *find_track(wilor_cli_take *t, const wilor_cli_live_hand *h) {
    wilor_cli_tracks *all = &t->tracks;
    for (size_t i = all->count; i-- > 0;) /* the newest are the likely ones */
        if (all->list[i].id == h->id)
            return &all->list[i];
    if (all->count == t->track_room) {
        size_t room = t->track_room ? 2 * t->track_room : 16;
        wilor_cli_track *grown = realloc(all->list, room * sizeof *grown);
        if (!grown)
            return NULL;
        all->list = grown;
        t->track_room = room;
    }
    all->list[all->count] = (wilor_cli_track){.id = h->id, .side = h->side, .last = -1};
    return &all->list[all->count++];
}

static bool add_place(wilor_cli_track *track, uint32_t place) {
    if (track->count == track->room) {
        size_t room = track->room ? 2 * track->room : 64;
        uint32_t *grown = realloc(track->places, room * sizeof *grown);
        if (!grown)
            return false;
        track->places = grown;
        track->room = room;
    }
    track->places[track->count++] = place;
    return true;
}

/* False: a number is not finite. */
static bool fill_frame(wilor_cli_take_frame *f, const wilor_cli_live_hand *h, double t) {
    bool sound = true;
    memset(f, 0, sizeof *f);
    f->t = t;
    for (int i = 0; i < 3; i++)
        f->place[i] = h->keypoints_3d[0][i] + h->cam_t[i];
    for (int j = 0; j < WILOR_CLI_BONES; j++) {
        const float *from = j ? h->hand_pose + 3 * (j - 1) : h->global_orient;
        double v[3] = {(double)from[0], (double)from[1], (double)from[2]}, q[4];
        wilor_cli_quat_from_vector(v, q);
        for (int i = 0; i < 4; i++) {
            f->turn[j][i] = (float)q[i];
            sound = sound && isfinite(f->turn[j][i]);
        }
    }
    for (int i = 0; i < 10; i++)
        sound = sound && isfinite(h->betas[i]);
    return sound && isfinite(f->place[0]) && isfinite(f->place[1]) && isfinite(f->place[2]);
}

static wilor_status add_hand(wilor_cli_take *t, const wilor_cli_live_hand *h, double seconds,
                             wilor_error *err) {
    wilor_cli_take_frame f;
    if (!fill_frame(&f, h, seconds))
        return WILOR_OK;
    wilor_cli_track *track = find_track(t, h);
    if (!track)
        return no_memory(err);
    if (seconds <= track->last)
        return WILOR_OK;
    if (t->frames == MOST_FRAMES)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT, "a take has at most %d frames of hands",
                              MOST_FRAMES);
    if (fwrite(&f, sizeof f, 1, t->spool.file) != 1)
        return wilor_cli_fail_errno(err, t->gltf_name ? t->gltf_name : t->bvh,
                                    "cannot write beside it", errno);
    if (!add_place(track, t->frames))
        return no_memory(err);
    t->frames++;
    track->first = track->count == 1 ? seconds : track->first;
    track->last = seconds;
    for (int i = 0; i < 10; i++)
        track->sums[i] += (double)h->betas[i];
    return WILOR_OK;
}

wilor_status wilor_cli_take_add(wilor_cli_take *t, const wilor_cli_live_event *e,
                                wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (!t->begun)
        t->start = t->last = e->t_capture;
    t->begun = true;
    if (e->t_capture < t->last) /* a client's clock: time does not go back in a take */
        return WILOR_OK;
    t->last = e->t_capture;
    double seconds = (double)(e->t_capture - t->start) * 1e-9;
    t->tracks.end = seconds;
    for (int i = 0; st == WILOR_OK && i < e->n; i++)
        st = add_hand(t, &e->hands[i], seconds, err);
    return st;
}

bool wilor_cli_track_frame(const wilor_cli_tracks *t, const wilor_cli_track *track, size_t i,
                           wilor_cli_take_frame *out) {
    uint64_t at = (uint64_t)track->places[i] * sizeof *out;
    return wilor_sys_pread(fileno(t->spool), out, sizeof *out, at) == (ssize_t)sizeof *out;
}

/* ---------------------------------------------------------------- files */

/* NAME.bvh and hand 7, a right one: NAME_7_right.bvh. */
static wilor_status write_bvh(wilor_cli_take *t, const wilor_cli_track *track,
                              wilor_error *err) {
    wilor_cli_temp_file file = {0};
    size_t room = strlen(t->bvh) + 32;
    char *path = malloc(room);
    if (!path)
        return no_memory(err);
    snprintf(path, room, "%.*s_%lu_%s.bvh", (int)(wilor_cli_ending(t->bvh) - t->bvh), t->bvh,
             (unsigned long)track->id, track->side == WILOR_LEFT ? "left" : "right");
    wilor_status st = wilor_cli_temp_open(&file, path, err);
    if (st == WILOR_OK)
        st = wilor_cli_take_bvh(&t->tracks, track, file.file, path, err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_commit(&file, err);
    wilor_cli_temp_discard(&file);
    free(path);
    return st;
}

wilor_status wilor_cli_take_finish(wilor_cli_take *t, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (fflush(t->spool.file) != 0)
        return wilor_cli_fail_errno(err, t->gltf_name ? t->gltf_name : t->bvh,
                                    "cannot write beside it", errno);
    for (size_t i = 0; i < t->tracks.count; i++)
        for (int k = 0; k < 10; k++)
            t->tracks.list[i].betas[k] =
                (float)(t->tracks.list[i].sums[k] / (double)t->tracks.list[i].count);
    if (t->gltf_name)
        st = wilor_cli_take_gltf(&t->tracks, t->gltf.file, t->gltf_name, err);
    if (st == WILOR_OK && t->gltf_name)
        st = wilor_cli_temp_commit(&t->gltf, err);
    for (size_t i = 0; st == WILOR_OK && t->bvh && i < t->tracks.count; i++)
        st = write_bvh(t, &t->tracks.list[i], err);
    return st;
}
