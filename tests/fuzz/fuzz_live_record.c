/* Binary records of arbitrary bytes: what is refused is not touched, what is taken is read to its last number.
 * Records may follow each other. */
#include "fuzz_input.h"

#include "live_record.h"
#include <stdlib.h>

static float sum_floats(const uint8_t *array, size_t count) {
    float sum = 0;
    for (size_t i = 0; array && i < count; i++)
        sum += wilor_cli_record_float(array, i);
    return sum;
}

static float sum_hand(const wilor_cli_record *r, int i) {
    wilor_cli_record_hand h;
    wilor_cli_record_get_hand(r, i, &h);
    float sum = sum_floats(h.kp2d, 42) + sum_floats(h.kp2d_det, 63) + sum_floats(h.kp3d, 63) +
                sum_floats(h.mano, 58) + sum_floats(h.xr26, 208);
    for (size_t k = 0; h.vertices && k < (size_t)r->vertices * 3; k++)
        sum += wilor_cli_record_vertex(r, &h, k);
    if (h.id == 0 || h.state > WILOR_CLI_PREDICTED)
        abort();
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    volatile float sum = 0;
    wilor_cli_record r;
    wilor_error err;
    while (wilor_cli_record_read(&r, data, size, &err) == WILOR_OK) {
        if (r.size < WILOR_CLI_RECORD_HEADER || r.size > size)
            abort();
        for (int i = 0; i < r.hands; i++)
            sum = sum + sum_hand(&r, i);
        data += r.size;
        size -= r.size;
    }
    if (!err.text[0])
        abort();
    return 0;
}
