/* The detector's references: results of ultralytics and wilor-mlx as JSON, and the pictures
 * they were made from. Fails the test with a message where something is missing in them. */
#ifndef WILOR_TEST_DETECTOR_GOLDEN_H
#define WILOR_TEST_DETECTOR_GOLDEN_H

#include "wilor/wilor_io.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define DETECTOR_FIXTURES WILOR_TEST_FIXTURES "/detector"
#define DETECTOR_DATA WILOR_TEST_DATA "/detector"

enum { DETECTOR_BATCH = 2 };

/* One result of ultralytics: of a run of one picture, or of one picture of a batch. */
typedef struct detector_run {
    const char *file; /* the reference's name */
    const char *kind; /* "single", or the batch's kind */
    int imgsz;
    double conf;
    int shape[4]; /* of the network's input: N C H W */
    wilor_picture pictures[DETECTOR_BATCH];
    int count, which; /* how many, and which of them this is */
    json_t *entry;    /* holds the hash of this one's input and its detections */
    json_t *input;    /* holds the hash of the whole input */
} detector_run;

/* Free with json_decref. */
json_t *detector_json(const char *path);
json_t *detector_get(json_t *object, const char *key);
/* count numbers; nested arrays one after the other. */
void detector_floats(json_t *array, float *out, size_t count);
const char *detector_text(json_t *object, const char *key);

/* The picture of a reference's entry, by its name under folder/frames or among the photos;
 * false when there is none, or when its pixels are not those that the reference saw. */
bool detector_picture(const char *folder, json_t *entry, wilor_image *out);

/* Calls `one` for every run of a reference whose pictures are there; returns how many. */
int detector_each_run(const char *folder, const char *name,
                      void (*one)(const detector_run *run, void *context), void *context);

/* SHA-256 of bytes equals hex, or the test fails. */
void detector_expect_hash(const char *what, const void *data, size_t bytes, const char *hex);

#endif
