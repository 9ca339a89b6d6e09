/* Reading betas. An npz of `wilor predict --npz` works: the mean over many pictures of one
 * person is a better estimate of the shape than any single one. */
#include "betas_file.h"

#include "system_files.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BETAS = 10, TEXT_MOST = 4096, ROWS_MOST = 10000000 };

static wilor_status wrong(const char *path, const char *why, wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_FORMAT, "%s: these are no betas: %s",
                          wilor_cli_quote(&q, path), why);
}

static wilor_status from_text(float *betas, const char *path, char *text, wilor_error *err) {
    int count = 0;
    for (char *word = strtok(text, " \t\r\n,[]"); word; word = strtok(NULL, " \t\r\n,[]")) {
        double x;
        if (!wilor_cli_parse_double(word, -1e3, 1e3, &x))
            return wrong(path, "a word is not a number from -1000 to 1000", err);
        if (count < BETAS)
            betas[count] = (float)x;
        count++;
    }
    return count == BETAS ? WILOR_OK : wrong(path, "there should be 10 numbers", err);
}

static wilor_status mean_of_rows(float *betas, const char *path, const float *values,
                                 size_t count, wilor_error *err) {
    double sum[BETAS] = {0};
    size_t used = 0;
    for (size_t i = 0; i + BETAS <= count; i += BETAS) {
        bool sound = true;
        for (int k = 0; k < BETAS; k++)
            sound = sound && fabsf(values[i + (size_t)k]) <= 1e3f;
        for (int k = 0; sound && k < BETAS; k++)
            sum[k] += (double)values[i + (size_t)k];
        used += sound;
    }
    for (int k = 0; used && k < BETAS; k++)
        betas[k] = (float)(sum[k] / (double)used);
    return used ? WILOR_OK : wrong(path, "no row of 10 numbers from -1000 to 1000", err);
}

static wilor_status from_tensors(float *betas, const char *path, wilor_error *err) {
    wilor_file *file = NULL;
    float *values = NULL;
    wilor_tensor_info t;
    size_t i = 0, count = 1;
    wilor_status st = wilor_file_open(&file, path, err);
    if (st != WILOR_OK)
        return st;
    size_t tensors = wilor_file_count(file);
    while (i < tensors && wilor_file_tensor(file, i, &t) == WILOR_OK &&
           strcmp(t.name, "betas") != 0)
        i++;
    if (i == tensors && tensors == 1)
        i = 0;
    if (i == tensors || wilor_file_tensor(file, i, &t) != WILOR_OK) {
        st = wrong(path, "no array named betas", err);
        goto done;
    }
    for (int k = 0; k < t.rank; k++)
        count = t.shape[k] > 0 && t.shape[k] <= ROWS_MOST && count <= ROWS_MOST
                    ? count * (size_t)t.shape[k]
                    : 0;
    if (t.rank < 1 || t.shape[t.rank - 1] != BETAS || count == 0 || count > ROWS_MOST) {
        st = wrong(path, "the array's shape is neither (10) nor (n, 10)", err);
        goto done;
    }
    values = malloc(count * sizeof *values);
    st = values ? wilor_file_read(file, i, values, count, err)
                : wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while reading betas");
    if (st == WILOR_OK)
        st = mean_of_rows(betas, path, values, count, err);
done:
    free(values);
    wilor_file_close(&file);
    return st;
}

/* A pipe that nobody writes to is empty; opened in the usual way it would wait for a writer. */
static FILE *open_at_once(const char *path) {
    int fd = wilor_sys_open(path, WILOR_SYS_READ | WILOR_SYS_AT_ONCE);
    FILE *file = NULL;
    if (fd >= 0 && wilor_sys_wait_for(fd) == 0) /* but one that is written to is waited for */
        file = fdopen(fd, "rb");
    if (fd >= 0 && !file) {
        int code = errno;
        close(fd);
        errno = code;
    }
    return file;
}

wilor_status wilor_cli_betas_read(float betas[10], const char *path, wilor_error *err) {
    char text[TEXT_MOST + 1];
    FILE *file = open_at_once(path);
    if (!file)
        return wilor_cli_fail_errno(err, path, "cannot read", errno);
    size_t n = fread(text, 1, TEXT_MOST, file);
    int failed = ferror(file);
    int code = errno;
    fclose(file);
    if (failed)
        return wilor_cli_fail_errno(err, path, "cannot read", code);
    text[n] = 0;
    /* Text has only such bytes; every binary file has others in its first few. */
    if (n < TEXT_MOST && strlen(text) == n && strspn(text, " \t\r\n,[]+-.0123456789eE") == n)
        return from_text(betas, path, text, err);
    return from_tensors(betas, path, err);
}
