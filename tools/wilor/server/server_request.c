/* Reading requests. See server_request.h.
 *
 * Options of a request become words of a command line, so that predict's table is the only place that
 * knows what is allowed between them. Only those that say something of one picture are let through: none
 * of them opens a file. */
#include "server_request.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct known {
    const char *name; /* without the dashes */
    bool flag;
    bool repeat;
    bool camera; /* one of these in the request replaces all of them */
} known;

static const known g_known[] = {
    {"conf", false, false, false},      {"iou", false, false, false},
    {"imgsz", false, false, false},     {"max-hands", false, false, false},
    {"bbox", false, true, false},       {"detector-profile", false, false, false},
    {"side", false, false, false},      {"mirrored", true, false, false},
    {"rescale", false, false, false},   {"warp", false, false, false},
    {"intrinsics", false, false, true}, {"fov", false, false, true},
    {"focal", false, false, true},      {"distortion", false, false, true},
    {"palm", false, false, false},      {"include", false, false, false},
};

/* Of the server's command line only: which numbers it computes with. */
static const known g_compat = {"compat", false, false, false};

enum { KNOWN = sizeof g_known / sizeof g_known[0] };

/* `_` is as good as `-`. */
static bool same_name(const char *name, const char *text, size_t length) {
    if (strlen(name) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] != text[i] && !(name[i] == '-' && text[i] == '_'))
            return false;
    return true;
}

static const known *find(const char *text, size_t length) {
    for (size_t i = 0; i < KNOWN; i++)
        if (same_name(g_known[i].name, text, length))
            return &g_known[i];
    return NULL;
}

/* The option of a word "--name" or "--name=value"; NULL: none of a request's. */
static const known *of_word(const char *word) {
    size_t length = strcspn(word + 2, "=");
    return same_name(g_compat.name, word + 2, length) ? &g_compat : find(word + 2, length);
}

void wilor_server_words_free(wilor_server_words *w) {
    for (int i = 0; i < w->count; i++)
        free(w->word[i]);
    w->count = 0;
}

static wilor_status add(wilor_server_words *w, const char *name, const char *value,
                        wilor_error *err) {
    size_t room = strlen(name) + (value ? strlen(value) : 0) + 4;
    if (w->count == WILOR_SERVER_WORDS_MOST)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT, "more than %d options",
                              WILOR_SERVER_WORDS_MOST);
    char *word = malloc(room);
    if (!word)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    snprintf(word, room, "--%s%s%s", name, value ? "=" : "", value ? value : "");
    w->word[w->count++] = word;
    return WILOR_OK;
}

wilor_status wilor_server_words_keep(wilor_server_words *w, int argc, char *const *argv,
                                     wilor_error *err) {
    wilor_status st = WILOR_OK;
    for (int i = 0; st == WILOR_OK && i < argc && strcmp(argv[i], "--") != 0; i++) {
        const known *k = !strncmp(argv[i], "--", 2) ? of_word(argv[i]) : NULL;
        const char *equals = strchr(argv[i], '=');
        if (!k)
            continue;
        const char *value = k->flag        ? NULL
                            : equals       ? equals + 1
                            : i + 1 < argc ? argv[++i]
                                           : "";
        st = add(w, k->name, value, err);
    }
    return st;
}

/* "", "1", "true": yes; "0", "false": no; false: neither. */
static bool read_flag(const char *value, bool *yes) {
    *yes = !value || !*value || !strcmp(value, "1") || !strcmp(value, "true");
    return *yes || !strcmp(value, "0") || !strcmp(value, "false");
}

wilor_status wilor_server_words_add(wilor_server_words *w, const char *pair, wilor_error *err) {
    wilor_cli_quoted q;
    size_t length = strcspn(pair, "=");
    const char *value = pair[length] ? pair + length + 1 : NULL;
    const known *k = find(pair, length);
    bool yes;
    if (!k) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", length < 63 ? (int)length : 63, pair);
        return wilor_cli_fail(err, WILOR_ERR_ARG, "a request has no option %s",
                              wilor_cli_quote(&q, name));
    }
    if (k->flag) {
        if (!read_flag(value, &yes))
            return wilor_cli_fail(err, WILOR_ERR_ARG, "%s=%s: it should be true or false",
                                  k->name, wilor_cli_quote(&q, value));
        return add(w, k->name, yes ? NULL : "off", err);
    }
    if (!value || !*value)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "%s has no value", k->name);
    return add(w, k->name, value, err);
}

/* ---------------------------------------------------------------- base64 */

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool wilor_server_base64_read(const char *text, size_t size, uint8_t *out, size_t *count) {
    uint32_t bits = 0;
    unsigned digits = 0, padding = 0;
    bool ended = false;
    *count = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        int digit = c == '=' ? 0 : base64_digit(c);
        if (digit < 0 || ended || (c != '=' && padding))
            return false;
        padding += c == '=';
        bits = bits << 6 | (uint32_t)digit;
        if (++digits < 4)
            continue;
        if (padding > 2)
            return false;
        for (unsigned k = 0; k < 3 - padding; k++)
            out[(*count)++] = (uint8_t)(bits >> (16 - 8 * k));
        ended = padding > 0;
        bits = digits = 0;
    }
    return digits == 0;
}

/* ---------------------------------------------------------------- the JSON form */

static wilor_status wrong(const char *key, const char *wanted, wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s: it should be %s", key, wanted);
}

static wilor_status take_image(wilor_server_ask *ask, const json_t *value, wilor_error *err) {
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    if (!text)
        return wrong("image", "a picture in base64", err);
    if (!strncmp(text, "data:", 5)) { /* as a page's FileReader gives it */
        const char *comma = strchr(text, ',');
        if (!comma || comma - text < 7 || strncmp(comma - 7, ";base64", 7) != 0)
            return wrong("image", "base64, also behind data:…;base64,", err);
        size -= (size_t)(comma + 1 - text);
        text = comma + 1;
    }
    ask->image = malloc(size / 4 * 3 + 3);
    if (!ask->image)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    if (!wilor_server_base64_read(text, size, ask->image, &ask->image_size))
        return wilor_cli_fail(err, WILOR_ERR_FORMAT, "image: not base64");
    return WILOR_OK;
}

/* is_right: for all boxes, or one each. */
static const json_t *side_of(const json_t *is_right, size_t i) {
    return json_is_array(is_right) ? json_array_get(is_right, i) : is_right;
}

static bool read_side(const json_t *value, const char **side) {
    bool right =
        json_is_true(value) || (json_is_number(value) && json_number_value(value) == 1);
    bool left =
        json_is_false(value) || (json_is_number(value) && json_number_value(value) == 0);
    *side = right ? "right" : "left";
    return right || left;
}

static wilor_status take_box(wilor_server_ask *ask, const json_t *box, const json_t *is_right,
                             wilor_error *err) {
    char value[160];
    const char *side;
    if (json_array_size(box) != 4)
        return wrong("bbox", "[x0, y0, x1, y1], or a list of such", err);
    for (size_t i = 0; i < 4; i++)
        if (!json_is_number(json_array_get(box, i)))
            return wrong("bbox", "[x0, y0, x1, y1] with numbers in it", err);
    if (!read_side(is_right, &side))
        return wrong("is_right", "true or false for every box of bbox", err);
    snprintf(value, sizeof value, "%.17g,%.17g,%.17g,%.17g,%s",
             json_number_value(json_array_get(box, 0)),
             json_number_value(json_array_get(box, 1)),
             json_number_value(json_array_get(box, 2)),
             json_number_value(json_array_get(box, 3)), side);
    return add(&ask->words, "bbox", value, err);
}

static wilor_status take_boxes(wilor_server_ask *ask, const json_t *bbox,
                               const json_t *is_right, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const char *side;
    if (!bbox || json_is_null(bbox)) { /* the detector's hands, taken for this side */
        if (!is_right || json_is_null(is_right))
            return WILOR_OK;
        if (!read_side(is_right, &side))
            return wrong("is_right", "true or false", err);
        return add(&ask->words, "side", side, err);
    }
    if (!json_is_array(bbox) || json_array_size(bbox) == 0)
        return wrong("bbox", "[x0, y0, x1, y1], or a list of such", err);
    if (!json_is_array(json_array_get(bbox, 0)))
        return take_box(ask, bbox, side_of(is_right, 0), err);
    if (json_is_array(is_right) && json_array_size(is_right) != json_array_size(bbox))
        return wrong("is_right", "as long as bbox", err);
    for (size_t i = 0; st == WILOR_OK && i < json_array_size(bbox); i++)
        st = take_box(ask, json_array_get(bbox, i), side_of(is_right, i), err);
    return st;
}

static wilor_status take_flag(const json_t *body, const char *key, bool *out,
                              wilor_error *err) {
    const json_t *value = json_object_get(body, key);
    if (value && !json_is_boolean(value) && !json_is_null(value))
        return wrong(key, "true or false", err);
    *out = json_is_true(value);
    return WILOR_OK;
}

static wilor_status check_keys(json_t *body, wilor_error *err) {
    static const char *const keys[] = {
        "image", "bbox", "is_right", "rescale_factor", "return_vertices", "return_faces"};
    const char *key;
    json_t *value;
    json_object_foreach(body, key, value) {
        size_t i = 0;
        wilor_cli_quoted q;
        while (i < sizeof keys / sizeof keys[0] && strcmp(keys[i], key) != 0)
            i++;
        if (i == sizeof keys / sizeof keys[0])
            return wilor_cli_fail(err, WILOR_ERR_ARG,
                                  "the key %s is not known; there are image, bbox, is_right, "
                                  "rescale_factor, return_vertices, return_faces",
                                  wilor_cli_quote(&q, key));
    }
    return WILOR_OK;
}

static wilor_status take_body(wilor_server_ask *ask, json_t *body, wilor_error *err) {
    const json_t *rescale = json_object_get(body, "rescale_factor");
    bool vertices = false;
    char value[64];
    wilor_status st = check_keys(body, err);
    if (st == WILOR_OK)
        st = take_image(ask, json_object_get(body, "image"), err);
    if (st == WILOR_OK)
        st = take_boxes(ask, json_object_get(body, "bbox"), json_object_get(body, "is_right"),
                        err);
    if (st == WILOR_OK && rescale && !json_is_null(rescale)) {
        if (!json_is_number(rescale))
            return wrong("rescale_factor", "a number", err);
        snprintf(value, sizeof value, "%.17g", json_number_value(rescale));
        st = add(&ask->words, "rescale", value, err);
    }
    if (st == WILOR_OK)
        st = take_flag(body, "return_vertices", &vertices, err);
    if (st == WILOR_OK)
        st = take_flag(body, "return_faces", &ask->return_faces, err);
    if (st == WILOR_OK && vertices)
        st = add(&ask->words, "include", "det,vertices", err);
    return st;
}

wilor_status wilor_server_ask_json(wilor_server_ask *ask, const char *text, size_t size,
                                   wilor_error *err) {
    json_error_t error;
    wilor_cli_quoted q;
    json_t *body = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!body)
        return wilor_cli_fail(err, WILOR_ERR_FORMAT, "the body is not JSON: line %d: %s",
                              error.line, wilor_cli_quote(&q, error.text));
    wilor_status st = json_is_object(body)
                          ? take_body(ask, body, err)
                          : wilor_cli_fail(err, WILOR_ERR_FORMAT,
                                           "the body should be a JSON object with an image");
    json_decref(body);
    return st;
}

/* ---------------------------------------------------------------- options */

/* Whether the request says something of what the server's word says. */
static bool replaced(const wilor_server_words *by, const char *own) {
    const known *k = of_word(own);
    for (int i = 0; i < by->count; i++) {
        const known *other = of_word(by->word[i]);
        if (k == other || (k->camera && other->camera))
            return true;
    }
    return false;
}

/* Without the "predict: " in front, which is not what the client called. */
static void strip_command(wilor_error *err) {
    static const char command[] = "predict: ";
    size_t n = sizeof command - 1;
    if (err && !strncmp(err->text, command, n))
        memmove(err->text, err->text + n, strlen(err->text + n) + 1);
}

wilor_status wilor_server_ask_finish(wilor_server_ask *ask, const wilor_server_words *own,
                                     wilor_error *err) {
    char picture[] = "picture";
    char *argv[2 * WILOR_SERVER_WORDS_MOST + 1];
    int argc = 0;
    for (int i = 0; i < own->count; i++)
        if (!replaced(&ask->words, own->word[i]))
            argv[argc++] = own->word[i];
    for (int i = 0; i < ask->words.count; i++)
        if (!of_word(ask->words.word[i])->flag || !strchr(ask->words.word[i], '='))
            argv[argc++] = ask->words.word[i]; /* not a flag that is off */
    argv[argc++] = picture;
    wilor_status st = wilor_cli_predict_options_parse(&ask->options, argc, argv, err);
    if (st != WILOR_OK)
        strip_command(err);
    return st;
}

void wilor_server_ask_free(wilor_server_ask *ask) {
    wilor_server_words_free(&ask->words);
    wilor_cli_predict_options_free(&ask->options);
    free(ask->image);
    *ask = (wilor_server_ask){0};
}

/* ---------------------------------------------------------------- pixels and frames */

wilor_status wilor_server_raw_read(wilor_picture *out, const char *width, const char *height,
                                   const char *format, const uint8_t *body, size_t size,
                                   uint64_t max_pixels, wilor_error *err) {
    static const struct {
        const char *name;
        wilor_pixel_format format;
        size_t bytes;
    } formats[] = {{"rgb8", WILOR_RGB8, 3},
                   {"bgr8", WILOR_BGR8, 3},
                   {"rgba8", WILOR_RGBA8, 4},
                   {"gray8", WILOR_GRAY8, 1},
                   {"nv12", WILOR_NV12, 1}};

    enum { SIDE_MOST = 65535 };

    long w, h;
    size_t i = 0;
    if (!wilor_cli_parse_long(width, 1, SIDE_MOST, &w) ||
        !wilor_cli_parse_long(height, 1, SIDE_MOST, &h))
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "X-Width and X-Height should be whole numbers from 1 to %d",
                              SIDE_MOST);
    while (i < 5 && strcmp(formats[i].name, format) != 0)
        i++;
    if (i == 5)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "X-Format should be rgb8, bgr8, rgba8, gray8 or nv12");
    if ((uint64_t)w * (uint64_t)h > max_pixels)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT,
                              "%ld x %ld pixels are more than the limit of %llu", w, h,
                              (unsigned long long)max_pixels);
    size_t stride = (size_t)w * formats[i].bytes;
    size_t rows = (size_t)h;
    if (formats[i].format == WILOR_NV12) {
        if (w % 2 || h % 2)
            return wilor_cli_fail(err, WILOR_ERR_ARG, "nv12 needs an even width and height");
        rows += rows / 2;
    }
    if (size != stride * rows)
        return wilor_cli_fail(err, WILOR_ERR_FORMAT,
                              "%ld x %ld pixels of %s are %zu bytes, but the body has %zu", w,
                              h, formats[i].name, stride * rows, size);
    *out = (wilor_picture){body, (int)w, (int)h, (ptrdiff_t)stride, formats[i].format};
    return WILOR_OK;
}

wilor_status wilor_server_frame_read(wilor_server_frame *out, const uint8_t *message,
                                     size_t size, wilor_error *err) {
    enum { TIME = 8 };

    uint64_t time = 0;
    if (size <= TIME)
        return wilor_cli_fail(
            err, WILOR_ERR_FORMAT,
            "a frame of %zu bytes: it should be 8 bytes of time, then a picture", size);
    for (int i = 0; i < TIME; i++)
        time |= (uint64_t)message[i] << 8 * i;
    if (time > INT64_MAX)
        return wilor_cli_fail(err, WILOR_ERR_FORMAT,
                              "a frame's time of %llu ns is beyond 2^63 - 1",
                              (unsigned long long)time);
    *out = (wilor_server_frame){(int64_t)time, message + TIME, size - TIME};
    return WILOR_OK;
}
