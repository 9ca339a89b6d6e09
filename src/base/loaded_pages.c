/* Pages of libraries that only the system's loader has read. */
#include "loaded_pages.h"

#if defined(__linux__)
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int count_one(struct dl_phdr_info *info, size_t size, void *n) {
    (void)info;
    (void)size;
    ++*(size_t *)n;
    return 0;
}

size_t wilor_loaded_count(void) {
    size_t n = 0;
    dl_iterate_phdr(count_one, &n);
    return n;
}

typedef struct release {
    size_t since, at; /* libraries; they are told in the order of their loading */
    size_t page;
    int pagemap;
} release;

/* Every page in memory is the file's. Of /proc/self/pagemap's bits: 63 in memory, 62 in swap, 61 of a file. */
static bool untouched(const release *r, uintptr_t first, uintptr_t end) {
    enum { AT_ONCE = 512 };

    uint64_t entry[AT_ONCE];
    for (size_t page = first / r->page, n; page < end / r->page; page += n) {
        n = end / r->page - page < AT_ONCE ? end / r->page - page : AT_ONCE;
        const ssize_t bytes = (ssize_t)(n * sizeof *entry);
        if (pread(r->pagemap, entry, (size_t)bytes, (off_t)(page * sizeof *entry)) != bytes)
            return false;
        for (size_t i = 0; i < n; i++) {
            const bool present = entry[i] >> 63, swapped = entry[i] >> 62 & 1;
            if (swapped || (present && !(entry[i] >> 61 & 1)))
                return false;
        }
    }
    return true;
}

/* All segments are found before one is released: the list of them lies in the first. */
static int release_one(struct dl_phdr_info *info, size_t size, void *user) {
    enum { MOST = 8 };

    release *r = user;
    uintptr_t first[MOST], end[MOST];
    int n = 0;
    (void)size;
    if (r->at++ < r->since)
        return 0;
    for (int i = 0; i < info->dlpi_phnum && n < MOST; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W))
            continue;
        const uintptr_t start = info->dlpi_addr + segment->p_vaddr, mask = r->page - 1;
        first[n] = start & ~mask;
        end[n++] = (start + segment->p_filesz + mask) & ~mask;
    }
    for (int i = 0; i < n; i++)
        if (end[i] > first[i] && untouched(r, first[i], end[i]))
            madvise((void *)first[i], end[i] - first[i], MADV_DONTNEED);
    return 0;
}

void wilor_loaded_release(size_t since) {
    const long page = sysconf(_SC_PAGESIZE);
    release r = {.since = since, .page = page > 0 ? (size_t)page : 4096};
    r.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (r.pagemap < 0)
        return;
    dl_iterate_phdr(release_one, &r);
    close(r.pagemap);
}

#else
size_t wilor_loaded_count(void) { return 0; }

void wilor_loaded_release(size_t since) { (void)since; }
#endif
