/* Small hand detectors as files in memory, sound or with something wrong: a detector.pt such as
 * ultralytics writes (fewer attributes, one storage), or wilor-mlx's safetensors. */
#ifndef DETECTOR_FILE_H
#define DETECTOR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a module or tensor of that name is written, something else happens:
 *   "class"   a module is of class `code` ("torch.nn.modules.activation\nReLU\n")
 *   "drop"    it is left out; `code` is not used
 *   "more"    before a tensor, or before a module's children: the operations `code`
 *   "rows"    a tensor's first size becomes the number in code[0]
 *   others    the attribute is the value that the pickle operations `code` make; with an empty
 *             code there is none
 * The pickle's top is named "top", its keys imgsz, ema, and more. */
typedef struct detector_edit {
    const char *name, *key, *code;
    size_t size;
} detector_edit;

#define DETECTOR_EDIT(name, key, code)                                                         \
    { name, key, code, sizeof(code) - 1 }

typedef struct detector_file {
    int width;   /* of all layers: even */
    int repeats; /* of all C2f layers */
    bool safetensors;
    bool big_endian; /* .pt */
    bool shared;     /* all tensors but the bins begin at the same byte */
    bool ema;        /* "ema" is the network, "model" an object without one */
    const detector_edit *edits;
    size_t edit_count;
} detector_file;

/* The file's bytes, to be freed with free(). */
uint8_t *detector_file_make(const detector_file *f, size_t *size);

#endif
