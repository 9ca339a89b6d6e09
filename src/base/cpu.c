/* Processor features and counts. x86: CPUID leaves 1 and 7 and XCR0 (Intel SDM vol. 1, 13.3
 * and 14.3). Cores: affinity mask, hyperthread siblings from sysfs, quota of cgroup v2
 * (cpu.max) and v1. */
#include "cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

static unsigned long long read_xcr0(void) {
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (unsigned long long)hi << 32 | lo;
}

static wilor_isa detect(void) {
    enum { XMM_YMM = 0x6, ZMM = 0xE0 };

    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return WILOR_ISA_C;
    int fma = (c & bit_FMA) && (c & bit_F16C) && (c & bit_AVX);
    unsigned long long saved = read_xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (saved & XMM_YMM) != XMM_YMM || !fma ||
        !(b & bit_AVX2))
        return WILOR_ISA_C;
    unsigned need = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    return (b & need) == need && (saved & ZMM) == ZMM ? WILOR_ISA_AVX512 : WILOR_ISA_AVX2;
}
#elif defined(__aarch64__) || defined(_M_ARM64)
static wilor_isa detect(void) { return WILOR_ISA_NEON; /* part of the base architecture */ }
#else
static wilor_isa detect(void) { return WILOR_ISA_C; }
#endif

wilor_isa wilor_cpu_isa(void) { return detect(); }

const char *wilor_isa_name(wilor_isa isa) {
    switch (isa) {
    case WILOR_ISA_AUTO:
        return "auto";
    case WILOR_ISA_C:
        return "c";
    case WILOR_ISA_AVX2:
        return "avx2";
    case WILOR_ISA_AVX512:
        return "avx512";
    case WILOR_ISA_NEON:
        return "neon";
    }
    return "unknown";
}

wilor_isa wilor_isa_best(void) {
    wilor_isa best = wilor_cpu_isa();
    const char *wish = getenv("WILOR_ISA");
    if (!wish)
        return best;
    static const wilor_isa all[] = {WILOR_ISA_C, WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                    WILOR_ISA_NEON};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(wish, wilor_isa_name(all[i])) == 0 && all[i] < best)
            best = all[i];
    return best;
}

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>

/* The first number of a small file, or -1. */
static long read_number(const char *path) {
    FILE *f = fopen(path, "re");
    long n = -1;
    if (f) {
        if (fscanf(f, "%ld", &n) != 1)
            n = -1;
        fclose(f);
    }
    return n;
}

/* CPUs that are the first hyperthread, within the mask, of their core. */
static int physical_cores(const cpu_set_t *mask) {
    int cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[96];
        if (!CPU_ISSET(cpu, mask))
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
        long core = read_number(path);
        snprintf(path, sizeof path,
                 "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
        long package = read_number(path);
        int first = 1;
        for (int other = 0; other < cpu && first && core >= 0; other++) {
            if (!CPU_ISSET(other, mask))
                continue;
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id",
                     other);
            if (read_number(path) != core)
                continue;
            snprintf(path, sizeof path,
                     "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", other);
            first = read_number(path) != package;
        }
        cores += first;
    }
    return cores;
}

/* The quota in whole cores, rounded up; 0 when there is none. */
static int quota_cores(void) {
    long quota = -1, period = -1;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f) {
        if (fscanf(f, "%ld %ld", &quota, &period) != 2)
            quota = -1;
        fclose(f);
    } else {
        quota = read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
        period = read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int wilor_cpu_cores(void) {
    cpu_set_t mask;
    int cores = 0;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
        cores = physical_cores(&mask);
    if (cores < 1) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cores = online > 0 && online < 4096 ? (int)online : 1;
    }
    int quota = quota_cores();
    return quota > 0 && quota < cores ? quota : cores;
}
#elif defined(__APPLE__)
#include <sys/sysctl.h>

/* Performance cores only: the efficient ones would make every barrier wait for them. */
int wilor_cpu_cores(void) {
    int n = 0;
    size_t size = sizeof n;
    if (sysctlbyname("hw.perflevel0.physicalcpu", &n, &size, NULL, 0) != 0 || n < 1) {
        size = sizeof n;
        if (sysctlbyname("hw.physicalcpu", &n, &size, NULL, 0) != 0)
            n = 1;
    }
    return n > 0 ? n : 1;
}
#elif defined(_WIN32)
#include <windows.h>

int wilor_cpu_cores(void) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwNumberOfProcessors > 0 ? (int)info.dwNumberOfProcessors : 1;
}
#else
int wilor_cpu_cores(void) { return 1; }
#endif

int wilor_threads_default(void) { return wilor_cpu_cores(); }
