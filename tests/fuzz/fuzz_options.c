/* The command line of `wilor predict`: the bytes are its words, with a zero byte after each. An
 * input that begins with a line feed is a file for --betas instead. */
#include "fuzz_input.h"

#include "betas_file.h"
#include "predict_options.h"
#include <stdlib.h>
#include <string.h>

enum { WORDS_MOST = 64 };

/* In place of part api, which would bring the whole network. */
void wilor_predict_options_init(wilor_predict_options *o, size_t size) {
    memset(o, 0, size);
    o->struct_size = size;
}

void wilor_detect_options_init(wilor_detect_options *o, size_t size) {
    memset(o, 0, size);
    o->struct_size = size;
}

static void read_betas(const uint8_t *data, size_t size) {
    float betas[10];
    char path[32];
    wilor_error err = {0};
    FILE *file = tmpfile();
    if (!file)
        return;
    if (fwrite(data, 1, size, file) == size && fflush(file) == 0) {
        snprintf(path, sizeof path, "/dev/fd/%d", fileno(file));
        if (wilor_cli_betas_read(betas, path, &err) != WILOR_OK && !err.text[0])
            abort();
    }
    fclose(file);
}

static void parse(char *text, size_t size) {
    char *words[WORDS_MOST + 1];
    int count = 0;
    wilor_cli_predict_options o;
    wilor_error err = {0};
    for (size_t at = 0; at < size && count < WORDS_MOST; at += strlen(text + at) + 1)
        words[count++] = text + at;
    words[count] = NULL;
    wilor_status st = wilor_cli_predict_options_parse(&o, count, words, &err);
    if (st == WILOR_OK && !o.help)
        (void)wilor_cli_predict_options_for(&o, 640, 480, NULL);
    if (st != WILOR_OK && (!err.text[0] || strchr(err.text, '\n')))
        abort();
    wilor_cli_predict_options_free(&o);
}

static void help(void) {
    FILE *to = fopen("/dev/null", "w");
    if (!to)
        return;
    wilor_cli_predict_help(to);
    fclose(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        help();
        return 0;
    }
    if (*data == '\n') {
        read_betas(data + 1, size - 1);
        return 0;
    }
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    parse(text, size);
    free(text);
    return 0;
}
