/* Hands of a tracker as the hands of an event. */
#ifndef WILOR_CLI_LIVE_HANDS_H
#define WILOR_CLI_LIVE_HANDS_H

#include "live_hand.h"

/* What a tracker said of `from` is true of `to` as well. */
void wilor_cli_live_hand_keep(wilor_cli_live_hand *to, const wilor_cli_live_hand *from);

/* Tracked hands, in their order; returns how many: at most `most`, failed ones are left out. */
int wilor_cli_live_tracks_fill(wilor_cli_live_hand *to, int most, const wilor_model *model,
                               const wilor_tracks *tracks, unsigned include);

#endif
