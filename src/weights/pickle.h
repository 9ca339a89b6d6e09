/* Python pickles as a graph of inert values.
 *
 * Nothing that a pickle asks for is ever called. What it would build becomes records: a call of
 * a known constructor is an object with its arguments, a call of anything else is an error that
 * names it. */
#ifndef WILOR_PICKLE_H
#define WILOR_PICKLE_H

#include "chunk_pool.h"
#include "status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Containers may hold themselves and share parts; whoever walks them stops at this depth. */
enum { WILOR_PICKLE_DEPTH = 64 };

typedef enum wilor_value_kind {
    WILOR_VALUE_NONE,
    WILOR_VALUE_BOOL, /* integer is 0 or 1 */
    WILOR_VALUE_INT,
    WILOR_VALUE_FLOAT,
    WILOR_VALUE_TEXT,  /* text: Python's UTF-8, which may hold surrogates */
    WILOR_VALUE_BYTES, /* text: bytes, and Python 2's strings */
    WILOR_VALUE_TUPLE, /* list */
    WILOR_VALUE_LIST,
    WILOR_VALUE_DICT,       /* list: key, value, key, value … in the order of insertion */
    WILOR_VALUE_GLOBAL,     /* text: module, one dot, name */
    WILOR_VALUE_OBJECT,     /* object */
    WILOR_VALUE_PERSISTENT, /* object.args: the id */
    WILOR_VALUE_OTHER       /* a number that fits no other kind */
} wilor_value_kind;

typedef struct wilor_value wilor_value;

struct wilor_value {
    wilor_value_kind kind;

    union {
        int64_t integer;
        double real;

        struct {
            const char *at; /* in the pickle or in the pool; not terminated */
            size_t length;
        } text;

        struct {
            wilor_value **items;
            size_t count, room;
        } list;

        struct {
            wilor_value *maker; /* the class or function, a GLOBAL */
            wilor_value *args;  /* TUPLE */
            wilor_value *state; /* what BUILD gave, or NULL */
            wilor_value *pairs; /* DICT of items set on it, or NULL */
            wilor_value *items; /* LIST of items appended to it, or NULL */
        } object;
    } as;
};

typedef struct wilor_pickle {
    const char *where;        /* quoted path, for messages */
    bool has_persistent;      /* the format uses persistent ids */
    wilor_pool pool;          /* all values */
    wilor_value **persistent; /* every PERSISTENT, in order */
    size_t persistent_count, persistent_room;
    size_t values; /* made so far */
} wilor_pickle;

/* Read one pickle from the front of data (which must outlive p); *used: its bytes. */
wilor_status wilor_pickle_load(wilor_pickle *p, const uint8_t *data, size_t size, size_t *used,
                               wilor_value **out, wilor_error *err);
void wilor_pickle_free(wilor_pickle *p);

bool wilor_value_is_text(const wilor_value *v,
                         const char *text); /* TEXT or BYTES; v may be NULL */
bool wilor_value_is_global(const wilor_value *v, const char *module, const char *name);
/* The value under a key of a DICT, of an object's items, or of its state; NULL when there is
 * none. */
wilor_value *wilor_value_get(const wilor_value *v, const char *key);
/* The DICT that an object carries as state: itself, or the first of a pair (dict, slots). */
wilor_value *wilor_value_state(const wilor_value *v);
/* Item i of a TUPLE or LIST, else NULL. */
wilor_value *wilor_value_item(const wilor_value *v, size_t i);
/* An INT of a TUPLE or LIST. */
bool wilor_value_item_int(const wilor_value *v, size_t i, int64_t *out);

#endif
