/* What a file of weights says of itself beside its tensors: keys of the metadata that are ours. */
#ifndef WILOR_MODEL_NOTES_H
#define WILOR_MODEL_NOTES_H

#include "tensor_index.h"

enum { WILOR_MODEL_NAME = 32 }; /* room for a name, its final zero included */

typedef struct wilor_model_notes {
    const char *name;    /* "wilor.model": "nano"; "" where the file does not say */
    double rescale;      /* "wilor.rescale": crop side over the box's longer side that it was
                            trained for; 0 where the file does not say */
    const char *licence; /* "license"; "" where the file does not say */
} wilor_model_notes;

/* Texts live as long as the index. ERR_MODEL: a name that is not 1 to 31 letters, digits, '.', '_'
 * and '-'; a rescale that is no decimal number from 0.01 to 100. */
wilor_status wilor_model_notes_read(wilor_model_notes *out, const wilor_index *x,
                                    wilor_error *err);

#endif
