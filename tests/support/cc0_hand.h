/* The free hand of tests/golden/data, for tests of what poses it. Link golden.c. */
#ifndef WILOR_TEST_CC0_HAND_H
#define WILOR_TEST_CC0_HAND_H

#include <cmocka.h>

#include "golden.h"
#include "mano.h"

/* The caller's, with wilor_mano_free; fails the test where it cannot be read. */
static inline wilor_mano *cc0_hand_open(void) {
    wilor_error err;
    wilor_mano *hand = NULL;
    wilor_index *x = golden_open(golden_path(WILOR_TEST_DATA, "hand-cc0.npz"));
    if (wilor_index_canonical(x, &err) != WILOR_OK ||
        wilor_mano_create(&hand, x, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_index_close(&x);
    return hand;
}

#endif
