/* GET /frames.mjpeg: the camera's newest picture, encoded once for all that watch, while somebody does.
 * It stays in memory. */
#include "server_impl.h"

#include "picture_bytes.h"
#include "wilor/wilor_io.h"
#include <stdlib.h>
#include <string.h>

enum { QUALITY = 80 };

/* On the engine's thread: a copy and no more. */
void wilor_server_share_take(wilor_server *s, const wilor_picture *picture) {
    size_t row = (size_t)picture->width * wilor_cli_pixel_bytes(picture->format);
    size_t size = row * (size_t)picture->height;
    if (size == 0 || picture->format == WILOR_NV12) /* cannot be encoded as it is */
        return;
    pthread_mutex_lock(&s->lock);
    if (size > s->shared_room) {
        uint8_t *grown = realloc(s->shared_pixels, size);
        s->shared_pixels = grown ? grown : s->shared_pixels;
        s->shared_room = grown ? size : s->shared_room;
    }
    if (size <= s->shared_room) {
        for (int y = 0; y < picture->height; y++)
            memcpy(s->shared_pixels + row * (size_t)y, picture->data + picture->stride * y,
                   row);
        s->shared = *picture;
        s->shared.data = s->shared_pixels;
        s->shared.stride = (ptrdiff_t)row;
        s->shared_new = true;
        pthread_cond_broadcast(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Take the picture away from under lock: its memory becomes the encoder's, and the other way round. */
static wilor_picture take(wilor_server *s, uint8_t **pixels, size_t *room) {
    uint8_t *other = *pixels;
    size_t other_room = *room;
    wilor_picture picture = s->shared;
    *pixels = s->shared_pixels;
    *room = s->shared_room;
    s->shared_pixels = other;
    s->shared_room = other_room;
    s->shared_new = false;
    return picture;
}

static wilor_server_still *encode(const wilor_picture *picture) {
    wilor_server_still *still = calloc(1, sizeof *still);
    uint8_t *jpeg = NULL;
    if (still &&
        wilor_image_encode(&jpeg, &still->size, picture, "jpeg", QUALITY, NULL) == WILOR_OK) {
        still->refs = 1;
        still->jpeg = jpeg;
        return still;
    }
    free(still);
    return NULL;
}

static void publish(wilor_server *s, wilor_server_still *still) {
    if (!still)
        return;
    pthread_mutex_lock(&s->lock);
    wilor_server_still *old = s->still;
    s->still = still;
    pthread_mutex_unlock(&s->lock);
    if (old)
        wilor_server_still_drop(s, old);
    wilor_server_poke(s);
}

static void *share(void *user) {
    wilor_server *s = user;
    uint8_t *pixels = NULL;
    size_t room = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        if (!s->shared_new) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        wilor_picture picture = take(s, &pixels, &room);
        pthread_mutex_unlock(&s->lock);
        publish(s, encode(&picture));
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    free(pixels);
    return NULL;
}

wilor_status wilor_server_share_begin(wilor_server *s, wilor_error *err) {
    if (pthread_create(&s->share, NULL, share, s) != 0)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "no more threads can be had");
    s->has_share = true;
    return WILOR_OK;
}
