/* Media times: repairs that keep a variable rate as it is. */
#include "video_clock.h"

static const int64_t second = INT64_C(1000000000);
/* Times beyond are nonsense from a damaged file; within, sums of a few cannot overflow. */
static const int64_t largest = INT64_C(1) << 60;

void wilor_video_clock_init(wilor_video_clock *c, int64_t step) {
    *c = (wilor_video_clock){.step = step > 0 ? step : second / 30};
}

void wilor_video_clock_rejoin(wilor_video_clock *c) { c->joint = c->begun; }

int64_t wilor_video_clock_next(wilor_video_clock *c, int64_t time, bool *repaired) {
    bool missing = time <= -largest || time >= largest;
    *repaired = missing;
    if (!c->begun) {
        c->begun = true;
        c->joint = c->lacks_start = missing;
        c->start = c->shift = missing ? 0 : time;
        c->last = 0;
        return 0;
    }
    const int64_t ahead = missing ? 0 : time - c->shift - c->last;
    if (missing) {
        c->last += c->step;
    } else if (c->joint || ahead < -second || ahead > 3600 * second) {
        *repaired = !c->joint;
        c->joint = false;
        c->last += c->step;
        c->shift = time - c->last;
        if (c->lacks_start)
            c->start = c->shift;
        c->lacks_start = false;
    } else if (ahead <= 0) {
        *repaired = true;
        c->last += c->step / 2 + 1;
    } else {
        c->last += ahead;
    }
    return c->last;
}
