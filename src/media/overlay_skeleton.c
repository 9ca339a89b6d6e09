/* Bones and joints, boxes and text. Widths follow the picture's size, and a small hand gets
 * thinner bones, so that its fingers stay apart. Bones are drawn from far to near where depths
 * are known. */
#include "overlay_font.h"
#include "overlay_raster.h"
#include "wilor/wilor.h"

#include <math.h>
#include <stdio.h>

enum { JOINTS = 21, BONES = 20 };

/* Thumb, index, middle, ring, little finger. */
static const wilor_paint FINGERS[5] = {{255, 92, 92, 1},
                                       {255, 184, 64, 1},
                                       {92, 214, 110, 1},
                                       {64, 176, 255, 1},
                                       {198, 130, 255, 1}};
static const wilor_paint WRIST = {245, 245, 245, 1};
static const wilor_paint OUTLINE = {18, 20, 26, 0.85f};
static const wilor_paint SIDES[2] = {{255, 150, 82, 1}, {96, 165, 255, 1}}; /* left, right */
static const wilor_paint INK = {14, 16, 22, 1};
static const wilor_paint WHITE = {255, 255, 255, 1};
static const wilor_paint BAND = {12, 14, 20, 0.62f};

/* A length that is right for a picture of 480 pixels, for this one. */
static float scaled(const wilor_canvas *canvas, float length) {
    int side = canvas->width < canvas->height ? canvas->width : canvas->height;
    return length * fmaxf((float)side / 480.0f, 0.5f);
}

static float hand_extent(const float *points) {
    float x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < JOINTS; i++) {
        x0 = fminf(x0, points[2 * i]);
        x1 = fmaxf(x1, points[2 * i]);
        y0 = fminf(y0, points[2 * i + 1]);
        y1 = fmaxf(y1, points[2 * i + 1]);
    }
    return fmaxf(x1 - x0, y1 - y0);
}

/* Bone b ends at joint b + 1 and begins at the joint before, or at the wrist. */
static int bone_start(int bone) { return bone % 4 == 0 ? 0 : bone; }

static float bone_depth(const wilor_overlay_hand *hand, int bone) {
    return hand->depths[3 * bone_start(bone) + 2] + hand->depths[3 * (bone + 1) + 2];
}

static void sort_bones(const wilor_overlay_hand *hand, int order[BONES]) {
    for (int i = 0; i < BONES; i++) {
        int k = i;
        for (; k > 0 && hand->depths && bone_depth(hand, i) > bone_depth(hand, order[k - 1]);
             k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

static float rim_of(float radius) { return fmaxf(radius * 0.35f, 0.8f); }

static void draw_bone(const wilor_canvas *canvas, const float *points, int bone, float radius) {
    const float *a = points + 2 * bone_start(bone), *b = points + 2 * (bone + 1);
    wilor_segment line = {a[0], a[1], b[0], b[1]};
    wilor_paint_segments(canvas, &line, 1, radius + rim_of(radius), OUTLINE);
    wilor_paint_segments(canvas, &line, 1, radius, FINGERS[bone / 4]);
}

/* Joints are a bone's end; fingertips get a bright core. */
static void draw_joint(const wilor_canvas *canvas, const float *points, int bone,
                       float radius) {
    const float *p = points + 2 * (bone + 1);
    wilor_segment dot = {p[0], p[1], p[0], p[1]};
    wilor_paint_segments(canvas, &dot, 1, radius * 1.7f + rim_of(radius), OUTLINE);
    wilor_paint_segments(canvas, &dot, 1, radius * 1.7f, FINGERS[bone / 4]);
    wilor_paint_segments(canvas, &dot, 1, radius * (bone % 4 == 3 ? 0.9f : 0.6f), WHITE);
}

static void draw_wrist(const wilor_canvas *canvas, const float *points, float radius) {
    wilor_segment dot = {points[0], points[1], points[0], points[1]};
    wilor_paint_segments(canvas, &dot, 1, radius * 2.1f + rim_of(radius), OUTLINE);
    wilor_paint_segments(canvas, &dot, 1, radius * 2.1f, WRIST);
}

static float hand_depth(const wilor_overlay_hand *hand) {
    float sum = hand->offset[2];
    return isfinite(sum) ? sum : 0;
}

static void draw_hand(const wilor_canvas *canvas, const wilor_overlay_hand *hand) {
    int order[BONES];
    float extent = hand_extent(hand->keypoints);
    float radius = fminf(scaled(canvas, 2.2f), fmaxf(0.0135f * extent, 0.6f));
    sort_bones(hand, order);
    for (int i = 0; i < BONES; i++)
        draw_bone(canvas, hand->keypoints, order[i], radius);
    draw_wrist(canvas, hand->keypoints, radius);
    for (int i = 0; i < BONES; i++)
        draw_joint(canvas, hand->keypoints, order[i], radius);
}

/* Hands from far to near, without memory: the next one is the farthest of those behind the
 * last. */
void wilor_overlay_skeleton(const wilor_canvas *canvas, const wilor_overlay_scene *scene) {
    float last = INFINITY;
    int last_index = -1;
    for (int drawn = 0; drawn < scene->n; drawn++) {
        int next = -1;
        for (int i = 0; i < scene->n; i++) {
            float depth = hand_depth(scene->hands + i);
            bool after = depth < last || (depth == last && i > last_index);
            if (after && (next < 0 || depth > hand_depth(scene->hands + next)))
                next = i;
        }
        if (next < 0)
            return;
        draw_hand(canvas, scene->hands + next);
        last = hand_depth(scene->hands + next);
        last_index = next;
    }
}

static void draw_tag(const wilor_canvas *canvas, const wilor_overlay_hand *hand, float line) {
    char text[32];
    float cap = scaled(canvas, 9.5f), pad = cap * 0.55f;
    snprintf(text, sizeof text, "%s %.2f", hand->side == WILOR_LEFT ? "left" : "right",
             (double)fminf(fmaxf(hand->score, 0), 1));
    float width = wilor_font_width(text, cap) + 2 * pad, height = cap + 2 * pad;
    /* Above the box where there is room, else inside its upper edge; never outside the picture. */
    float x = fminf(fmaxf(hand->box[0] - line * 0.5f, 2), (float)canvas->width - width - 2);
    float y = hand->box[1] - height - line;
    y = y >= 2 ? y : hand->box[1] + line;
    y = fminf(fmaxf(y, 2), (float)canvas->height - height - 2);
    float tag[4] = {x, y, x + width, y + height};
    wilor_paint_box(canvas, tag, cap * 0.5f, 0, SIDES[hand->side & 1]);
    wilor_font_draw(canvas, x + pad, y + pad + cap, cap, text, INK);
}

void wilor_overlay_boxes(const wilor_canvas *canvas, const wilor_overlay_scene *scene) {
    float line = fmaxf(scaled(canvas, 2.2f), 1);
    for (int i = 0; i < scene->n; i++) {
        const wilor_overlay_hand *hand = scene->hands + i;
        wilor_paint_box(canvas, hand->box, scaled(canvas, 9), line * 1.9f,
                        (wilor_paint){OUTLINE.red, OUTLINE.green, OUTLINE.blue, 0.45f});
        wilor_paint_box(canvas, hand->box, scaled(canvas, 9), line, SIDES[hand->side & 1]);
    }
    for (int i = 0; i < scene->n; i++)
        if (isfinite(scene->hands[i].box[0]) && isfinite(scene->hands[i].box[1]))
            draw_tag(canvas, scene->hands + i, line);
}

void wilor_overlay_label(const wilor_canvas *canvas, const char *text) {
    float cap = scaled(canvas, 10), pad = cap * 0.85f;
    float width = wilor_font_width(text, cap), room = (float)canvas->width - 2 * pad;
    if (width > room &&
        width > 0) /* a long line gets smaller letters rather than lose its end */
        cap *= fmaxf(room / width, 0.3f);
    float height = cap + 2 * pad, top = (float)canvas->height - height;
    float band[4] = {-cap, top, (float)canvas->width + cap, (float)canvas->height + cap};
    wilor_paint_box(canvas, band, 0, 0, BAND);
    wilor_font_draw(canvas, pad, top + pad + cap, cap, text, WHITE);
}
