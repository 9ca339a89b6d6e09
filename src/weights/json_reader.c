/* RFC 8259 without extensions: no comments, no trailing commas, no NaN. Surrogates must come in
 * pairs; blanks are only the four of the standard. */
#include "json_reader.h"

#include "index_build.h"
#include <string.h>

static bool fail(wilor_json *j, const char *why) {
    if (!j->error)
        j->error = why;
    return false;
}

void wilor_json_init(wilor_json *j, const char *text, size_t length, wilor_pool *pool) {
    *j = (wilor_json){.begin = text, .at = text, .end = text + length, .pool = pool};
    if (!wilor_utf8_valid(text, length))
        fail(j, "it is not UTF-8");
}

static void skip_blanks(wilor_json *j) {
    while (j->at < j->end &&
           (*j->at == ' ' || *j->at == '\n' || *j->at == '\r' || *j->at == '\t'))
        j->at++;
}

/* The next character that is no blank; 0 at the end. */
static char peek(wilor_json *j) {
    skip_blanks(j);
    return j->at < j->end ? *j->at : 0;
}

static bool take(wilor_json *j, char c) {
    if (j->error || peek(j) != c)
        return false;
    j->at++;
    return true;
}

bool wilor_json_begin(wilor_json *j, char bracket) {
    if (!take(j, bracket))
        return fail(j, bracket == '{' ? "an object is expected" : "a list is expected");
    j->fresh = true;
    return true;
}

bool wilor_json_next(wilor_json *j, char closing) {
    bool fresh = j->fresh;
    j->fresh = false;
    if (j->error || take(j, closing))
        return false;
    if (!fresh && !take(j, ','))
        return fail(j, "a comma or closing bracket is missing");
    return peek(j) != closing || fail(j, "a comma stands before a closing bracket");
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool take_hex4(wilor_json *j, unsigned *out) {
    *out = 0;
    if (j->end - j->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*j->at++);
        if (digit < 0)
            return false;
        *out = *out << 4 | (unsigned)digit;
    }
    return true;
}

static char *put_utf8(char *to, unsigned code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* What stands after a backslash. */
static bool take_escape(wilor_json *j, char **to) {
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char c = j->at < j->end ? *j->at++ : 0;
    const char *known = c ? strchr(from, c) : NULL;
    unsigned code, low;
    if (known) {
        *(*to)++ = into[known - from];
        return true;
    }
    if (c != 'u' || !take_hex4(j, &code) || (code >= 0xDC00 && code < 0xE000))
        return fail(j, "an escape in a string is not valid");
    if (code >= 0xD800 && code < 0xDC00) {
        if (j->end - j->at < 2 || j->at[0] != '\\' || j->at[1] != 'u')
            return fail(j, "half a surrogate pair in a string");
        j->at += 2;
        if (!take_hex4(j, &low) || low < 0xDC00 || low >= 0xE000)
            return fail(j, "half a surrogate pair in a string");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    *to = put_utf8(*to, code);
    return true;
}

/* Where the string that begins at j->at closes; NULL when it does not. */
static const char *closing_quote(const wilor_json *j) {
    for (const char *p = j->at; p < j->end; p++) {
        if (*p == '"')
            return p;
        if (*p == '\\')
            p++;
    }
    return NULL;
}

bool wilor_json_string(wilor_json *j, const char **text, size_t *length) {
    if (!take(j, '"'))
        return fail(j, "a string is expected");
    const char *close = closing_quote(j);
    if (!close)
        return fail(j, "a string is not closed");
    /* Decoded text is never longer than its escapes. */
    char *copy = wilor_pool_alloc(j->pool, (size_t)(close - j->at) + 1, 1), *to = copy;
    if (!copy) {
        j->no_memory = true;
        return fail(j, "no memory");
    }
    while (j->at < close) {
        char c = *j->at++;
        if ((unsigned char)c < 0x20)
            return fail(j, "a control character in a string");
        if (c != '\\')
            *to++ = c;
        else if (!take_escape(j, &to))
            return false;
    }
    if (j->at != close)
        return fail(j, "an escape in a string is not valid");
    j->at++;
    *text = copy;
    *length = (size_t)(to - copy);
    return true;
}

bool wilor_json_key(wilor_json *j, const char **text, size_t *length) {
    if (!wilor_json_string(j, text, length))
        return false;
    return take(j, ':') || fail(j, "a colon is missing");
}

static bool is_digit(const wilor_json *j) {
    return j->at < j->end && *j->at >= '0' && *j->at <= '9';
}

bool wilor_json_size(wilor_json *j, int64_t *out) {
    *out = 0;
    if (j->error)
        return false;
    skip_blanks(j);
    const char *begin = j->at;
    while (is_digit(j)) {
        if (*out > (INT64_MAX - 9) / 10)
            return fail(j, "a number is too large");
        *out = *out * 10 + (*j->at++ - '0');
    }
    if (j->at == begin || (*begin == '0' && j->at - begin > 1) ||
        (j->at < j->end && (*j->at == '.' || *j->at == 'e' || *j->at == 'E')))
        return fail(j, "a whole number of 0 or more is expected");
    return true;
}

static bool take_word(wilor_json *j, const char *word) {
    size_t n = strlen(word);
    skip_blanks(j);
    if (j->error || (size_t)(j->end - j->at) < n || memcmp(j->at, word, n) != 0)
        return false;
    j->at += n;
    return true;
}

bool wilor_json_null(wilor_json *j) { return take_word(j, "null"); }

static bool skip_digits(wilor_json *j) {
    const char *begin = j->at;
    while (is_digit(j))
        j->at++;
    return j->at > begin;
}

static bool skip_number(wilor_json *j) {
    if (*j->at == '-')
        j->at++;
    const char *begin = j->at;
    bool good = skip_digits(j) && (*begin != '0' || j->at - begin == 1);
    if (good && j->at < j->end && *j->at == '.') {
        j->at++;
        good = skip_digits(j);
    }
    if (good && j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
        j->at++;
        if (j->at < j->end && (*j->at == '+' || *j->at == '-'))
            j->at++;
        good = skip_digits(j);
    }
    return good || fail(j, "a number is not valid");
}

static bool skip_scalar(wilor_json *j) {
    const char *text;
    size_t length;
    char c = peek(j);
    if (j->error)
        return false;
    if (c == '"')
        return wilor_json_string(j, &text, &length);
    if (c == '-' || (c >= '0' && c <= '9'))
        return skip_number(j);
    return take_word(j, "null") || take_word(j, "true") || take_word(j, "false") ||
           fail(j, "a value is expected");
}

bool wilor_json_skip(wilor_json *j) {
    char closing[WILOR_JSON_DEPTH];
    const char *key;
    size_t length;
    int depth = 0;
    do {
        char c = peek(j);
        if (c == '{' || c == '[') {
            if (depth == WILOR_JSON_DEPTH)
                return fail(j, "it is nested too deep (more than 64)");
            closing[depth++] = c == '{' ? '}' : ']';
            wilor_json_begin(j, c);
        } else if (!skip_scalar(j)) {
            return false;
        }
        /* Close what is complete; then another element of the innermost that is open follows. */
        while (depth && !wilor_json_next(j, closing[depth - 1])) {
            if (j->error)
                return false;
            depth--;
        }
        if (depth && closing[depth - 1] == '}' && !wilor_json_key(j, &key, &length))
            return false;
    } while (depth);
    return !j->error;
}

bool wilor_json_finish(wilor_json *j) {
    skip_blanks(j);
    return !j->error && (j->at == j->end || fail(j, "there is text after its end"));
}
