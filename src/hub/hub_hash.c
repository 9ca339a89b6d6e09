/* Hashing by libcrypto, which uses the processor's SHA instructions. */
#include "hub_hash.h"

#include "heap.h"
#include "hub_names.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

static void to_hex(char *out, const unsigned char *digest, size_t n) {
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static bool finish(EVP_MD_CTX *c, char *out, size_t bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_DigestFinal_ex(c, digest, &n) != 1 || n != bytes)
        return false;
    to_hex(out, digest, n);
    return true;
}

typedef struct hashing {
    EVP_MD_CTX *sha, *git; /* git is NULL unless wanted */
    unsigned char *buffer;
    int fd;
} hashing;

static wilor_status start(hashing *x, const char *path, bool git, uint64_t *size,
                          wilor_error *err) {
    wilor_quoted q;
    struct stat info;
    char head[48];
    x->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (x->fd < 0 || fstat(x->fd, &info) != 0)
        return wilor_error_set(err, WILOR_ERR_IO, "%s: %s", wilor_quote(&q, path),
                               strerror(errno));
    *size = (uint64_t)info.st_size;
    x->buffer = wilor_heap_alloc(PIECE, 1);
    x->sha = EVP_MD_CTX_new();
    x->git = git ? EVP_MD_CTX_new() : NULL;
    int n = snprintf(head, sizeof head, "blob %" PRIu64, *size) + 1; /* with its zero byte */
    bool good = x->buffer && x->sha && EVP_DigestInit_ex(x->sha, EVP_sha256(), NULL) == 1;
    if (good && git)
        good = x->git && EVP_DigestInit_ex(x->git, EVP_sha1(), NULL) == 1 &&
               EVP_DigestUpdate(x->git, head, (size_t)n) == 1;
    return good ? WILOR_OK : wilor_hub_no_memory(err);
}

wilor_status wilor_hub_hash_file(wilor_hub_hashes *h, const char *path, bool git,
                                 const wilor_callbacks *callbacks, const char *what,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    hashing x = {.fd = -1};
    uint64_t size = 0;
    *h = (wilor_hub_hashes){.size = 0};
    WILOR_TRY(start(&x, path, git, &size, err));
    for (;;) {
        ssize_t n = read(x.fd, x.buffer, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            WILOR_FAIL(err, WILOR_ERR_IO, "%s: %s", wilor_quote(&q, path), strerror(errno));
        if (n == 0)
            break;
        if (EVP_DigestUpdate(x.sha, x.buffer, (size_t)n) != 1 ||
            (x.git && EVP_DigestUpdate(x.git, x.buffer, (size_t)n) != 1))
            WILOR_FAIL(err, WILOR_ERR_INTERNAL, "%s: hashing failed", wilor_quote(&q, path));
        h->size += (uint64_t)n;
        if (callbacks->progress)
            callbacks->progress(callbacks->user, what, h->size, size);
        if (callbacks->cancel && callbacks->cancel(callbacks->user))
            WILOR_FAIL(err, WILOR_ERR_CANCELLED, "cancelled");
    }
    if (!finish(x.sha, h->sha256, 32) || (x.git && !finish(x.git, h->git, 20)))
        WILOR_FAIL(err, WILOR_ERR_INTERNAL, "%s: hashing failed", wilor_quote(&q, path));
done:
    EVP_MD_CTX_free(x.sha);
    EVP_MD_CTX_free(x.git);
    wilor_heap_free(x.buffer);
    if (x.fd >= 0)
        close(x.fd);
    return st;
}

bool wilor_hub_hash_agrees(const wilor_hub_hashes *h, const char *etag) {
    if (wilor_hub_is_hex(etag, 64))
        return !strcmp(h->sha256, etag);
    return !wilor_hub_is_hex(etag, 40) || !strcmp(h->git, etag);
}
