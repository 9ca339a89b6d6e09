#include "predict_record.h"

#include "live_hand.h"
#include "live_record.h"
#include <stdlib.h>

/* What can be said of the picture itself. */
static wilor_cli_live_event event_of(const wilor_cli_event *e, size_t picture,
                                     const wilor_hands *hands) {
    wilor_cli_live_event event = {.stream = "",
                                  .seq = picture,
                                  .frame = picture,
                                  .clock = WILOR_CLI_MEDIA,
                                  .width = e->width,
                                  .height = e->height,
                                  .mirrored = e->mirrored,
                                  .camera_given = e->camera_given,
                                  .metric = e->camera_given,
                                  .include = e->include,
                                  .vertices = hands->vertices};
    if (e->camera && hands->n > 0) {
        event.fx = (double)hands->focal[0];
        event.fy = (double)hands->focal[1];
        event.cx = (double)hands->principal[0];
        event.cy = (double)hands->principal[1];
    }
    return event;
}

wilor_status wilor_cli_predict_record(char **out, size_t *size, const wilor_cli_event *e,
                                      size_t picture, const wilor_model *model,
                                      const wilor_hands *hands, wilor_error *err) {
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    const wilor_cli_live_model facts = {.dtype = wilor_dtype_name(info.dtype),
                                        .device = info.device};
    const wilor_cli_record_how how = {.no_place = !e->camera};
    wilor_cli_live_event event = event_of(e, picture, hands);
    wilor_cli_live_hand *list = calloc((size_t)hands->n + 1, sizeof *list);
    *out = NULL;
    if (!list)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing a record");
    for (int i = 0; i < hands->n; i++)
        if (!hands->failed[i]) {
            wilor_cli_live_hand_fill(&list[event.n], model, hands, i, e->include);
            list[event.n].id = (uint32_t)event.n + 1;
            event.n++;
        }
    event.hands = list;
    event.model = &facts;
    *size = wilor_cli_record_size(&event, &how);
    *out = malloc(*size);
    if (*out)
        wilor_cli_record_write(*out, *size, &event, &how);
    free(list);
    return *out ? WILOR_OK
                : wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing a record");
}
