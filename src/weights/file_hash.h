/* SHA-256 of a file's bytes from an offset on, with progress and cancel. */
#ifndef WILOR_FILE_HASH_H
#define WILOR_FILE_HASH_H

#include "status.h"

/* All bytes of a file in order, in pieces of up to 1 MB. */
typedef void wilor_file_visitor(void *user, uint64_t offset, const uint8_t *bytes, size_t size);
wilor_status wilor_file_visit(const char *path, uint64_t size, const char *what,
                              const wilor_callbacks *callbacks, wilor_file_visitor *visit,
                              void *user, wilor_error *err);

/* what: how the progress callback names it. Errors: ERR_IO, ERR_NOMEM, ERR_CANCELLED. */
wilor_status wilor_file_hash(const char *path, uint64_t offset, uint64_t size, const char *what,
                             const wilor_callbacks *callbacks, char hex[65], wilor_error *err);

#endif
