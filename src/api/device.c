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

/* "NAME", or "NAME:N". */
static bool is_numbered(const char *text, const char *name, int *number) {
    size_t n = strlen(name);
    char *end;
    if (strncmp(text, name, n) != 0)
        return false;
    *number = 0;
    if (!text[n])
        return true;
    if (text[n] != ':' || text[n + 1] < '0' || text[n + 1] > '9')
        return false;
    long value = strtol(text + n + 1, &end, 10);
    *number = (int)value;
    return !*end && value < 256;
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
    if (device->kind == WILOR_DEVICE_CUDA)
        snprintf(out, size, "cuda:%d", device->number);
    else
        snprintf(out, size, "%s", device->kind == WILOR_DEVICE_MLX ? "mlx" : "cpu");
}

wilor_status wilor_device_parse(wilor_device *out, const char *text, wilor_dtype dtype,
                                wilor_error *err) {
    wilor_quoted q;
    *out = (wilor_device){WILOR_DEVICE_CPU, 0};
    if (!text || !strcmp(text, "auto")) {
        if (IS_MAC && mlx_serves(dtype))
            out->kind = WILOR_DEVICE_MLX;
        return WILOR_OK;
    }
    if (!strcmp(text, "cpu"))
        return WILOR_OK;
    if (!strcmp(text, "gpu"))
        out->kind = IS_MAC ? WILOR_DEVICE_MLX : WILOR_DEVICE_CUDA;
    else if (!strcmp(text, "mlx"))
        out->kind = WILOR_DEVICE_MLX;
    else if (is_numbered(text, "cuda", &out->number))
        out->kind = WILOR_DEVICE_CUDA;
    else
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "device %s is none: auto, cpu, gpu, mlx, cuda or cuda:N",
                               wilor_quote(&q, text));
    return WILOR_OK;
}
