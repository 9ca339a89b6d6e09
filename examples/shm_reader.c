/* Events of `wilor live --shm NAME` as they come: cc shm_reader.c -o shm_reader && ./shm_reader NAME
 * The layout is docs/events.md's: a header of 64 bytes, then slots, each with a sequence number that is even and the same
 * before and after when nobody wrote in between. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static uint32_t record[65536 / 4];
    uint64_t seen = 0;
    int fd = argc > 1 ? shm_open(argv[1], O_RDONLY, 0) : -1;
    const char *ring =
        fd < 0 ? MAP_FAILED : mmap(NULL, 64 + 8 * 65536, PROT_READ, MAP_SHARED, fd, 0);
    if (ring == MAP_FAILED)
        return fprintf(stderr, "usage: shm_reader NAME, of a wilor that runs\n"), 1;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* each line at once, also into a pipe */
    while (atomic_load((const _Atomic uint32_t *)ring) != 0x31524C57) /* WLR1; not yet */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (;;) {
        uint32_t alive = atomic_load(
            (const _Atomic uint32_t *)(ring + 24)); /* before the count: nothing is missed */
        uint64_t count = atomic_load((const _Atomic uint64_t *)(ring + 16));
        if (count == seen && !alive)
            return 0;
        if (count == seen) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            continue;
        }
        const char *slot = ring + 64 + (count - 1) % 8 * 65536; /* the newest */
        uint64_t before = atomic_load((const _Atomic uint64_t *)slot);
        uint32_t size = atomic_load((const _Atomic uint32_t *)(slot + 8));
        for (uint32_t i = 0; i < size / 4 && i < 65520 / 4; i++)
            record[i] = atomic_load_explicit((const _Atomic uint32_t *)(slot + 16) + i,
                                             memory_order_acquire);
        if (before != 2 * count || atomic_load((const _Atomic uint64_t *)slot) != before)
            continue; /* torn: the writer has come round; there is a newer one */
        seen = count;
        float wrist[3] = {0};
        uint64_t seq;
        memcpy(&seq, record + 4, 8);
        if (record[20] & 0xFFFF) /* hands; the first one's cam_t */
            memcpy(wrist, record + 24 + 16, sizeof wrist);
        printf("%llu: %u hands, %g %g %g m\n", (unsigned long long)seq,
               (unsigned)(record[20] & 0xFFFF), (double)wrist[0], (double)wrist[1],
               (double)wrist[2]);
    }
}
