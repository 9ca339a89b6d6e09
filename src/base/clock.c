/* Monotonic time from the system. */
#include "clock.h"

#if defined(_WIN32)
#include <windows.h>

uint64_t wilor_clock_ns(void) {
    LARGE_INTEGER now, rate;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&rate);
    uint64_t whole = (uint64_t)(now.QuadPart / rate.QuadPart);
    uint64_t rest = (uint64_t)(now.QuadPart % rate.QuadPart);
    return whole * 1000000000u + rest * 1000000000u / (uint64_t)rate.QuadPart;
}
#elif defined(__APPLE__)
#include <time.h>

/* CLOCK_MONOTONIC counts microseconds there. */
uint64_t wilor_clock_ns(void) { return clock_gettime_nsec_np(CLOCK_UPTIME_RAW); }
#else
#include <time.h>

uint64_t wilor_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif
