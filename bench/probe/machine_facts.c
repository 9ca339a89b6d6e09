/* From /proc and /sys of Linux, or from macOS's sysctl; Windows in machine_facts_windows.c, other systems say
 * less. */
#include "machine_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <mach/mach.h>
#include <sys/resource.h>
#include <sys/sysctl.h>
#endif

#if !defined(WILOR_MACHINE_BUILD)
#define WILOR_MACHINE_BUILD "unknown"
#endif

#if !defined(_WIN32)

/* What a file says behind `key` and a colon; 0: it does not. */
static int line_of(const char *path, const char *key, char *out, size_t size) {
    char line[512];
    int found = 0;
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        found = colon && strncmp(line, key, strlen(key)) == 0;
        if (found) {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
        }
    }
    if (f)
        fclose(f);
    return found;
}

/* The first line of a small file; 0: none. */
static int first_line(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "r");
    int found = f && fgets(out, (int)size, f);
    if (f)
        fclose(f);
    return found;
}

#if defined(__APPLE__)
/* 0: the system does not say. */
static int64_t system_number(const char *name) {
    int64_t wide = 0;
    size_t size = sizeof wide; /* which of both sizes it is: little-endian, the rest is zero */
    return sysctlbyname(name, &wide, &size, NULL, 0) == 0 ? wide : 0;
}
#endif

void wilor_machine_cpu(char *name, size_t size) {
#if defined(__APPLE__)
    if (sysctlbyname("machdep.cpu.brand_string", name, &size, NULL, 0) == 0)
        return;
#endif
    if (!line_of("/proc/cpuinfo", "model name", name, size))
        snprintf(name, size, "unknown processor");
}

#if defined(__linux__)
/* Whether no lower CPU of the mask is the same core: "0,16" or "0-1" lists a core's hyperthreads. */
static int is_first(int cpu, const cpu_set_t *mask) {
    char path[96], list[256];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             cpu);
    if (!first_line(path, list, sizeof list))
        return 1;
    for (char *at = list; *at;) {
        long from = strtol(at, &at, 10), to = from;
        if (*at == '-')
            to = strtol(at + 1, &at, 10);
        for (long i = from; i <= to && i < cpu; i++)
            if (i >= 0 && CPU_ISSET((int)i, mask))
                return 0;
        if (*at != ',')
            break;
        at++;
    }
    return 1;
}

int wilor_machine_cores(int *cpus, int most) {
    cpu_set_t mask;
    int count = 0;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mask) && is_first(cpu, &mask)) {
            if (count < most)
                cpus[count] = cpu;
            count++;
        }
    return count;
}

int wilor_machine_affinity(void) {
    cpu_set_t mask;
    return sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 0;
}
#elif defined(__APPLE__)
/* The performance cores, which nobody can choose by number. */
int wilor_machine_cores(int *cpus, int most) {
    int count = (int)system_number("hw.perflevel0.physicalcpu");
    count = count > 0 ? count : (int)system_number("hw.physicalcpu");
    for (int i = 0; i < count && i < most; i++)
        cpus[i] = i;
    return count;
}

int wilor_machine_affinity(void) { return (int)system_number("hw.logicalcpu"); }
#else
int wilor_machine_cores(int *cpus, int most) {
    (void)cpus;
    (void)most;
    return 0;
}

int wilor_machine_affinity(void) { return 0; }
#endif

double wilor_machine_quota(void) {
    char line[128];
    double quota = 0, period = 0;
    if (first_line("/sys/fs/cgroup/cpu.max", line, sizeof line)) /* "max 100000": none */
        return sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0 ? quota / period : 0;
    if (first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof line))
        quota = strtod(line, NULL);
    if (first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", line, sizeof line))
        period = strtod(line, NULL);
    return quota > 0 && period > 0 ? quota / period : 0;
}

double wilor_machine_cache_bytes(void) {
    double most = 0;
#if defined(__APPLE__)
    most = (double)system_number("hw.perflevel0.l2cachesize");
#endif
    for (int i = 0; i < 8; i++) {
        char path[96], line[64], *unit;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        if (!first_line(path, line, sizeof line))
            break;
        double size = strtod(line, &unit);
        size *= *unit == 'K' ? 1024 : *unit == 'M' ? 1024 * 1024 : 1;
        most = size > most ? size : most;
    }
    return most > 0 ? most : 64e6;
}

#if defined(__APPLE__)
/* Free and inactive pages, and those that can be given up. */
double wilor_machine_free_bytes(void) {
    vm_statistics64_data_t pages;
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, (host_info64_t)&pages, &count) !=
        KERN_SUCCESS)
        return 0;
    double free = (double)pages.free_count + pages.inactive_count + pages.purgeable_count;
    return free * (double)system_number("hw.pagesize");
}

/* There ru_maxrss is in bytes. */
double wilor_machine_peak_mb(void) {
    struct rusage used;
    return getrusage(RUSAGE_SELF, &used) == 0 ? (double)used.ru_maxrss * 1e-6 : 0;
}
#else
static double kilobytes_of(const char *path, const char *key) {
    char text[64];
    return line_of(path, key, text, sizeof text) ? strtod(text, NULL) * 1024 : 0;
}

double wilor_machine_free_bytes(void) { return kilobytes_of("/proc/meminfo", "MemAvailable"); }

double wilor_machine_peak_mb(void) { return kilobytes_of("/proc/self/status", "VmHWM") * 1e-6; }
#endif

#endif

const char *wilor_machine_build(void) { return WILOR_MACHINE_BUILD; }

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void wilor_machine_quantiles(double *times, int n, double out[3]) {
    qsort(times, (size_t)n, sizeof *times, by_value);
    out[0] = times[0];
    out[1] = n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2;
    out[2] = times[(9 * n + 9) / 10 - 1];
}
