/* Media times that grow with every frame, from the times a source gives. */
#ifndef WILOR_VIDEO_CLOCK_H
#define WILOR_VIDEO_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define WILOR_VIDEO_NO_TIME INT64_MIN

typedef struct wilor_video_clock {
    int64_t step;      /* ns from frame to frame where nothing else is known; > 0 */
    bool begun, joint; /* joint: the next time continues the last one, whatever it says */
    bool lacks_start;  /* no frame had a time yet */
    int64_t start;     /* the source's time of frame 0 */
    int64_t shift;     /* subtracted from the source's times */
    int64_t last;
} wilor_video_clock;

void wilor_video_clock_init(wilor_video_clock *c, int64_t step);

/* The next frame's media time in ns: 0 for the first, then larger than the last one. time: the
 * source's, ns, or WILOR_VIDEO_NO_TIME. *repaired: true when the source's time was missing or did
 * not do.
 *   missing                                one step behind the last
 *   the same, or up to a second earlier    half a step behind the last, so that one wrong time does
 *                                          not move those behind it
 *   earlier, or an hour later              the source's clock was set anew: one step behind the
 *                                          last, and the following times are moved along */
int64_t wilor_video_clock_next(wilor_video_clock *c, int64_t time, bool *repaired);

/* The source begins again: its next time is one step behind the last. No repair. */
void wilor_video_clock_rejoin(wilor_video_clock *c);

#endif
