/* Where standard input cannot be waited for with poll: raw frames are left to what reads videos. */
#include "video_impl.h"

bool wilor_video_raw_takes(const wilor_video *v) {
    (void)v;
    return false;
}

wilor_status wilor_video_raw_open(wilor_video *v, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "%s: not available on this system",
                           wilor_quote(&q, v->name));
}
