/* Checks of the program's outputs, for the shell scripts beside this file. Each returns 0 when
 * all is as it should be, else 1 after saying on stderr what is not. */
#ifndef WILOR_CLI_CHECK_H
#define WILOR_CLI_CHECK_H

#include "tensor_index.h"
#include <jansson.h>

/* ---- cli_check.c */

/* Print the line, return 1. */
int check_fail(const char *format, ...) WILOR_PRINTF(1, 2);
/* The file, or the end of the program. */
wilor_index *check_open(const char *path);
/* All values of a tensor as float; NULL when there is none. Free with wilor_heap_free. */
float *check_values(const wilor_index *index, const char *name, size_t *count);

/* ---- cli_check_events.c */

int check_json(const char *path);
int check_events(const char *path, size_t events, size_t hands);
int check_agree(const char *events, const char *npz);
int check_boxes(const char *boxes, const char *photo);

/* ---- cli_check_arrays.c */

int check_same(const char *a, const char *b, double tolerance);
int check_print(const char *npz, const char *name);
int check_zip(const char *path);
int check_palm(const char *npz, double palm);
int check_obj(const char *obj, const char *npz, size_t hand);
int check_reference(const char *npz, const char *reference, const char *warp);

/* ---- cli_check_meshes.c */

int check_obj_mesh(const char *obj, const char *npz, size_t hand);
/* All pictures are width × height. */
int check_gltf(const char *path, const char *npz, double width, double height);

#endif
