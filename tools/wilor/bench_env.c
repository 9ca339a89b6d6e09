/* What a measurement was made on: from the library's build line and from /proc. */
#include "bench_env.h"

#include "wilor/wilor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A copy of what /proc says behind `key` and a colon; false: it does not. */
static int proc_line(const char *path, const char *key, char *out, size_t size) {
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

/* "wilor 0.1.0 (commit), compiler, family": the part between `from` and `to`. */
static json_t *part_of_build(const char *from, const char *to) {
    const char *start = strstr(wilor_build_info(), from);
    const char *end = start ? strstr(start + strlen(from), to) : NULL;
    if (!end)
        return json_string("unknown");
    start += strlen(from);
    return json_stringn(start, (size_t)(end - start));
}

json_t *wilor_cli_bench_env(const char *isa, int threads) {
    char cpu[256] = "unknown";
    proc_line("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    return json_pack("{s:o,s:o,s:s,s:s,s:i,s:n}", "commit", part_of_build("(", ")"), "compiler",
                     part_of_build("), ", ", "), "cpu", cpu, "isa", isa, "threads", threads,
                     "gpu");
}

double wilor_cli_bench_peak_mb(void) {
    char text[64];
    if (!proc_line("/proc/self/status", "VmHWM", text, sizeof text))
        return 0;
    return strtod(text, NULL) * 1024 * 1e-6;
}

char *wilor_cli_bench_hand(void) {
    static const char *const places[] = {"../share/wilor/hand-cc0.npz",
                                         "../../../tests/golden/data/hand-cc0.npz"};

    enum { ROOM = 4096 };

    char *path = malloc(ROOM + 64);
    if (!path)
        return NULL;
    ssize_t n = readlink("/proc/self/exe", path, ROOM);
    while (n > 0 && path[n - 1] != '/')
        n--;
    for (int i = 0; n > 0 && i < 2; i++) {
        strcpy(path + n, places[i]);
        if (access(path, R_OK) == 0)
            return path;
    }
    free(path);
    return NULL;
}
