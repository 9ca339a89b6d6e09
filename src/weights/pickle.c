/* A pickle machine for protocols 0 to 5, after Lib/pickle.py and Lib/pickletools.py of CPython.
 *
 * Easy to get wrong: marks and stack must both be checked at each pop; memo slots are numbers
 * from the file (legal writers count up, so a slot beyond the file's size is damage); a text
 * can be encoded to bytes again and again by a few bytes of file; objects share parts and may
 * hold themselves. Python 2 strings are bytes, and hold both names and array data. */
#include "pickle.h"

#include "heap.h"
#include "pickle_call.h"
#include <string.h>

enum { VALUES_MOST = 1 << 22, DECODED_FREE = 1 << 20 };

typedef struct machine {
    wilor_pickle *p;
    const uint8_t *begin, *at, *end;
    wilor_value **stack;
    size_t depth, stack_room;
    size_t *marks;
    size_t mark_count, mark_room;
    wilor_value **memo;
    size_t memo_count, memo_room;
    size_t next_memo; /* for MEMOIZE */
    size_t decoded;   /* bytes of text that were copied */
    bool stopped;
    wilor_error *err;
} machine;

typedef wilor_status operation(machine *m, uint8_t op);

/* ------------------------------------------------------------------ errors, values, stack */

static wilor_status broken(const machine *m, const char *what) {
    return wilor_error_set(m->err, WILOR_ERR_FORMAT, "%s: damaged pickle: %s at byte %zu",
                           m->p->where, what, (size_t)(m->at - m->begin));
}

static wilor_status no_memory(const machine *m) {
    return wilor_error_set(m->err, WILOR_ERR_NOMEM, "%s: no memory to read it", m->p->where);
}

static wilor_status new_value(machine *m, wilor_value_kind kind, wilor_value **out) {
    *out = NULL;
    if (m->p->values == VALUES_MOST)
        return wilor_error_set(m->err, WILOR_ERR_LIMIT,
                               "%s: its pickle has more than %d values", m->p->where,
                               VALUES_MOST);
    *out = wilor_pool_alloc(&m->p->pool, 1, sizeof **out);
    if (!*out)
        return no_memory(m);
    (*out)->kind = kind;
    m->p->values++;
    return WILOR_OK;
}

static wilor_status push(machine *m, wilor_value *v) {
    if (!wilor_heap_grow(&m->stack, &m->stack_room, m->depth, sizeof v))
        return no_memory(m);
    m->stack[m->depth++] = v;
    return WILOR_OK;
}

/* Values above the last mark. */
static size_t available(const machine *m) {
    return m->depth - (m->mark_count ? m->marks[m->mark_count - 1] : 0);
}

static wilor_status pop(machine *m, wilor_value **out) {
    *out = NULL;
    if (!available(m))
        return broken(m, "its stack is empty");
    *out = m->stack[--m->depth];
    return WILOR_OK;
}

/* Remove the last mark; the values above it are m->stack[*first …], m->depth is not changed. */
static wilor_status pop_mark(machine *m, size_t *first) {
    *first = 0;
    if (!m->mark_count)
        return broken(m, "a mark is missing");
    *first = m->marks[--m->mark_count];
    return WILOR_OK;
}

static wilor_status push_new(machine *m, wilor_value_kind kind, wilor_value **out) {
    wilor_status st;
    wilor_value *v;
    WILOR_TRY(new_value(m, kind, &v));
    WILOR_TRY(push(m, v));
    if (out)
        *out = v;
done:
    return st;
}

static wilor_status push_int(machine *m, int64_t n) {
    wilor_value *v;
    wilor_status st = push_new(m, WILOR_VALUE_INT, &v);
    if (st == WILOR_OK)
        v->as.integer = n;
    return st;
}

static wilor_status push_text(machine *m, wilor_value_kind kind, const char *at,
                              size_t length) {
    wilor_value *v;
    wilor_status st = push_new(m, kind, &v);
    if (st == WILOR_OK) {
        v->as.text.at = at;
        v->as.text.length = length;
    }
    return st;
}

/* Append n values to a list, tuple or dict. */
static wilor_status extend(machine *m, wilor_value *v, wilor_value *const *items, size_t n) {
    size_t need = v->as.list.count + n;
    if (need > v->as.list.room) {
        size_t room = v->as.list.room * 2 > need ? v->as.list.room * 2 : need;
        wilor_value **grown = wilor_pool_alloc(&m->p->pool, room, sizeof *grown);
        if (!grown)
            return no_memory(m);
        if (v->as.list.count)
            memcpy(grown, v->as.list.items, v->as.list.count * sizeof *grown);
        v->as.list.items = grown;
        v->as.list.room = room;
    }
    if (n)
        memcpy(v->as.list.items + v->as.list.count, items, n * sizeof *items);
    v->as.list.count = need;
    return WILOR_OK;
}

/* ------------------------------------------------------------------ bytes of the file */

static wilor_status take(machine *m, size_t n, const uint8_t **out) {
    *out = m->at;
    if ((size_t)(m->end - m->at) < n)
        return broken(m, "it ends too early");
    m->at += n;
    return WILOR_OK;
}

/* A little-endian number of n <= 8 bytes. */
static wilor_status take_number(machine *m, size_t n, uint64_t *out) {
    const uint8_t *p;
    wilor_status st = take(m, n, &p);
    *out = 0;
    if (st == WILOR_OK)
        while (n--)
            *out = *out << 8 | p[n];
    return st;
}

/* Text up to a line feed, which is not counted. */
static wilor_status take_line(machine *m, const char **text, size_t *length) {
    const uint8_t *stop = m->at < m->end ? memchr(m->at, '\n', (size_t)(m->end - m->at)) : NULL;
    *text = (const char *)m->at;
    *length = stop ? (size_t)(stop - m->at) : 0;
    if (!stop)
        return broken(m, "a line is not closed");
    m->at = stop + 1;
    return WILOR_OK;
}

/* Room for decoded text; all of it together stays near the size of the pickle. */
static wilor_status decode_room(machine *m, size_t n, char **out) {
    *out = NULL;
    size_t limit = 4 * (size_t)(m->end - m->begin) + DECODED_FREE;
    if (n > limit - m->decoded)
        return wilor_error_set(m->err, WILOR_ERR_LIMIT,
                               "%s: its pickle unfolds to more than %zu bytes", m->p->where,
                               limit);
    m->decoded += n;
    *out = wilor_pool_alloc(&m->p->pool, n + 1, 1);
    return *out ? WILOR_OK : no_memory(m);
}

/* ------------------------------------------------------------------ plain values */

static wilor_status op_none(machine *m, uint8_t op) {
    (void)op;
    return push_new(m, WILOR_VALUE_NONE, NULL);
}

static wilor_status op_bool(machine *m, uint8_t op) {
    wilor_value *v;
    wilor_status st = push_new(m, WILOR_VALUE_BOOL, &v);
    if (st == WILOR_OK)
        v->as.integer = op == 0x88;
    return st;
}

static wilor_status op_binint(machine *m, uint8_t op) {
    wilor_status st;
    uint64_t n;
    WILOR_TRY(take_number(m, op == 'J' ? 4 : op == 'M' ? 2 : 1, &n));
    WILOR_TRY(push_int(m, op == 'J' ? (int32_t)(uint32_t)n : (int64_t)n));
done:
    return st;
}

/* Decimal text, as I and L lines hold it. False when it is not a number of 64 bits. */
static bool parse_int(const char *text, size_t length, int64_t *out) {
    bool negative = length && *text == '-';
    size_t i = negative;
    int64_t v = 0;
    if (i == length)
        return false;
    for (; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (text[i] - '0');
    }
    *out = negative ? -v : v;
    return true;
}

static wilor_status op_int_line(machine *m, uint8_t op) {
    wilor_status st;
    const char *text;
    size_t length;
    int64_t n;
    WILOR_TRY(take_line(m, &text, &length));
    if (op == 'L' && length && text[length - 1] == 'L')
        length--;
    if (op == 'I' && length == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1'))
        return op_bool(m, text[1] == '1' ? 0x88 : 0x89);
    if (parse_int(text, length, &n))
        WILOR_TRY(push_int(m, n));
    else
        WILOR_TRY(push_new(m, WILOR_VALUE_OTHER, NULL));
done:
    return st;
}

/* Numbers as text; none of them is a weight, so they stay unread. */
static wilor_status op_float_line(machine *m, uint8_t op) {
    const char *text;
    size_t length;
    (void)op;
    wilor_status st = take_line(m, &text, &length);
    return st == WILOR_OK ? push_new(m, WILOR_VALUE_OTHER, NULL) : st;
}

static wilor_status op_long(machine *m, uint8_t op) {
    wilor_status st;
    uint64_t n, bits = 0;
    const uint8_t *p;
    WILOR_TRY(take_number(m, op == 0x8a ? 1 : 4, &n));
    if (n > INT32_MAX)
        return broken(m, "a number has a negative length");
    WILOR_TRY(take(m, (size_t)n, &p));
    if (n > 8)
        return push_new(m, WILOR_VALUE_OTHER, NULL);
    if (n && p[n - 1] & 0x80)
        bits = UINT64_MAX;
    while (n--)
        bits = bits << 8 | p[n];
    WILOR_TRY(push_int(m, (int64_t)bits));
done:
    return st;
}

static wilor_status op_binfloat(machine *m, uint8_t op) {
    wilor_status st;
    const uint8_t *p;
    wilor_value *v;
    uint64_t bits = 0;
    (void)op;
    WILOR_TRY(take(m, 8, &p));
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    WILOR_TRY(push_new(m, WILOR_VALUE_FLOAT, &v));
    memcpy(&v->as.real, &bits, sizeof bits);
done:
    return st;
}

/* Counted text and bytes, seen where they lie. */
static wilor_status op_counted(machine *m, uint8_t op) {
    wilor_status st;
    uint64_t n;
    const uint8_t *p;
    size_t width = strchr("U\x8c"
                          "C",
                          op)
                       ? 1
                   : strchr("TXB", op) ? 4
                                       : 8;
    bool text = strchr("X\x8c\x8d", op) != NULL;
    WILOR_TRY(take_number(m, width, &n));
    if (op == 'T' && n > INT32_MAX)
        return broken(m, "a string has a negative length");
    if (n > (uint64_t)(m->end - m->at))
        return broken(m, "a string is longer than the file");
    WILOR_TRY(take(m, (size_t)n, &p));
    WILOR_TRY(
        push_text(m, text ? WILOR_VALUE_TEXT : WILOR_VALUE_BYTES, (const char *)p, (size_t)n));
done:
    return st;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* n hexadecimal digits, of `left` that there are; -1 when they are not. */
static int64_t parse_hex(const char *text, size_t left, size_t n) {
    int64_t v = 0;
    if (left < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* Python 2's repr of a string: one pair of quotes, escapes \\ \' \" \n \r \t \xNN. */
static wilor_status op_string_line(machine *m, uint8_t op) {
    static const char from[] = "\\'\"nrt", into[] = "\\'\"\n\r\t";
    wilor_status st;
    const char *text;
    size_t length, n = 0;
    char *to;
    (void)op;
    WILOR_TRY(take_line(m, &text, &length));
    if (length < 2 || (*text != '\'' && *text != '"') || text[length - 1] != *text)
        return broken(m, "a string without quotes");
    WILOR_TRY(decode_room(m, length, &to));
    for (size_t i = 1; i < length - 1; i++) {
        if (text[i] != '\\') {
            to[n++] = text[i];
            continue;
        }
        i++;
        int64_t code =
            i < length - 1 && text[i] == 'x' ? parse_hex(text + i + 1, length - 2 - i, 2) : -1;
        const char *known = i < length - 1 && text[i] ? strchr(from, text[i]) : NULL;
        if (!known && code < 0)
            return broken(m, "an escape in a string is not valid");
        to[n++] = known ? into[known - from] : (char)(uint8_t)code;
        if (!known)
            i += 2;
    }
    WILOR_TRY(push_text(m, WILOR_VALUE_BYTES, to, n));
done:
    return st;
}

static size_t put_utf8(char *to, int64_t code) {
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(uint8_t)(0x80 | (code & 63));
    to[0] = (char)(uint8_t)(lead[n] | code);
    return n;
}

/* Raw-unicode-escape: Latin-1, with \uXXXX and \UXXXXXXXX. */
static wilor_status op_unicode_line(machine *m, uint8_t op) {
    wilor_status st;
    const char *text;
    size_t length, n = 0;
    char *to;
    (void)op;
    WILOR_TRY(take_line(m, &text, &length));
    if (length > PTRDIFF_MAX / 2)
        return broken(m, "a string is too long");
    WILOR_TRY(decode_room(m, 2 * length, &to)); /* a Latin-1 byte takes at most two */
    for (size_t i = 0; i < length; i++) {
        int64_t code = (uint8_t)text[i];
        size_t digits = code != '\\' || i + 1 == length ? 0
                        : text[i + 1] == 'u'            ? 4
                        : text[i + 1] == 'U'            ? 8
                                                        : 0;
        if (digits) {
            code = parse_hex(text + i + 2, length - i - 2, digits);
            if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
                return broken(m, "an escape in a string is not valid");
            i += 1 + digits;
        }
        n += put_utf8(to + n, code);
    }
    WILOR_TRY(push_text(m, WILOR_VALUE_TEXT, to, n));
done:
    return st;
}

/* ------------------------------------------------------------------ containers */

static wilor_status op_empty(machine *m, uint8_t op) {
    return push_new(m,
                    op == ')'   ? WILOR_VALUE_TUPLE
                    : op == '}' ? WILOR_VALUE_DICT
                                : WILOR_VALUE_LIST, /* sets, too: ] and 0x8f */
                    NULL);
}

/* A new container of the values from `first` on, in their place. */
static wilor_status collect(machine *m, wilor_value_kind kind, size_t first) {
    wilor_status st;
    wilor_value *v;
    WILOR_TRY(new_value(m, kind, &v));
    if (m->depth > first) /* else there may be no stack yet */
        WILOR_TRY(extend(m, v, m->stack + first, m->depth - first));
    m->depth = first;
    WILOR_TRY(push(m, v));
done:
    return st;
}

static wilor_status op_collect(machine *m, uint8_t op) {
    wilor_status st;
    size_t first;
    WILOR_TRY(pop_mark(m, &first));
    if (op == 'd' && (m->depth - first) % 2)
        return broken(m, "a key without a value");
    WILOR_TRY(collect(m,
                      op == 't'   ? WILOR_VALUE_TUPLE
                      : op == 'd' ? WILOR_VALUE_DICT
                                  : WILOR_VALUE_LIST, /* l, and 0x91: a frozen set */
                      first));
done:
    return st;
}

static wilor_status op_tuple(machine *m, uint8_t op) {
    size_t n = (size_t)op - 0x84; /* 0x85: 1, 0x86: 2, 0x87: 3 */
    if (available(m) < n)
        return broken(m, "its stack is empty");
    return collect(m, WILOR_VALUE_TUPLE, m->depth - n);
}

/* Where items go: into a container, or into an object as a subclass of list or dict. */
static wilor_status container_of(machine *m, wilor_value *v, wilor_value_kind kind,
                                 wilor_value **out) {
    *out = v;
    if (v->kind == kind)
        return WILOR_OK;
    if (v->kind != WILOR_VALUE_OBJECT)
        return broken(m, "items for a value that holds none");
    wilor_value **part = kind == WILOR_VALUE_DICT ? &v->as.object.pairs : &v->as.object.items;
    wilor_status st = *part ? WILOR_OK : new_value(m, kind, part);
    *out = *part;
    return st;
}

/* Give the values from `first` on to the container below them. */
static wilor_status add_items(machine *m, wilor_value_kind kind, size_t first) {
    wilor_status st;
    wilor_value *v;
    size_t n = m->depth - first;
    size_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    if (first <= floor)
        return broken(m, "items without a container");
    if (kind == WILOR_VALUE_DICT && n % 2)
        return broken(m, "a key without a value");
    WILOR_TRY(container_of(m, m->stack[first - 1], kind, &v));
    WILOR_TRY(extend(m, v, m->stack + first, n));
    m->depth = first;
done:
    return st;
}

static wilor_status op_add_one(machine *m, uint8_t op) {
    size_t n = op == 's' ? 2 : 1;
    if (available(m) < n)
        return broken(m, "its stack is empty");
    return add_items(m, op == 's' ? WILOR_VALUE_DICT : WILOR_VALUE_LIST, m->depth - n);
}

static wilor_status op_add_many(machine *m, uint8_t op) {
    wilor_status st;
    size_t first;
    WILOR_TRY(pop_mark(m, &first));
    WILOR_TRY(add_items(m, op == 'u' ? WILOR_VALUE_DICT : WILOR_VALUE_LIST, first));
done:
    return st;
}

/* ------------------------------------------------------------------ stack and memo */

static wilor_status op_mark(machine *m, uint8_t op) {
    (void)op;
    if (!wilor_heap_grow(&m->marks, &m->mark_room, m->mark_count, sizeof *m->marks))
        return no_memory(m);
    m->marks[m->mark_count++] = m->depth;
    return WILOR_OK;
}

static wilor_status op_pop(machine *m, uint8_t op) {
    wilor_status st = WILOR_OK;
    wilor_value *v;
    size_t first = 0;
    if (op == '1' || !available(m)) { /* POP takes a mark when nothing stands above it */
        WILOR_TRY(pop_mark(m, &first));
        m->depth = first;
    } else {
        WILOR_TRY(pop(m, &v));
    }
done:
    return st;
}

static wilor_status op_dup(machine *m, uint8_t op) {
    (void)op;
    return available(m) ? push(m, m->stack[m->depth - 1]) : broken(m, "its stack is empty");
}

/* The slot number that follows a GET or PUT. */
static wilor_status take_slot(machine *m, uint8_t op, uint64_t *slot) {
    wilor_status st = WILOR_OK;
    const char *text;
    size_t length;
    int64_t n;
    *slot = 0;
    if (op == 'h' || op == 'q')
        return take_number(m, 1, slot);
    if (op == 'j' || op == 'r')
        return take_number(m, 4, slot);
    WILOR_TRY(take_line(m, &text, &length));
    if (!parse_int(text, length, &n) || n < 0)
        return broken(m, "a memo slot that is no number");
    *slot = (uint64_t)n;
done:
    return st;
}

static wilor_status op_get(machine *m, uint8_t op) {
    wilor_status st;
    uint64_t slot;
    WILOR_TRY(take_slot(m, op, &slot));
    if (slot >= m->memo_count || !m->memo[slot])
        return broken(m, "a memo slot that was never written");
    WILOR_TRY(push(m, m->memo[slot]));
done:
    return st;
}

static wilor_status op_put(machine *m, uint8_t op) {
    wilor_status st = WILOR_OK;
    uint64_t slot = m->next_memo;
    if (op != 0x94)
        WILOR_TRY(take_slot(m, op, &slot));
    if (!available(m))
        return broken(m, "its stack is empty");
    if (slot >= (uint64_t)(m->end - m->begin))
        return broken(m, "an impossible memo slot");
    if (slot >= m->memo_room) {
        size_t room = m->memo_room * 2 > slot ? m->memo_room * 2 : (size_t)slot + 64;
        wilor_value **grown = wilor_heap_resize(m->memo, room, sizeof *grown);
        if (!grown)
            return no_memory(m);
        m->memo = grown;
        m->memo_room = room;
    }
    for (; m->memo_count <= slot; m->memo_count++)
        m->memo[m->memo_count] = NULL;
    m->next_memo += !m->memo[slot];
    m->memo[slot] = m->stack[m->depth - 1];
done:
    return st;
}

/* ------------------------------------------------------------------ names and calls */

static wilor_status refuse_name(const machine *m, const wilor_value *name, const char *verb) {
    wilor_quoted q;
    char text[200];
    size_t n = name->as.text.length < sizeof text ? name->as.text.length : sizeof text - 1;
    memcpy(text, name->as.text.at, n);
    text[n] = 0;
    return wilor_error_set(
        m->err, WILOR_ERR_FORMAT,
        "%s wants to %s %s, which no weights file needs; nothing of it was run", m->p->where,
        verb, wilor_quote(&q, text));
}

static wilor_status push_global(machine *m, const char *module, size_t module_length,
                                const char *name, size_t name_length) {
    wilor_status st;
    wilor_value *v;
    char *path;
    WILOR_TRY(decode_room(m, module_length + 1 + name_length, &path));
    if (module_length)
        memcpy(path, module, module_length);
    path[module_length] = '.';
    if (name_length)
        memcpy(path + module_length + 1, name, name_length);
    WILOR_TRY(push_new(m, WILOR_VALUE_GLOBAL, &v));
    v->as.text.at = path;
    v->as.text.length = module_length + 1 + name_length;
    if (wilor_pickle_right_of(path, v->as.text.length) == WILOR_PICKLE_REFUSED)
        st = refuse_name(m, v, "use");
done:
    return st;
}

static wilor_status op_global(machine *m, uint8_t op) {
    wilor_status st;
    const char *module, *name;
    size_t module_length, name_length;
    (void)op;
    WILOR_TRY(take_line(m, &module, &module_length));
    WILOR_TRY(take_line(m, &name, &name_length));
    WILOR_TRY(push_global(m, module, module_length, name, name_length));
done:
    return st;
}

static wilor_status op_stack_global(machine *m, uint8_t op) {
    wilor_status st;
    wilor_value *module, *name;
    (void)op;
    WILOR_TRY(pop(m, &name));
    WILOR_TRY(pop(m, &module));
    if (name->kind != WILOR_VALUE_TEXT || module->kind != WILOR_VALUE_TEXT)
        return broken(m, "a name that is no text");
    WILOR_TRY(push_global(m, module->as.text.at, module->as.text.length, name->as.text.at,
                          name->as.text.length));
done:
    return st;
}

/* Latin-1 bytes of a text: how bytes travel in protocols 0 to 2. */
static wilor_status encode_latin1(machine *m, const wilor_value *text) {
    wilor_status st;
    const uint8_t *p = (const uint8_t *)text->as.text.at, *end = p + text->as.text.length;
    char *to;
    size_t n = 0;
    WILOR_TRY(decode_room(m, text->as.text.length, &to));
    while (p < end) {
        if (*p < 0x80) {
            to[n++] = (char)*p++;
        } else if ((*p == 0xC2 || *p == 0xC3) && end - p > 1 && (p[1] & 0xC0) == 0x80) {
            to[n++] = (char)(uint8_t)(p[0] << 6 | (p[1] & 63));
            p += 2;
        } else {
            return broken(m, "bytes that are no Latin-1 text");
        }
    }
    WILOR_TRY(push_text(m, WILOR_VALUE_BYTES, to, n));
done:
    return st;
}

/* A dict from a list of pairs, as Python 2 writes ordered dictionaries. */
static wilor_status dict_of_pairs(machine *m, const wilor_value *pairs) {
    wilor_status st;
    wilor_value *dict;
    WILOR_TRY(push_new(m, WILOR_VALUE_DICT, &dict));
    for (size_t i = 0; pairs && i < pairs->as.list.count; i++) {
        wilor_value *pair = pairs->as.list.items[i];
        if (!wilor_value_item(pair, 1))
            return broken(m, "a dictionary of what are no pairs");
        WILOR_TRY(extend(m, dict, pair->as.list.items, 2));
    }
done:
    return st;
}

static wilor_status push_object(machine *m, wilor_value *maker, wilor_value *args) {
    wilor_value *v;
    wilor_status st = push_new(m, WILOR_VALUE_OBJECT, &v);
    if (st == WILOR_OK) {
        v->as.object.maker = maker;
        v->as.object.args = args;
    }
    return st;
}

static bool is_builtin(const wilor_value *v, const char *name) {
    return wilor_value_is_global(v, "__builtin__", name) ||
           wilor_value_is_global(v, "builtins", name);
}

/* What a call with these arguments stands for. */
static wilor_status call(machine *m, wilor_value *maker, wilor_value *args) {
    if (maker->kind != WILOR_VALUE_GLOBAL || args->kind != WILOR_VALUE_TUPLE)
        return broken(m, "a call of something that has no name");
    if (wilor_pickle_right_of(maker->as.text.at, maker->as.text.length) != WILOR_PICKLE_CALLED)
        return refuse_name(m, maker, "call");
    wilor_value *first = wilor_value_item(args, 0), *second = wilor_value_item(args, 1);
    bool latin1 =
        wilor_value_is_text(second, "latin1") || wilor_value_is_text(second, "latin-1");
    if (wilor_value_is_global(maker, "collections", "OrderedDict") &&
        (!first || first->kind == WILOR_VALUE_LIST || first->kind == WILOR_VALUE_TUPLE))
        return dict_of_pairs(m, first);
    if (wilor_value_is_global(maker, "_codecs", "encode") || is_builtin(maker, "bytearray")) {
        if (first && first->kind == WILOR_VALUE_TEXT && latin1)
            return encode_latin1(m, first);
        if (first && first->kind == WILOR_VALUE_BYTES)
            return push(m, first);
    }
    if (is_builtin(maker, "bytes") && !first)
        return push_text(m, WILOR_VALUE_BYTES, "", 0);
    if (first && (wilor_value_is_global(maker, "copy_reg", "_reconstructor") ||
                  wilor_value_is_global(maker, "copyreg", "_reconstructor") ||
                  wilor_value_is_global(maker, "copy_reg", "__newobj__") ||
                  wilor_value_is_global(maker, "copyreg", "__newobj__")))
        maker = first;
    return push_object(m, maker, args);
}

static wilor_status op_reduce(machine *m, uint8_t op) {
    wilor_status st;
    wilor_value *maker, *args;
    (void)op;
    WILOR_TRY(pop(m, &args));
    WILOR_TRY(pop(m, &maker));
    WILOR_TRY(call(m, maker, args));
done:
    return st;
}

/* NEWOBJ and NEWOBJ_EX make an object of a class without running its code. */
static wilor_status op_newobj(machine *m, uint8_t op) {
    wilor_status st = WILOR_OK;
    wilor_value *maker, *args, *named;
    if (op == 0x92)
        WILOR_TRY(pop(m, &named));
    WILOR_TRY(pop(m, &args));
    WILOR_TRY(pop(m, &maker));
    if (maker->kind != WILOR_VALUE_GLOBAL || args->kind != WILOR_VALUE_TUPLE)
        return broken(m, "an object of no class");
    if (wilor_value_is_global(maker, "collections", "OrderedDict"))
        WILOR_TRY(push_new(m, WILOR_VALUE_DICT, NULL));
    else
        WILOR_TRY(push_object(m, maker, args));
done:
    return st;
}

/* INST and OBJ: mark, [class,] arguments. */
static wilor_status op_instance(machine *m, uint8_t op) {
    wilor_status st = WILOR_OK;
    wilor_value *maker, *args;
    size_t first;
    if (op == 'i') {
        WILOR_TRY(op_global(m, op));
        WILOR_TRY(pop(m, &maker));
        WILOR_TRY(pop_mark(m, &first));
    } else {
        WILOR_TRY(pop_mark(m, &first));
        if (first == m->depth)
            return broken(m, "an object of no class");
        maker = m->stack[first++];
    }
    WILOR_TRY(collect(m, WILOR_VALUE_TUPLE, first));
    args = m->stack[--m->depth];
    m->depth -= op == 'o';
    WILOR_TRY(call(m, maker, args));
done:
    return st;
}

static wilor_status op_build(machine *m, uint8_t op) {
    wilor_status st;
    wilor_value *state;
    (void)op;
    WILOR_TRY(pop(m, &state));
    if (!available(m))
        return broken(m, "a state without an object");
    wilor_value *v = m->stack[m->depth - 1];
    if (v->kind == WILOR_VALUE_OBJECT)
        v->as.object.state = state;
    else if (v->kind !=
             WILOR_VALUE_DICT) /* an ordered dictionary's attributes are no tensors */
        return broken(m, "a state for what is no object");
done:
    return st;
}

static wilor_status op_persistent(machine *m, uint8_t op) {
    wilor_status st = WILOR_OK;
    wilor_value *id, *v;
    const char *text;
    size_t length;
    if (!m->p->has_persistent)
        return broken(m, "a persistent id, which only PyTorch's files have,");
    if (op == 'P') {
        WILOR_TRY(take_line(m, &text, &length));
        WILOR_TRY(push_text(m, WILOR_VALUE_BYTES, text, length));
    }
    WILOR_TRY(pop(m, &id));
    /* Old PyTorch files name the class of a module so, with its source. */
    wilor_value *named = wilor_value_item(id, 1);
    if (wilor_value_is_text(wilor_value_item(id, 0), "module") && named &&
        named->kind == WILOR_VALUE_GLOBAL)
        return push(m, named);
    WILOR_TRY(push_new(m, WILOR_VALUE_PERSISTENT, &v));
    v->as.object.args = id;
    if (!wilor_heap_grow(&m->p->persistent, &m->p->persistent_room, m->p->persistent_count,
                         sizeof v))
        return no_memory(m);
    m->p->persistent[m->p->persistent_count++] = v;
done:
    return st;
}

/* ------------------------------------------------------------------ the machine */

static wilor_status op_protocol(machine *m, uint8_t op) {
    wilor_status st;
    uint64_t version;
    (void)op;
    WILOR_TRY(take_number(m, 1, &version));
    if (version > 5)
        WILOR_FAIL(m->err, WILOR_ERR_UNSUPPORTED, "%s: pickle protocol %d; 0 to 5 are known",
                   m->p->where, (int)version);
done:
    return st;
}

static wilor_status op_frame(machine *m, uint8_t op) {
    wilor_status st;
    uint64_t length;
    (void)op;
    WILOR_TRY(take_number(m, 8, &length));
    if (length > (uint64_t)(m->end - m->at))
        return broken(m, "a frame is longer than the file");
done:
    return st;
}

static wilor_status op_stop(machine *m, uint8_t op) {
    (void)op;
    m->stopped = true;
    return available(m) ? WILOR_OK : broken(m, "it holds no value");
}

/* Extension codes (0x82 to 0x84) and buffers outside the file (0x97, 0x98) are not among them. */
static operation *const g_operations[256] = {
    [0x80] = op_protocol,     [0x95] = op_frame,       ['.'] = op_stop,
    ['N'] = op_none,          [0x88] = op_bool,        [0x89] = op_bool,
    ['J'] = op_binint,        ['K'] = op_binint,       ['M'] = op_binint,
    ['I'] = op_int_line,      ['L'] = op_int_line,     ['F'] = op_float_line,
    [0x8a] = op_long,         [0x8b] = op_long,        ['G'] = op_binfloat,
    ['T'] = op_counted,       ['U'] = op_counted,      ['X'] = op_counted,
    ['B'] = op_counted,       ['C'] = op_counted,      [0x8c] = op_counted,
    [0x8d] = op_counted,      [0x8e] = op_counted,     [0x96] = op_counted,
    ['S'] = op_string_line,   ['V'] = op_unicode_line, [')'] = op_empty,
    ['}'] = op_empty,         [']'] = op_empty,        [0x8f] = op_empty,
    ['t'] = op_collect,       ['d'] = op_collect,      ['l'] = op_collect,
    [0x91] = op_collect,      [0x85] = op_tuple,       [0x86] = op_tuple,
    [0x87] = op_tuple,        ['a'] = op_add_one,      ['s'] = op_add_one,
    ['e'] = op_add_many,      ['u'] = op_add_many,     [0x90] = op_add_many,
    ['('] = op_mark,          ['0'] = op_pop,          ['1'] = op_pop,
    ['2'] = op_dup,           ['g'] = op_get,          ['h'] = op_get,
    ['j'] = op_get,           ['p'] = op_put,          ['q'] = op_put,
    ['r'] = op_put,           [0x94] = op_put,         ['c'] = op_global,
    [0x93] = op_stack_global, ['R'] = op_reduce,       [0x81] = op_newobj,
    [0x92] = op_newobj,       ['i'] = op_instance,     ['o'] = op_instance,
    ['b'] = op_build,         ['P'] = op_persistent,   ['Q'] = op_persistent,
};

wilor_status wilor_pickle_load(wilor_pickle *p, const uint8_t *data, size_t size, size_t *used,
                               wilor_value **out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    machine m = {.p = p, .begin = data, .at = data, .end = data + size, .err = err};
    const uint8_t *op;
    while (!m.stopped) {
        WILOR_TRY(take(&m, 1, &op));
        if (!g_operations[*op])
            WILOR_FAIL(err, WILOR_ERR_FORMAT,
                       "%s: damaged pickle: unknown operation 0x%02x at byte %zu", p->where,
                       *op, (size_t)(op - data));
        WILOR_TRY(g_operations[*op](&m, *op));
    }
    *out = m.stack[m.depth - 1];
    *used = (size_t)(m.at - data);
done:
    wilor_heap_free(m.stack);
    wilor_heap_free(m.marks);
    wilor_heap_free(m.memo);
    return st;
}

void wilor_pickle_free(wilor_pickle *p) {
    wilor_pool_free(&p->pool);
    wilor_heap_free(p->persistent);
    p->persistent = NULL;
    p->persistent_count = p->persistent_room = p->values = 0;
}

/* ------------------------------------------------------------------ looking at values */

bool wilor_value_is_text(const wilor_value *v, const char *text) {
    return v && (v->kind == WILOR_VALUE_TEXT || v->kind == WILOR_VALUE_BYTES) &&
           v->as.text.length == strlen(text) &&
           memcmp(v->as.text.at, text, v->as.text.length) == 0;
}

bool wilor_value_is_global(const wilor_value *v, const char *module, const char *name) {
    size_t n = strlen(module), k = strlen(name);
    return v && v->kind == WILOR_VALUE_GLOBAL && v->as.text.length == n + 1 + k &&
           memcmp(v->as.text.at, module, n) == 0 && v->as.text.at[n] == '.' &&
           memcmp(v->as.text.at + n + 1, name, k) == 0;
}

wilor_value *wilor_value_state(const wilor_value *v) {
    wilor_value *state = v && v->kind == WILOR_VALUE_OBJECT ? v->as.object.state : NULL;
    if (state && state->kind == WILOR_VALUE_TUPLE && state->as.list.count == 2)
        state = state->as.list.items[0];
    return state && state->kind == WILOR_VALUE_DICT ? state : NULL;
}

wilor_value *wilor_value_get(const wilor_value *v, const char *key) {
    if (v && v->kind == WILOR_VALUE_OBJECT) {
        wilor_value *found =
            v->as.object.pairs ? wilor_value_get(v->as.object.pairs, key) : NULL;
        return found ? found : wilor_value_get(wilor_value_state(v), key);
    }
    if (!v || v->kind != WILOR_VALUE_DICT)
        return NULL;
    for (size_t i = v->as.list.count; i >= 2; i -= 2) /* the last one set counts */
        if (wilor_value_is_text(v->as.list.items[i - 2], key))
            return v->as.list.items[i - 1];
    return NULL;
}

wilor_value *wilor_value_item(const wilor_value *v, size_t i) {
    bool list = v && (v->kind == WILOR_VALUE_TUPLE || v->kind == WILOR_VALUE_LIST);
    return list && i < v->as.list.count ? v->as.list.items[i] : NULL;
}

bool wilor_value_item_int(const wilor_value *v, size_t i, int64_t *out) {
    const wilor_value *item = wilor_value_item(v, i);
    if (!item || item->kind != WILOR_VALUE_INT)
        return false;
    *out = item->as.integer;
    return true;
}
