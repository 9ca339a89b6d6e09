/* A ring of records in shared memory.
 *
 * A slot has a sequence number: odd while the writer is in it, and 2·(count + 1) when event `count` is in it,
 * so that a reader that finds the same even number before and after has a whole record. Everything that both
 * sides touch is atomic: words are stored with release and loaded with acquire, which keeps the number's first
 * store before them and its second load behind them, without fences (thread sanitizers know none) and, on x86,
 * without cost.
 *
 * Who writes holds a lock on the memory's file, which the system takes back when a process dies, however it
 * does: a ring that is there and not locked is a dead writer's. */
#include "live_shm.h"

#include "cli_text.h"
#include "live_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_MOST = 250,
    ROOM = WILOR_CLI_SHM_SLOT - WILOR_CLI_SHM_SLOT_HEADER,
    WORDS = ROOM / 4
};

/* The layout: docs/events.md. */
typedef struct slot {
    _Atomic uint64_t sequence;
    _Atomic uint32_t size; /* of the record, bytes */
    uint32_t zero;
    _Atomic uint32_t words[WORDS];
} slot;

typedef struct ring {
    _Atomic uint32_t magic; /* written last: a reader that sees it sees the rest */
    uint16_t version, header_size;
    uint32_t slots, slot_size;
    _Atomic uint64_t count; /* of events; the newest is in slot (count - 1) % slots */
    _Atomic uint32_t alive; /* 0: the writer has ended */
    uint32_t writer;        /* process */
    uint8_t zero[32];
    slot slot[WILOR_CLI_SHM_SLOTS];
} ring;

_Static_assert(sizeof(slot) == WILOR_CLI_SHM_SLOT, "a slot");
_Static_assert(sizeof(ring) == WILOR_CLI_SHM_SIZE, "the ring");

struct wilor_cli_shm {
    char name[NAME_MOST + 2];
    int file;
    ring *ring;
    uint64_t count, shortened;
    uint32_t record[WORDS]; /* put together here, then copied word by word */
};

/* ---------------------------------------------------------------- an event */

/* What fits: all of it, else without vertices, else as many hands as do. */
static size_t put_together(wilor_cli_shm *s, const wilor_cli_live_event *e) {
    wilor_cli_record_how how = {0};
    size_t size = wilor_cli_record_write(s->record, ROOM, e, &how);
    if (size)
        return size;
    s->shortened++;
    how.no_vertices = true;
    size = wilor_cli_record_size(e, &how);
    if (size > ROOM) {
        size_t hand = (size - WILOR_CLI_RECORD_HEADER) / (size_t)e->n;
        how.most_hands = (int)((ROOM - WILOR_CLI_RECORD_HEADER) / hand);
    }
    return wilor_cli_record_write(s->record, ROOM, e, &how);
}

void wilor_cli_shm_send(wilor_cli_shm *s, const wilor_cli_live_event *e) {
    slot *to = &s->ring->slot[s->count % WILOR_CLI_SHM_SLOTS];
    size_t size = put_together(s, e);
    atomic_store_explicit(&to->sequence, 2 * s->count + 1, memory_order_relaxed);
    atomic_store_explicit(&to->size, (uint32_t)size, memory_order_release);
    for (size_t i = 0; i < (size + 3) / 4; i++)
        atomic_store_explicit(&to->words[i], s->record[i], memory_order_release);
    atomic_store_explicit(&to->sequence, 2 * s->count + 2, memory_order_release);
    s->count++;
    atomic_store_explicit(&s->ring->count, s->count, memory_order_release);
}

uint64_t wilor_cli_shm_shortened(const wilor_cli_shm *s) { return s->shortened; }

/* ---------------------------------------------------------------- begin and end */

static wilor_status take_name(wilor_cli_shm *s, const char *name, wilor_error *err) {
    wilor_cli_quoted q;
    const char *plain = name + (*name == '/');
    size_t n = strlen(plain);
    if (n == 0 || n > NAME_MOST || strchr(plain, '/') || !strcmp(plain, ".") ||
        !strcmp(plain, ".."))
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "--shm %s: it should be a name of 1 to %d bytes without slashes",
                              wilor_cli_quote(&q, name), NAME_MOST);
    s->name[0] = '/';
    memcpy(s->name + 1, plain, n + 1);
    return WILOR_OK;
}

static wilor_status system_error(const wilor_cli_shm *s, wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, errno == ENOMEM ? WILOR_ERR_NOMEM : WILOR_ERR_IO, "--shm %s: %s",
                          wilor_cli_quote(&q, s->name + 1), strerror(errno));
}

static wilor_status refuse(const wilor_cli_shm *s, const char *why, wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_IO, "--shm %s: %s", wilor_cli_quote(&q, s->name + 1),
                          why);
}

/* The name may lead to another memory by the time that we have the lock: its writer has just removed it. */
static bool still_named(const wilor_cli_shm *s) {
    struct stat ours, there;
    int fd = shm_open(s->name, O_RDONLY, 0);
    if (fd < 0)
        return false;
    bool same = fstat(s->file, &ours) == 0 && fstat(fd, &there) == 0 &&
                ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
    close(fd);
    return same;
}

/* s->file: open, locked by us and what the name leads to. */
static wilor_status open_locked(wilor_cli_shm *s, wilor_error *err) {
    enum { TRIES = 100 };

    for (int i = 0; i < TRIES; i++) {
        s->file = shm_open(s->name, O_RDWR | O_CREAT, 0600);
        if (s->file < 0)
            return system_error(s, err);
        if (flock(s->file, LOCK_EX | LOCK_NB) != 0)
            return errno == EWOULDBLOCK ? refuse(s, "another process writes there", err)
                                        : system_error(s, err);
        if (still_named(s))
            return WILOR_OK;
        close(s->file);
        s->file = -1;
    }
    return refuse(s, "others keep removing it", err);
}

/* Fresh memory is empty; else it must be a ring that somebody left behind. */
static wilor_status map_ring(wilor_cli_shm *s, wilor_error *err) {
    struct stat what;
    if (fstat(s->file, &what) != 0)
        return system_error(s, err);
    bool fresh = what.st_size == 0;
    if (!fresh && what.st_size != WILOR_CLI_SHM_SIZE)
        return refuse(s, "that memory is of something else", err);
    void *map = MAP_FAILED;
    if (!fresh || ftruncate(s->file, WILOR_CLI_SHM_SIZE) == 0)
        map = mmap(NULL, WILOR_CLI_SHM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->file, 0);
    if (map == MAP_FAILED) {
        wilor_status st = system_error(s, err);
        if (fresh)
            shm_unlink(s->name);
        return st;
    }
    s->ring = map;
    /* Zero: it died between the two. */
    uint32_t magic = atomic_load_explicit(&s->ring->magic, memory_order_acquire);
    if (magic != 0 &&
        (magic != WILOR_CLI_SHM_MAGIC || s->ring->version != WILOR_CLI_SHM_VERSION))
        return refuse(s, "that memory is of something else, or of another version", err);
    return WILOR_OK;
}

/* Readers of a dead writer's ring go on: the count does not go back, so that no slot's number comes twice. */
static void begin(wilor_cli_shm *s) {
    ring *r = s->ring;
    uint64_t count = atomic_load_explicit(&r->count, memory_order_acquire);
    for (int i = 0; i < WILOR_CLI_SHM_SLOTS; i++) {
        uint64_t in = atomic_load_explicit(&r->slot[i].sequence, memory_order_acquire);
        if (in % 2) /* it died in here */
            atomic_store_explicit(&r->slot[i].sequence, 0, memory_order_release);
        else if (in / 2 > count) /* it died before it could count this one */
            count = in / 2;
    }
    s->count = count;
    atomic_store_explicit(&r->magic, 0, memory_order_release);
    r->version = WILOR_CLI_SHM_VERSION;
    r->header_size = WILOR_CLI_SHM_HEADER;
    r->slots = WILOR_CLI_SHM_SLOTS;
    r->slot_size = WILOR_CLI_SHM_SLOT;
    r->writer = (uint32_t)getpid();
    atomic_store_explicit(&r->count, count, memory_order_release);
    atomic_store_explicit(&r->alive, 1, memory_order_release);
    atomic_store_explicit(&r->magic, WILOR_CLI_SHM_MAGIC, memory_order_release);
}

static void drop(wilor_cli_shm *s) {
    if (s->ring)
        munmap(s->ring, WILOR_CLI_SHM_SIZE);
    if (s->file >= 0)
        close(s->file); /* and with it the lock */
    free(s);
}

wilor_status wilor_cli_shm_open(wilor_cli_shm **out, const char *name, wilor_error *err) {
    wilor_cli_shm *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    s->file = -1;
    wilor_status st = take_name(s, name, err);
    if (st == WILOR_OK)
        st = open_locked(s, err);
    if (st == WILOR_OK)
        st = map_ring(s, err);
    if (st != WILOR_OK) {
        drop(s);
        return st;
    }
    begin(s);
    *out = s;
    return WILOR_OK;
}

void wilor_cli_shm_close(wilor_cli_shm **shm) {
    if (!shm || !*shm)
        return;
    wilor_cli_shm *s = *shm;
    atomic_store_explicit(&s->ring->alive, 0, memory_order_release);
    shm_unlink(s->name); /* before the lock goes: nobody else's can be there yet */
    drop(s);
    *shm = NULL;
}
