/* A tracker on a model and a pipeline: plan, detector, boxes, model, update. */
#include "model_impl.h"

#include "clock.h"
#include "crop.h"
#include "tracker.h"

wilor_status wilor_tracker_create(wilor_tracker **out, const wilor_model *model,
                                  const wilor_tracker_options *options, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_tracker_options given, o;
    wilor_error_clear(err);
    if (!out || !model)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_create: out and model may not be NULL");
    *out = NULL;
    wilor_tracker_options_init(&given, sizeof given);
    if (options)
        WILOR_TRY(
            wilor_options_read(&given, sizeof given, options, "wilor_tracker_options", err));
    WILOR_TRY(wilor_tracker_options_fill(&o, &given, err));
    WILOR_TRY(wilor_tracker_open(out, model->mano, &o, err));
done:
    return st;
}

static wilor_status check(const wilor_tracker *t, wilor_pipeline *p,
                          const wilor_picture *picture, const wilor_tracks **out,
                          wilor_error *err) {
    if (!t || !p || !picture || !out)
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "wilor_tracker_run: tracker, pipeline, picture and out may not be NULL");
    const wilor_session *s = wilor_pipeline_session(p);
    int most = wilor_pipeline_most(p);
    *out = NULL;
    if (!s || s->model->mano != t->mano)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_tracker_run: the pipeline has %s",
                               s ? "another model than the tracker" : "no model");
    if (most == 0)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_tracker_run: the pipeline has no detector");
    if (most < t->o.max_hands)
        return wilor_error_set(err, WILOR_ERR_LIMIT,
                               "wilor_tracker_run: the tracker follows %d hands; this pipeline "
                               "takes %d",
                               t->o.max_hands, most);
    return wilor_crop_check_picture(picture, err);
}

wilor_status wilor_tracker_run(wilor_tracker *tracker, wilor_pipeline *pipeline,
                               const wilor_picture *picture, int64_t time_ns,
                               const wilor_detect_options *detect_options,
                               const wilor_predict_options *predict_options,
                               const wilor_tracks **out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_picture view;
    const wilor_box *found = NULL, *boxes;
    const float *keypoints = NULL, *side_odds = NULL;
    const wilor_hands *hands = NULL;
    int detect, n = 0, count;
    wilor_error_clear(err);
    WILOR_TRY(check(tracker, pipeline, picture, out, err));
    WILOR_TRY(
        wilor_tracker_plan(tracker, time_ns, picture->width, picture->height, &detect, err));
    uint64_t start = wilor_clock_ns();
    view = *picture;
    WILOR_TRY(wilor_pipeline_as_rgb(pipeline, &view, predict_options, err));
    if (detect)
        WILOR_TRY(wilor_pipeline_find(pipeline, &view, detect_options, &found, &keypoints,
                                      &side_odds, &n, err));
    double spent = detect ? (double)(wilor_clock_ns() - start) * 1e-6 : 0;
    WILOR_TRY(wilor_tracker_boxes_odds(tracker, detect, found, keypoints, side_odds, n, &boxes,
                                       &count, err));
    if (count > 0)
        WILOR_TRY(wilor_pipeline_predict(
            pipeline, &view, boxes,
            wilor_detect_forces_side(detect_options) ? NULL : tracker->box_odds, count,
            predict_options, &hands, err));
    WILOR_TRY(wilor_tracker_update(tracker, hands, out, err));
    tracker->hands.detect_ms = spent;
done:
    return st;
}

wilor_status wilor_track_smooth(const wilor_model *model, const wilor_track_series *s,
                                double smooth, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_track_series own;
    wilor_error_clear(err);
    if (!model || !s)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_track_smooth: model and series may not be NULL");
    WILOR_TRY(wilor_options_read(&own, sizeof own, s, "wilor_track_series", err));
    WILOR_TRY(wilor_track_series_smooth(model->mano, &own, smooth, err));
done:
    return st;
}
