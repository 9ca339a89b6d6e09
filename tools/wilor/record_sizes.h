/* Bytes of a hand's arrays in a binary record: for its writer and its reader. */
#ifndef WILOR_CLI_RECORD_SIZES_H
#define WILOR_CLI_RECORD_SIZES_H

#include "live_record.h"

enum {
    WILOR_CLI_RECORD_SIZE_KP2D = 21 * 2 * 4,
    WILOR_CLI_RECORD_SIZE_KP2D_DET = 21 * 3 * 4,
    WILOR_CLI_RECORD_SIZE_KP3D = 21 * 3 * 4,
    WILOR_CLI_RECORD_SIZE_MANO = (3 + 45 + 10) * 4,
    WILOR_CLI_RECORD_SIZE_XR26 = WILOR_CLI_XR_JOINTS * 8 * 4
};

/* Of all arrays that the flags announce. */
uint64_t wilor_cli_record_arrays(uint32_t flags, uint32_t vertices);

#endif
