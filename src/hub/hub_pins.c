/* pins.json: {"version": 1, "files": {"org/name:path": {"commit", "etag", "sha256", "size"}}}.
 *
 * Written anew as a whole and renamed, under a lock of its own, so that two processes lose nothing of
 * each other's. A damaged file is an error and not "no pins": it would silently trust anew. */
#include "hub_pins.h"

#include "heap.h"
#include "hub_cache.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PINS_MOST = 4 << 20 };

static char *pins_path(const char *own) {
    return wilor_hub_concat(own, "/pins.json", (char *)NULL);
}

static wilor_status damaged(const char *path, const char *why, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_FORMAT,
                           "%s is damaged (%s); remove it to trust the files anew",
                           wilor_quote(&q, path), why);
}

/* The root object; a new one when there is no file. */
static wilor_status load(json_t **root, const char *path, wilor_error *err) {
    json_error_t problem;
    *root = NULL;
    char *text = wilor_hub_read_text(path, PINS_MOST);
    if (!text && access(path, F_OK) == 0)
        return damaged(path, "it cannot be read, or is larger than 4 MB", err);
    if (!text) {
        *root = json_pack("{s:i, s:{}}", "version", 1, "files");
        return *root ? WILOR_OK : wilor_hub_no_memory(err);
    }
    *root = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    wilor_heap_free(text);
    if (!*root)
        return damaged(path, problem.text, err);
    if (json_integer_value(json_object_get(*root, "version")) == 1 &&
        json_is_object(json_object_get(*root, "files")))
        return WILOR_OK;
    json_decref(*root);
    *root = NULL;
    return damaged(path, "it is no version 1 of its kind", err);
}

static char *key_of(const wilor_hub_repo *repo, const char *file) {
    return wilor_hub_concat(repo->prefix, repo->id, ":", file, (char *)NULL);
}

static bool copy_member(char *out, size_t room, const json_t *entry, const char *name) {
    const char *text = json_string_value(json_object_get(entry, name));
    size_t n = text ? strlen(text) : room;
    if (n >= room)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

static bool pin_of(wilor_hub_pin *pin, const json_t *entry) {
    const json_t *size = json_object_get(entry, "size");
    char etag[WILOR_HUB_ETAG];
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        !copy_member(pin->commit, sizeof pin->commit, entry, "commit") ||
        !copy_member(pin->sha256, sizeof pin->sha256, entry, "sha256") ||
        !copy_member(etag, sizeof etag, entry, "etag"))
        return false;
    pin->size = (uint64_t)json_integer_value(size);
    return wilor_hub_is_commit(pin->commit) && wilor_hub_is_hex(pin->sha256, 64) &&
           wilor_hub_etag_clean(pin->etag, etag);
}

wilor_status wilor_hub_pins_find(wilor_hub_pin *pin, bool *found, const char *own,
                                 const wilor_hub_repo *repo, const char *file,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    json_t *root = NULL;
    char *path = pins_path(own), *key = key_of(repo, file);
    *found = false;
    *pin = (wilor_hub_pin){.size = 0};
    if (!path || !key)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "out of memory while reading pins");
    WILOR_TRY(load(&root, path, err));
    const json_t *entry = json_object_get(json_object_get(root, "files"), key);
    if (entry && !pin_of(pin, entry)) {
        st = damaged(path, "an entry of it is not sound", err);
        goto done;
    }
    *found = entry != NULL;
done:
    json_decref(root);
    wilor_heap_free(path);
    wilor_heap_free(key);
    return st;
}

bool wilor_hub_pins_writable(const char *own) {
    char *path = pins_path(own);
    bool good = path && wilor_hub_make_folders(path) && access(own, W_OK) == 0;
    wilor_heap_free(path);
    return good;
}

static bool store(json_t *root, const char *path, const char *key, const wilor_hub_pin *pin) {
    json_t *entry = json_pack("{s:s, s:s, s:s, s:I}", "commit", pin->commit, "etag", pin->etag,
                              "sha256", pin->sha256, "size", (json_int_t)pin->size);
    /* json_object_set_new takes the entry, also when it fails. */
    if (!entry || json_object_set_new(json_object_get(root, "files"), key, entry) != 0)
        return false;
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    bool good = text && wilor_hub_write_text(path, text);
    free(text); /* jansson's own malloc */
    return good;
}

wilor_status wilor_hub_pins_write(const wilor_hub_pin *pin, const char *own,
                                  const wilor_hub_repo *repo, const char *file,
                                  wilor_error *err) {
    wilor_status st = WILOR_OK;
    json_t *root = NULL;
    int lock = -1;
    char *path = pins_path(own), *key = key_of(repo, file);
    char *lock_path = wilor_hub_concat(own, "/pins.lock", (char *)NULL);
    if (!path || !key || !lock_path)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "out of memory while writing pins");
    if (!wilor_hub_pins_writable(own))
        goto done;
    lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    while (lock >= 0 && flock(lock, LOCK_EX) != 0 && errno == EINTR)
        continue;
    WILOR_TRY(load(&root, path, err));
    (void)store(root, path, key, pin);
done:
    json_decref(root);
    if (lock >= 0)
        close(lock);
    wilor_heap_free(path);
    wilor_heap_free(key);
    wilor_heap_free(lock_path);
    return st;
}
