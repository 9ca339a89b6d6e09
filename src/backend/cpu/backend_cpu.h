/* What tests reach into: the parts of the CPU back end's model and session. */
#ifndef WILOR_BACKEND_CPU_H
#define WILOR_BACKEND_CPU_H

#include "backend.h"
#include "heap.h"
#include "refine.h"
#include "vit.h"

typedef struct wilor_cpu_model {
    wilor_vit vit;
    wilor_refine refine;
    const wilor_mano *mano;
    wilor_pages pages; /* all packed weights */
    wilor_arena arena; /* over them */
    size_t bytes;      /* used of them */
    uint64_t parameters;
    size_t room; /* the loader's */
    wilor_dtype dtype;
    bool in_place; /* the arena is the caller's packed weights */
} wilor_cpu_model;

/* What comes behind the backbone. */
typedef enum wilor_cpu_part {
    WILOR_CPU_LAST_BLOCK, /* for the rows that are needed, and the last norm */
    WILOR_CPU_HEADS,
    WILOR_CPU_MANO,   /* both times */
    WILOR_CPU_REFINE, /* RefineNet: projection, maps, samples, decoders */
    WILOR_CPU_PARTS
} wilor_cpu_part;

typedef struct wilor_cpu_session {
    const wilor_cpu_model *model;
    wilor_threads *pool;
    wilor_backend_session o;
    wilor_arena arena;
    wilor_pages pages;
    wilor_vit_work vit;
    wilor_refine_work refine;
    float *pose6d; /* batch × 96 */
    float *mano;   /* scratch per thread */
    size_t mano_floats;
    wilor_span network[WILOR_PHASES]; /* of the last run: the backbone's phases */
    wilor_span part[WILOR_CPU_PARTS];
    int corner[256]; /* patches a side that each hand's last refinement used, for tests */
} wilor_cpu_session;

enum { WILOR_MAX_BATCH = 256 };

#endif
