/* The allocations' turn to fail is derived from the input, so that a corpus also reaches the
 * error paths of memory, and a finding can be replayed. */
#include "fuzz_input.h"

#include "heap.h"

uint32_t wilor_fuzz_hash(const uint8_t *data, size_t size) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 16777619u;
    return hash ^ hash >> 15;
}

void wilor_fuzz_twice(void (*target)(const uint8_t *data, size_t size), const uint8_t *data,
                      size_t size) {
    uint32_t hash = wilor_fuzz_hash(data, size);
    wilor_heap_fail_at(-1);
    target(data, size);
    long calls = wilor_heap_calls();
    if (hash % 4 != 0 || calls == 0)
        return;
    wilor_heap_fail_at((long)(hash / 4) % calls);
    target(data, size);
    wilor_heap_fail_at(-1);
}
