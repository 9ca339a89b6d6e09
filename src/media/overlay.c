/* The overlay of a result: wilor_hands and a picture into overlay_raster's plain arrays. */
#include "heap.h"
#include "overlay_raster.h"
#include "picture_codec.h"

#include <stdbool.h>
#include <string.h>

enum { KEYPOINTS = 21 };

static const float SKELETON_LIGHT = 0.62f; /* what is left of the photo under the skeleton */

static const wilor_overlay_options DEFAULTS = {
    sizeof(wilor_overlay_options), 1, 1, 0, 0.85f, NULL};

void wilor_overlay_options_init(wilor_overlay_options *o, size_t size) {
    wilor_overlay_options all = DEFAULTS;
    if (!o)
        return;
    all.struct_size = size;
    memset(o, 0, size);
    memcpy(o, &all, size < sizeof all ? size : sizeof all);
}

/* The caller's options over the defaults: a shorter struct is an older caller, a longer one is
 * fine while what we do not know of it is zero. */
static wilor_status take_options(wilor_overlay_options *to, const wilor_overlay_options *from,
                                 wilor_error *err) {
    *to = DEFAULTS;
    if (!from)
        return WILOR_OK;
    const unsigned char *bytes = (const unsigned char *)from;
    for (size_t i = sizeof *to; i < from->struct_size; i++)
        if (bytes[i])
            return wilor_error_set(err, WILOR_ERR_ARG,
                                   "overlay options of a newer version: byte %zu is set", i);
    if (from->struct_size < sizeof from->struct_size)
        return wilor_error_set(err, WILOR_ERR_ARG, "overlay options without struct_size");
    memcpy(to, from, from->struct_size < sizeof *to ? from->struct_size : sizeof *to);
    if (!(to->opacity >= 0 && to->opacity <= 1))
        return wilor_error_set(err, WILOR_ERR_ARG, "overlay opacity %g, it may be 0 to 1",
                               (double)to->opacity);
    return WILOR_OK;
}

/* In a result of a mirrored picture 3D is negated in x while 2D stays in the given picture's
 * pixels: what is drawn is the picture's own, mirrored hand. */
static void place_hand(wilor_overlay_hand *to, const wilor_model *model,
                       const wilor_hands *hands, int i) {
    size_t at = (size_t)i;
    int side = hands->side[at] == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
    int seen = hands->mirrored ? !side : side;
    *to =
        (wilor_overlay_hand){.vertices = hands->vertices_3d + at * (size_t)hands->vertices * 3,
                             .flip = hands->mirrored ? -1.0f : 1.0f,
                             .fx = hands->focal[2 * at],
                             .fy = hands->focal[2 * at + 1],
                             .cx = hands->principal[2 * at],
                             .cy = hands->principal[2 * at + 1],
                             .faces = wilor_model_faces(model, (wilor_side)seen),
                             .keypoints = hands->keypoints_2d + at * KEYPOINTS * 2,
                             .depths = hands->keypoints_3d + at * KEYPOINTS * 3,
                             .box = hands->box + 4 * at,
                             .score = hands->score[at],
                             .side = (uint8_t)side};
    memcpy(to->offset, hands->cam_t + 3 * at, sizeof to->offset);
    memcpy(to->distortion, hands->distortion + 5 * at, sizeof to->distortion);
}

/* The hands worth drawing. */
static int gather_hands(wilor_overlay_hand *to, const wilor_model *model,
                        const wilor_hands *hands) {
    int n = 0;
    for (int i = 0; i < hands->n; i++)
        if (!hands->failed[i])
            place_hand(to + n++, model, hands, i);
    return n;
}

/* The photo once, or twice side by side. */
static wilor_status copy_photo(wilor_image *out, const wilor_picture *picture, int copies,
                               wilor_error *err) {
    size_t row = (size_t)picture->width * 3, height = (size_t)picture->height;
    size_t pitch = row * (size_t)copies;
    if (picture->width > INT32_MAX / 6)
        return wilor_error_set(err, WILOR_ERR_LIMIT,
                               "a picture of %d pixels a row, the limit is %d", picture->width,
                               INT32_MAX / 6);
    out->data = wilor_heap_alloc(height, pitch);
    if (!out->data)
        return wilor_error_set(err, WILOR_ERR_NOMEM,
                               "no memory for an overlay of %d x %d pixels",
                               picture->width * copies, picture->height);
    out->width = picture->width * copies;
    out->height = picture->height;
    for (size_t y = 0; y < height; y++) {
        uint8_t *to = out->data + y * pitch;
        wilor_picture_row(picture, (int)y, to);
        if (copies == 2)
            memcpy(to + row, to, row);
    }
    return WILOR_OK;
}

static wilor_status draw(wilor_image *image, int panels, const wilor_overlay_scene *scene,
                         const wilor_overlay_options *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t pitch = (size_t)image->width * 3;
    int width = image->width / panels;
    wilor_canvas whole = {image->data, image->width, image->height, pitch};
    wilor_canvas left = {image->data, width, image->height, pitch};
    wilor_canvas right = {image->data + (size_t)(panels - 1) * (size_t)width * 3, width,
                          image->height, pitch};
    if (o->mesh)
        WILOR_TRY(wilor_overlay_mesh(&left, scene, err));
    if (o->skeleton) {
        wilor_paint_dim(&right, SKELETON_LIGHT);
        wilor_overlay_skeleton(&right, scene);
    }
    if (o->boxes)
        wilor_overlay_boxes(&left, scene);
    if (o->label && o->label[0])
        wilor_overlay_label(&whole, o->label);
done:
    return st;
}

wilor_status wilor_overlay_draw(wilor_image *out, const wilor_picture *picture,
                                const wilor_model *model, const wilor_hands *hands,
                                const wilor_overlay_options *options, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_overlay_options o;
    wilor_model_info info = {0};
    wilor_image image = {0};
    wilor_overlay_hand *list = NULL;
    if (!out || !model || !hands)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_overlay_draw: a pointer is NULL");
    *out = (wilor_image){0};
    WILOR_TRY(wilor_picture_check(picture, err));
    WILOR_TRY(take_options(&o, options, err));
    list = wilor_heap_alloc((size_t)(hands->n > 0 ? hands->n : 0), sizeof *list);
    if (!list)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to draw %d hands", hands->n);
    wilor_model_get_info(model, &info, sizeof info);
    wilor_overlay_scene scene = {.hands = list,
                                 .n = gather_hands(list, model, hands),
                                 .vertices = hands->vertices,
                                 .faces = info.faces,
                                 .opacity = o.opacity};
    int panels = o.skeleton ? 2 : 1;
    WILOR_TRY(copy_photo(&image, picture, panels, err));
    WILOR_TRY(draw(&image, panels, &scene, &o, err));
    *out = image;
    image = (wilor_image){0};
    wilor_error_clear(err);
done:
    wilor_image_free(&image);
    wilor_heap_free(list);
    return st;
}
