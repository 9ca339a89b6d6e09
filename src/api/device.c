/* What a device's name means on this machine. */
#include "backend_mlx.h"
#include "model_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __APPLE__
#define IS_MAC true
#else
#define IS_MAC false
#endif

/* "cuda" or "cuda:N" and what lies behind it; false: it is neither, or a card named twice. */
static bool take_card(wilor_device *d, const char **text) {
    const char *p = *text;
    long n = 0;
    if (strncmp(p, "cuda", 4) != 0)
        return false;
    p += 4;
    if (*p == ':') {
        char *end;
        if (p[1] < '0' || p[1] > '9' || (n = strtol(p + 1, &end, 10)) > 255)
            return false;
        p = end;
    }
    for (int i = 0; i < d->cards; i++)
        if (d->card[i] == (int)n)
            return false;
    if (d->cards == WILOR_MOST_CARDS)
        return false;
    d->card[d->cards++] = (int)n;
    *text = p;
    return true;
}

static bool take_cards(wilor_device *d, const char *text) {
    const char *rest = text;
    while (take_card(d, &rest) && *rest == ',')
        rest++;
    return d->cards && !*rest && rest[-1] != ',';
}

/* Whether MLX can stand in for the processor without being asked for. */
static bool mlx_serves(wilor_dtype dtype) {
    const wilor_mlx_table *table;
    wilor_mlx_number number;
    wilor_mlx_info info;
    wilor_mlx_error e;
    int bits;
    return wilor_mlx_choose(&number, &bits, &dtype, NULL) == WILOR_OK &&
           wilor_mlx_module_open(&table, NULL) == WILOR_OK &&
           table->info(&info, &e) == WILOR_MLX_OK && info.gpu;
}

void wilor_device_name(char *out, size_t size, const wilor_device *device) {
    const char *name = device->kind == WILOR_DEVICE_MLX ? "mlx" : device->cards ? "" : "cpu";
    size_t at = (size_t)snprintf(out, size, "%s", name);
    for (int i = 0; i < device->cards && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%scuda:%d", i ? "," : "", device->card[i]);
}

wilor_status wilor_device_parse(wilor_device *out, const char *text, wilor_dtype dtype,
                                wilor_error *err) {
    wilor_quoted q;
    *out = (wilor_device){.kind = WILOR_DEVICE_CPU};
    if (!text || !strcmp(text, "auto")) {
        if (IS_MAC && mlx_serves(dtype))
            out->kind = WILOR_DEVICE_MLX;
        return WILOR_OK;
    }
    if (!strcmp(text, "cpu"))
        return WILOR_OK;
    if (!strcmp(text, "gpu"))
        text = IS_MAC ? "mlx" : "cuda";
    if (!strcmp(text, "mlx"))
        out->kind = WILOR_DEVICE_MLX;
    else if (take_cards(out, text))
        out->kind = WILOR_DEVICE_CUDA;
    else
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "device %s is none: auto, cpu, gpu, mlx, cuda, cuda:N, or up to "
                               "%d different cards as cuda:N,cuda:M",
                               wilor_quote(&q, text), WILOR_MOST_CARDS);
    return WILOR_OK;
}
