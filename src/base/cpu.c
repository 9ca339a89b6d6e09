/* Processor features and counts. x86: CPUID leaves 1 and 7 and XCR0 (Intel SDM vol. 1, 13.3
 * and 14.3). Cores: affinity mask, hyperthread siblings from sysfs, quota of cgroup v2
 * (cpu.max) and v1. */
#include "cpu.h"
#include "accelerate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <pthread.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static unsigned long long read_xcr0(void) {
    unsigned lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (unsigned long long)hi << 32 | lo;
}

/* Bits of CPUID leaf 7 that older compilers' headers lack: ECX, EDX, then EAX of subleaf 1. */
enum {
    AVX512VNNI = 1 << 11,
    AMX_ALL = 1 << 22 | 1 << 24 | 1 << 25,
    AVXVNNI = 1 << 4,
    BF16 = 1 << 5
};

/* Linux gives the tile registers only to those that ask, for the whole process. */
static int amx_permitted(void) {
#if defined(__linux__)
    enum { REQUEST = 0x1023, TILE_DATA = 18 };

    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
    return 0;
#endif
}

static unsigned g_features;
static wilor_isa g_isa;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static wilor_isa tier_above(unsigned b, unsigned d, unsigned long long saved) {
    enum {
        USED = WILOR_CPU_AVX512VNNI | WILOR_CPU_AVX512BF16,
        ZMM = 0xE0,
        TILES = 0x60000,
        ALL = USED | WILOR_CPU_QUICK_BF16
    };

#if defined(WILOR_EMULATE_X86) /* by tests/emulate, on top of a real AVX2 */
    g_features = USED | WILOR_CPU_AVXVNNI;
    return WILOR_ISA_AMX;
#endif
    unsigned need = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    if ((b & need) != need || (saved & ZMM) != ZMM) {
        g_features &= ~(unsigned)ALL;
        return WILOR_ISA_AVX2;
    }
    int tiles = (d & AMX_ALL) == AMX_ALL && (saved & TILES) == TILES &&
                (g_features & USED) == USED && amx_permitted();
    return tiles ? WILOR_ISA_AMX : WILOR_ISA_AVX512;
}

static int is_amd(void) {
    unsigned most, b, c, d;
    return __get_cpuid(0, &most, &b, &c, &d) && b == signature_AMD_ebx &&
           c == signature_AMD_ecx && d == signature_AMD_edx;
}

static void detect(void) {
    enum { XMM_YMM = 0x6 };

    unsigned a, b, c, d;
    g_isa = WILOR_ISA_C;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    int fma = (c & bit_FMA) && (c & bit_F16C) && (c & bit_AVX);
    unsigned long long saved = read_xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (saved & XMM_YMM) != XMM_YMM || !fma ||
        !(b & bit_AVX2))
        return;
    unsigned more = 0, b1, c1, d1;
    if (a >= 1 && !__get_cpuid_count(7, 1, &more, &b1, &c1, &d1))
        more = 0;
    g_features = (more & AVXVNNI ? WILOR_CPU_AVXVNNI : 0) |
                 (more & BF16 ? WILOR_CPU_AVX512BF16 : 0) |
                 (more & BF16 && is_amd() ? WILOR_CPU_QUICK_BF16 : 0) |
                 (c & AVX512VNNI ? WILOR_CPU_AVX512VNNI : 0);
    g_isa = tier_above(b, d, saved);
}

wilor_isa wilor_cpu_isa(void) {
    pthread_once(&g_once, detect);
    return g_isa;
}

unsigned wilor_cpu_features(void) {
    pthread_once(&g_once, detect);
    return g_features;
}
#elif defined(__aarch64__) || defined(_M_ARM64)
wilor_isa wilor_cpu_isa(void) { return WILOR_ISA_NEON; /* part of the base architecture */ }

#if defined(__linux__)
#include <sys/auxv.h>

unsigned wilor_cpu_features(void) {
    enum { DOTPROD = 1 << 20 }; /* of HWCAP */

    enum { I8MM = 1 << 13, BF16 = 1 << 14 }; /* of HWCAP2 */

    unsigned long have = getauxval(AT_HWCAP), more = getauxval(AT_HWCAP2);
    return (have & DOTPROD ? WILOR_CPU_ARM_DOTPROD : 0) |
           (more & BF16 ? WILOR_CPU_ARM_BF16 : 0) | (more & I8MM ? WILOR_CPU_ARM_I8MM : 0);
}
#elif defined(__APPLE__)
#include <sys/sysctl.h>

static int has(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value;
}

unsigned wilor_cpu_features(void) {
    return (has("hw.optional.arm.FEAT_DotProd") ? WILOR_CPU_ARM_DOTPROD : 0) |
           (has("hw.optional.arm.FEAT_BF16") ? WILOR_CPU_ARM_BF16 : 0) |
           (has("hw.optional.arm.FEAT_I8MM") ? WILOR_CPU_ARM_I8MM : 0);
}
#else
unsigned wilor_cpu_features(void) { return 0; }
#endif
#else
wilor_isa wilor_cpu_isa(void) { return WILOR_ISA_C; }

unsigned wilor_cpu_features(void) { return 0; }
#endif

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
    case WILOR_ISA_AMX:
        return "amx";
    case WILOR_ISA_NEON:
        return "neon";
    case WILOR_ISA_ACCELERATE:
        return "accelerate";
    }
    return "unknown";
}

const char *wilor_dtype_name(wilor_dtype dtype) {
    static const char *const names[] = {"f32",  "auto", "f32x", "f16",
                                        "bf16", "int8", "int4", "fp8"};
    return (unsigned)dtype < sizeof names / sizeof names[0] ? names[dtype] : "unknown";
}

wilor_isa wilor_isa_best(void) {
    wilor_isa best = wilor_accelerate_sgemm() ? WILOR_ISA_ACCELERATE : wilor_cpu_isa();
    const char *wish = getenv("WILOR_ISA");
    if (!wish)
        return best;
    static const wilor_isa all[] = {WILOR_ISA_C,   WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                    WILOR_ISA_AMX, WILOR_ISA_NEON, WILOR_ISA_ACCELERATE};
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

/* Cores that have a processor within the process's affinity mask; of one group of at most 64, which is
 * where the system starts a process's threads. */
int wilor_cpu_cores(void) {
    DWORD_PTR mask = 0, system = 0;
    DWORD size = 0;
    int cores = 0;
    GetProcessAffinityMask(GetCurrentProcess(), &mask, &system);
    GetLogicalProcessorInformation(NULL, &size);
    SYSTEM_LOGICAL_PROCESSOR_INFORMATION *all = size ? malloc(size) : NULL;
    if (all && GetLogicalProcessorInformation(all, &size))
        for (DWORD i = 0; i < size / sizeof *all; i++)
            cores += all[i].Relationship == RelationProcessorCore &&
                     (all[i].ProcessorMask & mask) != 0;
    free(all);
    if (cores < 1) {
        SYSTEM_INFO info;
        GetSystemInfo(&info);
        cores = (int)info.dwNumberOfProcessors;
    }
    return cores > 0 ? cores : 1;
}
#else
int wilor_cpu_cores(void) { return 1; }
#endif

int wilor_threads_default(void) { return wilor_cpu_cores(); }
