/* Growing text, and numbers into it.
 *
 * Floats: of 6, 7, 8 and 9 digits the first that reads back is taken. Both halves of that are done in double
 * and are exact but for cases that can be told: a float times a power of ten is off by 2^-53 of itself, so the
 * digits are right unless the fraction is next to one half; the digits divided by an exact power of ten are a
 * correctly rounded double, which rounds to the float that the decimal itself rounds to unless that double
 * lies just between two floats. Told cases, and exponents whose powers of ten are not exact, take the C
 * library's way. */
#include "text_buffer.h"

#include "cli_text.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_DIGITS = 6, MOST_DIGITS = 9, EXACT_POWERS = 23 };

static const double g_power[EXACT_POWERS] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                             1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* ---------------------------------------------------------------- floats */

/* value = digits · 10^(exponent - (count of digits - 1)), digits without zeros at their end. */
typedef struct decimal {
    uint32_t digits;
    int count, exponent;
} decimal;

static double scaled(double value, int power) {
    return power >= 0 ? value * g_power[power] : value / g_power[-power];
}

/* Whether a double lies half way between two floats (normal ones). */
static bool is_between(double value) {
    const uint64_t below = (UINT64_C(1) << 29) - 1;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & below) == UINT64_C(1) << 28;
}

/* The power of ten of a value's first digit: 1e-12 … 1e15. */
static int find_exponent(double value) {
    int e = 0;
    while (value >= g_power[e + 1])
        e++;
    while (scaled(value, -e) < 1)
        e--;
    return e;
}

/* False: the C library's way is to be taken. */
static bool quick_decimal(float value, decimal *out) {
    double x = (double)value;
    if (!(x >= 1e-12 && x < 1e15))
        return false;
    int e = find_exponent(x);
    for (int count = LEAST_DIGITS; count <= MOST_DIGITS; count++) {
        double s = scaled(x, count - 1 - e), whole = floor(s), part = s - whole;
        if (fabs(part - 0.5) < 1e-5)
            return false;
        whole += part > 0.5;
        double back = scaled(whole, e + 1 - count);
        if (is_between(back))
            return false;
        if ((float)back == value) {
            bool carried = whole >= g_power[count];
            *out = (decimal){(uint32_t)whole, count + carried, e + carried};
            return true;
        }
    }
    return false;
}

static bool slow_decimal(float value, decimal *out) {
    char text[32];
    int count = LEAST_DIGITS;
    for (; count <= MOST_DIGITS; count++) {
        snprintf(text, sizeof text, "%.*e", count - 1, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    char *e = strchr(text, 'e');
    if (!e)
        return false;
    *out = (decimal){.count = 0, .exponent = atoi(e + 1)};
    for (const char *s = text; s < e; s++)
        if (*s >= '0' && *s <= '9') { /* the point may be the locale's */
            out->digits = out->digits * 10 + (uint32_t)(*s - '0');
            out->count++;
        }
    return true;
}

static char *put_digits(char *at, const decimal *d, const char *digits) {
    if (d->exponent < -4 || d->exponent >= MOST_DIGITS) { /* as printf's %.9g */
        *at++ = digits[0];
        if (d->count > 1)
            *at++ = '.';
        memcpy(at, digits + 1, (size_t)d->count - 1);
        at += d->count - 1;
        return at + snprintf(at, 5, "e%d", d->exponent);
    }
    int point = d->exponent + 1; /* digits before it */
    if (point <= 0) {
        memcpy(at, "0.0000", 6);
        at += 2 - point;
        point = d->count;
    } else {
        for (int i = 0; i < point; i++)
            *at++ = i < d->count ? digits[i] : '0';
        *at++ = '.';
        if (point >= d->count)
            *at++ = '0';
        digits += point < d->count ? point : d->count;
        point = point < d->count ? d->count - point : 0;
    }
    memcpy(at, digits, (size_t)point);
    return at + point;
}

size_t wilor_cli_float_text(char out[WILOR_CLI_FLOAT_TEXT], float value) {
    decimal d;
    char digits[16] = "0", *at = out;
    if (!isfinite(value)) {
        memcpy(out, "null", 5);
        return 4;
    }
    if (signbit(value))
        *at++ = '-';
    value = fabsf(value);
    if (value == 0 || (!quick_decimal(value, &d) && !slow_decimal(value, &d))) {
        memcpy(at, "0.0", 4);
        return (size_t)(at + 3 - out);
    }
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.count--;
    }
    uint32_t rest = d.digits;
    for (int i = d.count - 1; i >= 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    at = put_digits(at, &d, digits);
    *at = 0;
    return (size_t)(at - out);
}

/* ---------------------------------------------------------------- the buffer */

void wilor_cli_buffer_clear(wilor_cli_buffer *b) {
    b->used = 0;
    b->failed = false;
}

void wilor_cli_buffer_free(wilor_cli_buffer *b) {
    free(b->text);
    *b = (wilor_cli_buffer){0};
}

/* Room for so many bytes and a zero; NULL when there is none. */
static char *reserve(wilor_cli_buffer *b, size_t count) {
    if (b->failed)
        return NULL;
    if (count < b->room - b->used) /* used < room, or both are 0 */
        return b->text + b->used;
    size_t room = b->room ? b->room : 4096;
    while (room <= SIZE_MAX / 4 && count >= room - b->used)
        room *= 2;
    char *grown = count < room - b->used ? realloc(b->text, room) : NULL;
    b->failed = !grown;
    if (!grown)
        return NULL;
    b->text = grown;
    b->room = room;
    return b->text + b->used;
}

void wilor_cli_buffer_bytes(wilor_cli_buffer *b, const char *bytes, size_t count) {
    char *at = reserve(b, count);
    if (!at)
        return;
    if (count > 0) /* of nothing there may be no address */
        memcpy(at, bytes, count);
    at[count] = 0;
    b->used += count;
}

void wilor_cli_buffer_text(wilor_cli_buffer *b, const char *text) {
    wilor_cli_buffer_bytes(b, text, strlen(text));
}

void wilor_cli_buffer_unsigned(wilor_cli_buffer *b, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    wilor_cli_buffer_bytes(b, digits + at, sizeof digits - at);
}

void wilor_cli_buffer_integer(wilor_cli_buffer *b, int64_t value) {
    if (value < 0)
        wilor_cli_buffer_bytes(b, "-", 1);
    wilor_cli_buffer_unsigned(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void wilor_cli_buffer_float(wilor_cli_buffer *b, float value) {
    char *at = reserve(b, WILOR_CLI_FLOAT_TEXT);
    if (at)
        b->used += wilor_cli_float_text(at, value);
}

static void put_code(wilor_cli_buffer *b, uint32_t code) {
    char out[4];
    if (code < 0x80) {
        out[0] = (char)code;
        wilor_cli_buffer_bytes(b, out, 1);
        return;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[4] = {0, 0xC0, 0xE0, 0xF0};
    for (size_t i = more; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[more] | code);
    wilor_cli_buffer_bytes(b, out, more + 1);
}

void wilor_cli_buffer_string(wilor_cli_buffer *b, const char *text) {
    wilor_cli_buffer_bytes(b, "\"", 1);
    for (const char *s = text; *s;) {
        uint32_t code;
        char escape[8];
        s += wilor_cli_utf8_next(s, &code);
        if (code == '"' || code == '\\') {
            escape[0] = '\\';
            escape[1] = (char)code;
            wilor_cli_buffer_bytes(b, escape, 2);
        } else if (code < 0x20 || code == 0x7F) {
            snprintf(escape, sizeof escape, "\\u%04X", (unsigned)code);
            wilor_cli_buffer_bytes(b, escape, 6);
        } else {
            put_code(b, code);
        }
    }
    wilor_cli_buffer_bytes(b, "\"", 1);
}
