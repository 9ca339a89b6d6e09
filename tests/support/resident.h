/* What of a library's mappings is resident, by /proc/self/smaps. */
#ifndef WILOR_TEST_RESIDENT_H
#define WILOR_TEST_RESIDENT_H

#include <stdio.h>
#include <string.h>

/* KB of the file's own pages of `library` (a part of its path); -1: it is not mapped, or nothing tells. executable:
 * of its code alone, or else of its symbols and constants alone. */
static inline long resident_kb(const char *library, int executable) {
    char line[4096], permissions[8] = "";
    long sum = -1, kb;
    int wanted = 0;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    while (smaps && fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%*x-%*x %7s", permissions) == 1 && strchr(permissions, 'p'))
            wanted = strstr(line, library) && permissions[1] == '-' &&
                     (permissions[2] == 'x') == executable;
        else if (wanted && sscanf(line, "Rss: %ld", &kb) == 1)
            sum = (sum < 0 ? 0 : sum) + kb;
        else if (wanted && sscanf(line, "Anonymous: %ld", &kb) == 1)
            sum -= kb; /* Dirty pages may still be the file's, just after it was made. */
    }
    if (smaps)
        fclose(smaps);
    return sum;
}

#endif
