/* What a module's table of functions begins with. Plain C, for nvcc too. */
#ifndef WILOR_MODULE_HEAD_H
#define WILOR_MODULE_HEAD_H

#include <stdint.h>

typedef struct wilor_module_head {
    uint32_t abi;  /* goes up with every change of the interface */
    uint32_t size; /* of the table */
} wilor_module_head;

#endif
