/* The bytes of a zip member for an index: where they lie, or inflated into the index's memory. */
#ifndef WILOR_ZIP_MEMBER_H
#define WILOR_ZIP_MEMBER_H

#include "index_build.h"
#include "zip_directory.h"

/* *out: m->size bytes that live as long as x. Checks the CRC of what it inflates, and of stored
 * bytes when check_stored is set. */
wilor_status wilor_zip_member_read(wilor_index *x, const wilor_zip_member *m, bool check_stored,
                                   const uint8_t **out, wilor_error *err);

/* A member's name, quoted for a message. */
const char *wilor_zip_member_quote(wilor_quoted *buf, const wilor_zip_member *m);

#endif
