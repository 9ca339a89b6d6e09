/* What clients send to wilor serve. The first byte chooses the reader: a query (pairs with & between them), the
 * JSON form of POST /predict, base64, pixels without a format (three headers, a line each, then the body), a
 * pushed frame, a command line's words that requests start from. */
#include "fuzz_input.h"

#include "server_request.h"
#include <stdlib.h>
#include <string.h>

/* In place of part api, which would bring the whole network. */
void wilor_predict_options_init(wilor_predict_options *o, size_t size) {
    memset(o, 0, size);
    o->struct_size = size;
}

void wilor_detect_options_init(wilor_detect_options *o, size_t size) {
    memset(o, 0, size);
    o->struct_size = size;
}

static void expect_text(wilor_status st, const wilor_error *err) {
    if (st != WILOR_OK && (!err->text[0] || strchr(err->text, '\n') || err->status != st))
        abort();
}

static void query(char *text) {
    wilor_server_ask ask = {.return_faces = false};
    wilor_server_words own = {.count = 0};
    wilor_error err = {WILOR_OK, ""};
    char *rest = NULL;
    wilor_status st = wilor_server_words_add(&own, "focal=500", &err);
    if (st == WILOR_OK)
        st = wilor_server_words_add(&own, "conf=0.4", &err);
    for (char *pair = strtok_r(text, "&", &rest); st == WILOR_OK && pair;
         pair = strtok_r(NULL, "&", &rest))
        st = wilor_server_words_add(&ask.words, pair, &err);
    if (st == WILOR_OK)
        st = wilor_server_ask_finish(&ask, &own, &err);
    expect_text(st, &err);
    /* A request opens no file and knows of no command. */
    if (st == WILOR_OK &&
        (ask.options.betas_path || ask.options.out || ask.options.input_count != 1))
        abort();
    if (!strncmp(err.text, "predict: ", 9))
        abort();
    wilor_server_ask_free(&ask);
    wilor_server_words_free(&own);
}

static void json(const char *text, size_t size) {
    wilor_server_ask ask = {.return_faces = false};
    wilor_server_words own = {.count = 0};
    wilor_error err = {WILOR_OK, ""};
    wilor_status st = wilor_server_ask_json(&ask, text, size, &err);
    if (st == WILOR_OK && !ask.image)
        abort();
    if (st == WILOR_OK)
        st = wilor_server_ask_finish(&ask, &own, &err);
    expect_text(st, &err);
    wilor_server_ask_free(&ask);
}

static void base64(const char *text, size_t size) {
    size_t count = 0;
    uint8_t *out = malloc(size / 4 * 3 + 3);
    if (out && wilor_server_base64_read(text, size, out, &count) && count > size / 4 * 3)
        abort();
    free(out);
}

static void raw(char *text, size_t size) {
    wilor_picture p;
    wilor_error err = {WILOR_OK, ""};
    char *line[3] = {text, "", ""}, *at = text;
    for (int i = 0; i < 3; i++) {
        char *end = strchr(at, '\n');
        line[i] = at;
        if (!end)
            return;
        *end = 0;
        at = end + 1;
    }
    size_t rest = size - (size_t)(at - text);
    wilor_status st = wilor_server_raw_read(&p, line[0], line[1], line[2], (const uint8_t *)at,
                                            rest, 1000000, &err);
    expect_text(st, &err);
    volatile uint8_t last = 0;
    if (st == WILOR_OK) /* all rows are in the body */
        last = p.data[(size_t)p.stride * (size_t)p.height - 1];
    (void)last;
}

static void frame(const uint8_t *data, size_t size) {
    wilor_server_frame f;
    wilor_error err = {WILOR_OK, ""};
    wilor_status st = wilor_server_frame_read(&f, data, size, &err);
    expect_text(st, &err);
    if (st == WILOR_OK && (f.size == 0 || f.image + f.size != data + size || f.time < 0))
        abort();
}

static void words(char *text, size_t size) {
    char *argv[65];
    int argc = 0;
    wilor_server_words own = {.count = 0};
    wilor_error err = {WILOR_OK, ""};
    for (size_t at = 0; at < size && argc < 64; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    argv[argc] = NULL;
    expect_text(wilor_server_words_keep(&own, argc, argv, &err), &err);
    wilor_server_words_free(&own);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    switch (*data) {
    case 'q':
        query(text);
        break;
    case 'j':
        json(text, size - 1);
        break;
    case 'b':
        base64(text, size - 1);
        break;
    case 'r':
        raw(text, size - 1);
        break;
    case 'f':
        frame(data + 1, size - 1);
        break;
    case 'w':
        words(text, size - 1);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
