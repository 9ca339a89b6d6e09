/* What predict, live and serve have in common: from options to a detector and a model. */
#include "model_open.h"

#include "commands.h"
#include "detector_dtype.h"
#include "hub_calls.h"
#include "interrupt.h"
#include "nano_name.h"

#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

void wilor_cli_opened_init(wilor_cli_opened *m) { *m = (wilor_cli_opened){.packed = {-1}}; }

static void loading(void *user, const char *what, uint64_t done, uint64_t total) {
    wilor_cli_report_loading(user, what, done, total);
}

static void logged(void *user, wilor_log_level level, const char *text) {
    if (level == WILOR_LOG_WARNING)
        wilor_cli_report_note(user, "%s", text);
}

/* Files that are simply not there get the exit status of "model missing". */
wilor_status wilor_cli_model_files_check(const wilor_cli_predict_options *o, wilor_error *err) {
    const wilor_cli_wanted_files wanted = {.weights = o->weights};
    const char *paths[] = {wilor_cli_weights_wanted(&wanted), o->mano, o->mean,
                           o->use_detector ? o->detector : NULL};
    const char *names[] = {o->weights ? "--weights" : "WILOR_WEIGHTS", "--mano", "--mean",
                           "--detector"};
    wilor_status st = wilor_cli_check_file("--packed", o->packed, err);
    if (st != WILOR_OK)
        return st;
    if (wilor_cli_files_are_found(&wanted))
        return WILOR_OK; /* looked for later */
    if (wilor_cli_is_nano(paths[3]))
        paths[3] = NULL;
    for (int i = 0; st == WILOR_OK && i < 4; i++)
        st = wilor_cli_check_file(names[i], paths[i], err);
    return st;
}

wilor_status wilor_cli_model_files_find(wilor_cli_opened *m, wilor_cli_predict_options *o,
                                        wilor_cli_report *report, wilor_error *err) {
    wilor_cli_wanted_files w = {.weights = o->weights,
                                .detector = o->detector,
                                .mano = o->mano,
                                .mean = o->mean,
                                .need_detector = o->use_detector,
                                .offline = o->offline};
    wilor_status st = wilor_cli_files_find(&m->files, &w, report, err);
    o->weights = m->files.weights;
    o->detector = m->files.detector;
    o->mano = m->files.mano;
    o->mean = m->files.mean;
    /* It is small enough to be packed in no time, and whole numbers cost it nothing; a card has none. */
    if (m->files.nano && o->unasked_dtype && !wilor_cli_is_own_device(o->device))
        o->dtype = WILOR_DTYPE_INT8;
    if (m->files.nano && o->unasked_cache)
        o->cache_packed = false;
    return st;
}

/* What opening needed for a moment need not stay with the process. */
static void give_back_memory(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

/* What goes wrong with the packed weights only costs time. */
static void keep_packed(wilor_cli_opened *m, const wilor_cli_predict_options *o,
                        wilor_cli_report *report, const char *path) {
    wilor_model_info info;
    wilor_cli_quoted q;
    wilor_error err;
    wilor_model_get_info(m->model, &info, sizeof info);
    if (strcmp(info.device, "cpu") != 0) { /* it has no such files */
        wilor_cli_packed_end(&m->packed);
        if (o->packed)
            wilor_cli_report_note(report,
                                  "--packed %s is not used: device %s has no packed weights",
                                  wilor_cli_quote(&q, o->packed), info.device);
        return;
    }
    if (*path && info.from_packed)
        wilor_cli_packed_touch(&m->packed);
    else
        wilor_cli_packed_end(&m->packed);
    if (o->packed && !info.from_packed)
        wilor_cli_report_note(report,
                              "--packed %s is not used: made from other files, for another "
                              "processor, by another version, or cut",
                              wilor_cli_quote(&q, o->packed));
    if (*path && !info.from_packed && wilor_cli_packed_keep(path, m->model, &err) != WILOR_OK)
        wilor_cli_report_note(report, "packed weights are not kept: %s", err.text);
}

wilor_status wilor_cli_model_open(wilor_cli_opened *m, const wilor_cli_predict_options *o,
                                  wilor_cli_report *report, wilor_error *err) {
    char packed[WILOR_CLI_PACKED_PATH] = "";
    wilor_model_options mo;
    wilor_detector_options dopt;
    wilor_model_options_init(&mo, sizeof mo);
    mo.weights = o->weights;
    mo.mano = o->mano;
    mo.mean = o->mean;
    mo.heads = o->heads;
    mo.dtype = o->dtype;
    mo.device = o->device;
    mo.threads = o->threads;
    mo.callbacks = (wilor_callbacks){
        .user = report, .log = logged, .progress = loading, .cancel = wilor_cli_cancel};
    if (o->cache_packed && wilor_cli_packed_path(packed, o->weights, o->mano, o->mean, o->dtype,
                                                 err) != WILOR_OK) {
        wilor_cli_report_note(report, "packed weights are not kept: %s", err->text);
        packed[0] = 0;
    }
    wilor_cli_packed_begin(&m->packed, packed);
    mo.packed = *packed ? packed : o->packed;
    wilor_detector_options_init(&dopt, sizeof dopt);
    dopt.detector = o->detector;
    dopt.threads = o->threads;
    dopt.device = o->device;
    dopt.callbacks = mo.callbacks;
    /* The smaller file first: what is wrong with it is seen at once. */
    wilor_status st = o->use_detector
                          ? wilor_cli_open_detector(&m->detector, &dopt, o->dtype, err)
                          : WILOR_OK;
    if (st == WILOR_OK)
        st = wilor_model_open(&m->model, &mo, err);
    wilor_cli_report_clear(report);
    give_back_memory();
    if (st == WILOR_OK)
        keep_packed(m, o, report, packed);
    return st;
}

int wilor_cli_model_get(wilor_cli_opened *m, wilor_cli_predict_options *o,
                        wilor_cli_report *report, wilor_error *err) {
    wilor_status st = wilor_cli_model_files_find(m, o, report, err);
    if (st != WILOR_OK)
        return wilor_cli_hub_exit(st);
    st = wilor_cli_model_open(m, o, report, err);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    if (st != WILOR_OK)
        return st == WILOR_ERR_MISSING ? WILOR_CLI_NO_MODEL : WILOR_CLI_FAILED;
    return 0;
}

void wilor_cli_opened_close(wilor_cli_opened *m) {
    wilor_detector_free(&m->detector);
    wilor_model_free(&m->model);
    wilor_cli_packed_end(&m->packed);
    wilor_cli_files_free(&m->files);
}
