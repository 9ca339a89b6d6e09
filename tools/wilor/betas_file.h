/* --betas: the shape of a known person's hand. */
#ifndef WILOR_CLI_BETAS_FILE_H
#define WILOR_CLI_BETAS_FILE_H

#include "cli_text.h"

/* 10 numbers from a text (separated by spaces, commas or lines; brackets as in JSON are fine),
 * or from the array `betas`, or the only one, of an npy or npz: n × 10 gives the mean of its
 * rows, rows with NaN left out. */
wilor_status wilor_cli_betas_read(float betas[10], const char *path, wilor_error *err);

#endif
