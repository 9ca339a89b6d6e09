/* What the checks of a card share: options, formula pictures, and a table of differences. No test framework:
 * the machine with the card may have none. */
#ifndef WILOR_CUDA_COMPARE_H
#define WILOR_CUDA_COMPARE_H

#include "wilor/wilor.h"
#include <stddef.h>
#include <stdint.h>

typedef struct compare_options {
    const char *weights, *mano, *detector, *device;
    const char *headed; /* NULL, or where weights with a side head may be written */
    wilor_dtype dtype;
    int hands, full_path, width, height;
    double scale; /* of every tolerance: 1 */
} compare_options;

/* How many lines were above their tolerance so far. */
extern int g_compare_failed;

/* One line: largest and median difference, the largest reference value, the tolerance (relative to
 * max(1, that value)) and whether it holds. NaN and infinity must meet their equals. */
void compare_numbers(const char *what, const float *got, const float *want, size_t count,
                     double tolerance);

/* n crops of 256 × 256 × 3 whole numbers: soft shapes with noise, from a formula. */
void compare_fill_crops(float *rgb, int n);
void compare_fill_picture(uint8_t *rgb, int width, int height);
/* The formula's picture of --size, RGB; its pixels are to be freed. */
uint8_t *compare_make_picture(wilor_picture *out, const compare_options *o);

/* Prints and exits when st is an error. */
void compare_need(wilor_status st, const wilor_error *err, const char *what);
void *compare_alloc(size_t bytes);
void compare_sort(float *x, size_t count); /* ascending */

/* The options' files on a device. */
wilor_model *compare_open_model(const compare_options *o, const char *device,
                                wilor_dtype dtype);
wilor_detector *compare_open_detector(const compare_options *o, const char *device,
                                      wilor_dtype dtype);

void compare_network(const compare_options *o);
void compare_cards(const compare_options *o);
void compare_wide(const compare_options *o);
void compare_route(const compare_options *o);
void compare_sides(const compare_options *o);
void compare_turns(const compare_options *o);
void compare_detector(const compare_options *o);
void compare_frames(const compare_options *o);
void compare_times(const compare_options *o);

#endif
