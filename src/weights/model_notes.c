/* model_notes.h. Numbers are read by hand: strtod's decimal point is that of the host's locale. */
#include "model_notes.h"

#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits, and others behind a point: "1.75". At most nine of either. */
static bool read_decimal(double *out, const char *text) {
    enum { MOST_DIGITS = 9 };

    double value = 0, place = 1;
    int whole = 0, part = 0;
    for (; is_digit(*text); text++, whole++)
        value = value * 10 + (*text - '0');
    if (*text == '.')
        for (text++; is_digit(*text); text++, part++) {
            value = value * 10 + (*text - '0');
            place *= 10;
        }
    *out = value / place;
    return *text == 0 && whole > 0 && whole <= MOST_DIGITS && part <= MOST_DIGITS;
}

static bool is_name(const char *text) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(text);
    return n > 0 && n < WILOR_MODEL_NAME && strspn(text, allowed) == n;
}

wilor_status wilor_model_notes_read(wilor_model_notes *out, const wilor_index *x,
                                    wilor_error *err) {
    wilor_quoted path, q;
    const char *name = wilor_index_metadata(x, "wilor.model");
    const char *rescale = wilor_index_metadata(x, "wilor.rescale");
    const char *licence = wilor_index_metadata(x, "license");
    *out = (wilor_model_notes){name ? name : "", 0, licence ? licence : ""};
    if (name && !is_name(name))
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "%s: the metadata's wilor.model %s is no name: 1 to %d letters, "
                               "digits, '.', '_' and '-'",
                               wilor_quote(&path, wilor_index_path(x)), wilor_quote(&q, name),
                               WILOR_MODEL_NAME - 1);
    if (rescale &&
        (!read_decimal(&out->rescale, rescale) || out->rescale < 0.01 || out->rescale > 100))
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "%s: the metadata's wilor.rescale %s is no number from 0.01 to "
                               "100",
                               wilor_quote(&path, wilor_index_path(x)),
                               wilor_quote(&q, rescale));
    return WILOR_OK;
}
