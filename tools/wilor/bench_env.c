/* What a measurement was made on: from the library's build line and from bench/probe. */
#include "bench_env.h"

#include "machine_facts.h"
#include "system_files.h"
#include "wilor/wilor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    char cpu[256];
    wilor_machine_cpu(cpu, sizeof cpu);
    double quota = wilor_machine_quota();
    return json_pack("{s:o,s:o,s:s,s:s,s:s,s:i,s:i,s:o,s:n}", "commit", part_of_build("(", ")"),
                     "compiler", part_of_build("), ", ", "), "build", wilor_machine_build(),
                     "cpu", cpu, "isa", isa, "threads", threads, "affinity",
                     wilor_machine_affinity(), "quota",
                     quota > 0 ? json_real(quota) : json_null(), "gpu");
}

char *wilor_cli_bench_hand(void) {
    static const char *const places[] = {"../share/wilor/hand-cc0.npz",
                                         "../../../tests/golden/data/hand-cc0.npz"};

    enum { ROOM = 4096 };

    char *path = malloc(ROOM + 64);
    if (!path)
        return NULL;
    size_t n = wilor_sys_program_path(path, ROOM);
    while (n > 0 && path[n - 1] != '/')
        n--;
    for (int i = 0; n > 0 && i < 2; i++) {
        strcpy(path + n, places[i]);
        if (wilor_sys_access(path, WILOR_SYS_READABLE) == 0)
            return path;
    }
    free(path);
    return NULL;
}
