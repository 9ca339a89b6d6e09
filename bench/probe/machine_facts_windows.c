/* machine_facts.h from Windows. */
#include "machine_facts.h"

#include <windows.h>

#include <psapi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

void wilor_machine_cpu(char *name, size_t size) {
    snprintf(name, size, "unknown processor");
#if defined(__x86_64__)
    unsigned words[13] = {0};
    for (unsigned leaf = 0; leaf < 3; leaf++) {
        unsigned *w = words + 4 * leaf;
        if (!__get_cpuid(0x80000002u + leaf, w, w + 1, w + 2, w + 3))
            return;
    }
    const char *text = (const char *)words;
    snprintf(name, size, "%s", text + strspn(text, " "));
#endif
}

/* Calls `take` with every piece of news of a kind; what the system says is in one block of entries of
 * different sizes. */
typedef void (*piece_fn)(void *user, const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *piece);

static void each_piece(LOGICAL_PROCESSOR_RELATIONSHIP kind, piece_fn take, void *user) {
    DWORD size = 0;
    GetLogicalProcessorInformationEx(kind, NULL, &size);
    unsigned char *all = size ? malloc(size) : NULL;
    if (all && GetLogicalProcessorInformationEx(kind, (void *)all, &size))
        for (DWORD at = 0; at < size;) {
            const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *piece = (const void *)(all + at);
            take(user, piece);
            at += piece->Size;
        }
    free(all);
}

typedef struct core_list {
    DWORD_PTR allowed; /* of our group */
    int *cpus, most, count;
} core_list;

static void add_core(void *user, const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *piece) {
    core_list *l = user;
    KAFFINITY mine = piece->Processor.GroupMask[0].Mask & l->allowed;
    if (piece->Processor.GroupMask[0].Group != 0 || !mine)
        return;
    if (l->count < l->most)
        l->cpus[l->count] = __builtin_ctzll(mine);
    l->count++;
}

static DWORD_PTR allowed(void) {
    DWORD_PTR process = 0, system = 0;
    return GetProcessAffinityMask(GetCurrentProcess(), &process, &system) ? process : 0;
}

int wilor_machine_cores(int *cpus, int most) {
    core_list l = {allowed(), cpus, most, 0};
    each_piece(RelationProcessorCore, add_core, &l);
    return l.count;
}

int wilor_machine_affinity(void) { return __builtin_popcountll(allowed()); }

double wilor_machine_quota(void) { return 0; }

static void widest(void *user, const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *piece) {
    double *most = user;
    *most = piece->Cache.CacheSize > *most ? piece->Cache.CacheSize : *most;
}

double wilor_machine_cache_bytes(void) {
    double most = 0;
    each_piece(RelationCache, widest, &most);
    return most > 0 ? most : 64e6;
}

double wilor_machine_free_bytes(void) {
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    return GlobalMemoryStatusEx(&status) ? (double)status.ullAvailPhys : 0;
}

double wilor_machine_peak_mb(void) {
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};
    return K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)
               ? (double)counters.PeakWorkingSetSize * 1e-6
               : 0;
}
