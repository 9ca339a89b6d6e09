#include "live_setup.h"

/* nano's detector takes longer than its pose: at the rates that it is made for, every 15th picture is soon
 * enough. In doubt the tracker asks at once, whatever is said here. */
enum { NANO_DETECT_EVERY = 15 };

static int detect_every(const wilor_cli_live_setup *s) {
    int given = s->tracking->detect_every;
    return given == 0 && s->opened->files.nano ? NANO_DETECT_EVERY : given;
}

wilor_cli_engine_options wilor_cli_live_engine_options(wilor_cli_live_setup *s) {
    wilor_model_info info;
    wilor_model_get_info(s->opened->model, &info, sizeof info);
    wilor_cli_hub_sha256(s->sha256, s->p->weights);
    return (wilor_cli_engine_options){.stream = s->stream,
                                      .detector = s->opened->detector,
                                      .model = s->opened->model,
                                      .facts = {.name = *info.name ? info.name : "wilor",
                                                .label = info.label,
                                                .sha256 = s->sha256,
                                                .dtype = wilor_dtype_name(info.dtype),
                                                .device = info.device},
                                      .threads = s->p->threads,
                                      .max_hands = s->p->detect.max_hands,
                                      .track = s->tracking->track,
                                      .skip_empty = s->tracking->skip_empty,
                                      .smooth = s->tracking->smooth,
                                      .detect_every = detect_every(s),
                                      .hold = s->tracking->hold,
                                      .include = s->p->include,
                                      .compat = s->p->compat,
                                      .detect = s->p->detect,
                                      .options = s->p,
                                      .betas = s->betas,
                                      .predict = s->p->predict};
}
