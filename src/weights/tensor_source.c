/* Lookup over the weights file, the MANO file and the mean-parameter file. */
#include "tensor_source.h"

#include <stdio.h>
#include <string.h>

const wilor_index *wilor_source_find(const wilor_tensor_source *s, const char *name,
                                     const wilor_tensor **out) {
    const wilor_index *order[3] = {s->weights, s->mean, s->mano};
    static const char INIT[] = "backbone.init_";
    if (strncmp(name, INIT, sizeof INIT - 1) == 0 &&
        wilor_index_kind(s->weights) == WILOR_FILE_MLX) {
        order[0] = s->mano;
        order[2] = s->weights;
    }
    for (int i = 0; i < 3; i++) {
        *out = order[i] ? wilor_index_find(order[i], name) : NULL;
        if (*out)
            return order[i];
    }
    return NULL;
}

const char *wilor_shape_print(wilor_shape_text *buf, int rank, const int64_t *shape) {
    size_t at = 0;
    if (rank == 0)
        return "a single number";
    for (int i = 0; i < rank && at < sizeof buf->text - 24; i++)
        at += (size_t)snprintf(buf->text + at, sizeof buf->text - at, "%s%lld", i ? " x " : "",
                               (long long)shape[i]);
    return buf->text;
}

/* Equal but for leading dimensions of 1. */
static bool same_shape(const wilor_tensor *t, int rank, const int64_t *shape) {
    int a = 0, b = 0;
    while (a < t->rank && t->rank - a > 1 && t->shape[a] == 1)
        a++;
    while (b < rank && rank - b > 1 && shape[b] == 1)
        b++;
    if (t->rank - a != rank - b)
        return false;
    for (; b < rank; a++, b++)
        if (t->shape[a] != shape[b])
            return false;
    return true;
}

wilor_status wilor_source_need(const wilor_tensor_source *s, const char *name, int rank,
                               const int64_t *shape, const wilor_index **index,
                               const wilor_tensor **out, wilor_error *err) {
    wilor_quoted q, p;
    wilor_shape_text got, want;
    *index = wilor_source_find(s, name, out);
    if (!*index)
        return wilor_error_set(err, WILOR_ERR_MODEL, "%s: the tensor %s is missing",
                               wilor_quote(&p, wilor_index_path(s->weights)),
                               wilor_quote(&q, name));
    if (!same_shape(*out, rank, shape))
        return wilor_error_set(err, WILOR_ERR_MODEL, "%s: the tensor %s is %s, expected %s",
                               wilor_quote(&p, wilor_index_path(*index)), wilor_quote(&q, name),
                               wilor_shape_print(&got, (*out)->rank, (*out)->shape),
                               wilor_shape_print(&want, rank, shape));
    return wilor_index_check(*index, err); /* it is read next */
}
