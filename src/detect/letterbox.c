/* The detector's input: ultralytics' LetterBox (8.1.34 and 8.4.190 agree on it), which resizes
 * with OpenCV's 8-bit INTER_LINEAR, and the way back, in which the two versions differ
 * (scale_boxes, scale_coords). Also wilor-mlx 0.3.1's square (_crop_and_resize_mlx). Easy to
 * get wrong: Python rounds halves to the even integer; OpenCV treats columns and rows
 * differently at the border (its 2 × 2 mean of exactly halved pictures is no case of its own:
 * the rounded steps give the same bytes); the gain of the way back is that of the padded
 * input, not of the resize; 8.1.34 rounds the padding of boxes but not that of keypoints.
 * wilor-mlx pads where a sample lies beyond the last pixel's centre, so that enlarged pictures
 * lose a border. */
#include "letterbox.h"

#include <math.h>
#include <string.h>

enum {
    MULTIPLE = 32,
    MOST_SIDE = 4096,
    PADDING = 114,
    CHANNELS = 3,
    POINTS = 21,
    ONE = 2048 /* OpenCV's INTER_RESIZE_COEF_SCALE */
};

/* ---------------------------------------------------------------- plan */

/* Python's round(): rint in the mode that every C program starts with. */
static int rounded(double v) { return (int)rint(v); }

static wilor_status plan_inner(wilor_letterbox *l, int side, wilor_error *err) {
    int width = l->picture_width, height = l->picture_height;
    double by_height = (double)side / height, by_width = (double)side / width;
    double ratio = by_height < by_width ? by_height : by_width;
    l->inner_width = rounded(width * ratio);
    l->inner_height = rounded(height * ratio);
    if (l->inner_width < 1 || l->inner_height < 1)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "a picture of %d x %d pixels has a side of zero when it is "
                               "resized to %d for the detector",
                               width, height, side);
    int free_x = side - l->inner_width, free_y = side - l->inner_height;
    if (l->rule == WILOR_LETTERBOX_RECT) {
        free_x %= MULTIPLE;
        free_y %= MULTIPLE;
    }
    l->width = l->inner_width + free_x;
    l->height = l->inner_height + free_y;
    l->left = rounded(free_x / 2.0 - 0.1);
    l->top = rounded(free_y / 2.0 - 0.1);
    return WILOR_OK;
}

wilor_status wilor_letterbox_plan(wilor_letterbox *l, int width, int height, int imgsz,
                                  wilor_letterbox_rule rule, wilor_error *err) {
    *l = (wilor_letterbox){.rule = rule, .picture_width = width, .picture_height = height};
    if (width < 1 || height < 1)
        return wilor_error_set(err, WILOR_ERR_ARG, "picture of %d x %d pixels", width, height);
    if (imgsz < 1)
        return wilor_error_set(err, WILOR_ERR_ARG, "detector input of %d pixels", imgsz);
    if (imgsz > MOST_SIDE)
        return wilor_error_set(err, WILOR_ERR_LIMIT,
                               "detector input of %d pixels, the limit is %d", imgsz,
                               (int)MOST_SIDE);
    int side = (imgsz + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
    if (rule == WILOR_LETTERBOX_MLX) {
        l->width = l->height = l->inner_width = l->inner_height = side;
        l->gain = (double)side / (width > height ? width : height);
        return WILOR_OK;
    }
    wilor_status st = plan_inner(l, side, err);
    double by_height = (double)l->height / height, by_width = (double)l->width / width;
    l->gain = by_height < by_width ? by_height : by_width;
    return st;
}

/* ---------------------------------------------------------------- reading pictures */

/* Where the bytes of a pixel are. */
typedef struct source {
    const uint8_t *data;
    ptrdiff_t stride;
    size_t pixel, red, green, blue;
} source;

static source source_of(const wilor_picture *p) {
    source s = {p->data, p->stride, 3, 0, 1, 2};
    if (p->format == WILOR_RGBA8 || p->format == WILOR_BGRA8)
        s.pixel = 4;
    if (p->format == WILOR_BGR8 || p->format == WILOR_BGRA8) {
        s.red = 2;
        s.blue = 0;
    } else if (p->format == WILOR_GRAY8) {
        s.pixel = 1;
        s.green = s.blue = 0;
    }
    return s;
}

void wilor_letterbox_pixel(const wilor_picture *picture, int *bytes, int channel[3]) {
    source s = source_of(picture);
    *bytes = (int)s.pixel;
    channel[0] = (int)s.red;
    channel[1] = (int)s.green;
    channel[2] = (int)s.blue;
}

static const uint8_t *row_of(const source *s, int y) { return s->data + y * s->stride; }

static void copy_row(const source *s, int y, int width, uint8_t *out) {
    const uint8_t *p = row_of(s, y);
    for (int x = 0; x < width; x++, p += s->pixel, out += CHANNELS) {
        out[0] = p[s->red];
        out[1] = p[s->green];
        out[2] = p[s->blue];
    }
}

/* ---------------------------------------------------------------- INTER_LINEAR */

/* Two neighbours on an axis and their weights in 1/2048. */
typedef struct tap {
    int first, second;
    int16_t weight[2];
} tap;

/* Where pixel i of `to` lies among `from`: the pixel before it, and how far past it. */
static int before(int i, int from, int to, float *part) {
    double scale = 1.0 / ((double)to / from);
    float at = (float)((i + 0.5) * scale - 0.5);
    int floor = (int)at;
    floor -= (float)floor > at;
    *part = at - (float)floor;
    return floor;
}

static tap make_tap(int first, int last, float part) {
    int second = first + 1;
    return (tap){first < 0 ? 0 : first,
                 second > last ? last : second,
                 {(int16_t)lrintf((1 - part) * ONE), (int16_t)lrintf(part * ONE)}};
}

static tap column_tap(int x, int from, int to) {
    float part;
    int first = before(x, from, to, &part);
    if (first < 0) {
        first = 0;
        part = 0;
    } else if (first >= from - 1) {
        first = from - 1;
        part = 0;
    }
    return make_tap(first, from - 1, part);
}

/* Unlike a column, a row outside keeps its weights; both its neighbours are the border. (Each
 * half of a row's sum is cut by itself, so that this shows.) */
static tap row_tap(int y, int from, int to) {
    float part;
    int first = before(y, from, to, &part);
    return make_tap(first > from - 1 ? from - 1 : first, from - 1, part);
}

/* One source row at the output's columns, in 1/128: OpenCV drops 4 of 11 bits before it works
 * on rows, so that 16 bits hold every value. */
static void stretch_row(const source *s, int y, const tap *columns, int width, int16_t *out) {
    const uint8_t *row = row_of(s, y);
    const size_t red = s->red, green = s->green, blue = s->blue, pixel = s->pixel;
    for (int x = 0; x < width; x++, out += CHANNELS) {
        const tap *t = &columns[x];
        const uint8_t *p = row + (size_t)t->first * pixel, *q = row + (size_t)t->second * pixel;
        int a = t->weight[0], b = t->weight[1];
        out[0] = (int16_t)((p[red] * a + q[red] * b) >> 4);
        out[1] = (int16_t)((p[green] * a + q[green] * b) >> 4);
        out[2] = (int16_t)((p[blue] * a + q[blue] * b) >> 4);
    }
}

static void blend_rows(const int16_t *upper, const int16_t *lower, const int16_t weight[2],
                       int count, uint8_t *out) {
    const int16_t a = weight[0], b = weight[1];
    for (int i = 0; i < count; i++)
        out[i] = (uint8_t)((((a * upper[i]) >> 16) + ((b * lower[i]) >> 16) + 2) >> 2);
}

/* The scratch of one call: column taps, and the two source rows that were stretched last. */
typedef struct stretcher {
    const wilor_letterbox *l;
    source s;
    tap *columns;
    int16_t *row[2];
    int at[2]; /* which source row each is, -1: none */
} stretcher;

static stretcher begin_stretch(const wilor_letterbox *l, source s, void *scratch) {
    stretcher t = {.l = l, .s = s, .columns = scratch, .at = {-1, -1}};
    int width = l->inner_width;
    t.row[0] = (int16_t *)(t.columns + width);
    t.row[1] = t.row[0] + (size_t)width * CHANNELS;
    for (int x = 0; x < width; x++)
        t.columns[x] = column_tap(x, l->picture_width, width);
    return t;
}

/* Source rows are asked for from the top down: the upper of the two kept ones is done with. */
static const int16_t *stretched(stretcher *t, int y) {
    for (int i = 0; i < 2; i++)
        if (t->at[i] == y)
            return t->row[i];
    int i = t->at[0] < t->at[1] ? 0 : 1;
    stretch_row(&t->s, y, t->columns, t->l->inner_width, t->row[i]);
    t->at[i] = y;
    return t->row[i];
}

static void resize_row(stretcher *t, int y, uint8_t *out) {
    tap r = row_tap(y, t->l->picture_height, t->l->inner_height);
    const int16_t *upper = stretched(t, r.first), *lower = stretched(t, r.second);
    blend_rows(upper, lower, r.weight, t->l->inner_width * CHANNELS, out);
}

/* ---------------------------------------------------------------- wilor-mlx's sampling */

typedef struct sample {
    int first, second;
    float part;
    bool outside; /* beyond the centre of the first or last pixel */
} sample;

/* Pixel i of `side`, which span the longer side of the picture, on an axis of `size` pixels;
 * float32 as MLX computes it. */
static sample make_sample(int i, int side, int size, int longest) {
    const float last = (float)(size - 1), end = (float)(size - 1 - 1e-6);
    float start = (float)(size / 2.0 - longest / 2.0);
    float at = start + ((float)i + 0.5f) / (float)side * (float)longest;
    sample s = {.outside = at < 0 || at > last};
    at = at < 0 ? 0 : at;
    at = at > end ? end : at; /* below 0 for a side of one pixel: (int) makes it 0 */
    s.first = (int)at;
    s.second = s.first + 1 < size ? s.first + 1 : size - 1;
    s.part = at - (float)s.first;
    return s;
}

static void sample_row(const source *s, const sample *columns, sample r, int width,
                       uint8_t *out) {
    const uint8_t *p = row_of(s, r.first), *q = row_of(s, r.second);
    const size_t channel[CHANNELS] = {s->red, s->green, s->blue};
    const float fy = r.part;
    for (int x = 0; x < width; x++, out += CHANNELS) {
        const sample *c = &columns[x];
        if (c->outside || r.outside) {
            memset(out, PADDING, CHANNELS);
            continue;
        }
        size_t at = (size_t)c->first * s->pixel, next = (size_t)c->second * s->pixel;
        float fx = c->part;
        for (int k = 0; k < CHANNELS; k++) {
            size_t i = at + channel[k], j = next + channel[k];
            float v = (float)p[i] * (1 - fx) * (1 - fy) + (float)p[j] * fx * (1 - fy) +
                      (float)q[i] * (1 - fx) * fy + (float)q[j] * fx * fy;
            out[k] = (uint8_t)v;
        }
    }
}

static void sample_rows(const wilor_letterbox *l, source s, int first, int rows, void *scratch,
                        uint8_t *out) {
    sample *columns = scratch;
    int width = l->picture_width, height = l->picture_height;
    int longest = width > height ? width : height;
    for (int x = 0; x < l->width; x++)
        columns[x] = make_sample(x, l->width, width, longest);
    for (int y = first; y < first + rows; y++, out += (size_t)l->width * CHANNELS)
        sample_row(&s, columns, make_sample(y, l->height, height, longest), l->width, out);
}

/* ---------------------------------------------------------------- rows */

static bool is_resized(const wilor_letterbox *l) {
    return l->picture_width != l->inner_width || l->picture_height != l->inner_height;
}

size_t wilor_letterbox_scratch(const wilor_letterbox *l) {
    size_t width = (size_t)l->inner_width;
    if (l->rule == WILOR_LETTERBOX_MLX)
        return width * sizeof(sample);
    if (!is_resized(l))
        return 0;
    return width * (sizeof(tap) + 2 * CHANNELS * sizeof(int16_t));
}

void wilor_letterbox_rows(const wilor_letterbox *l, const wilor_picture *picture, int first,
                          int rows, void *scratch, uint8_t *out) {
    source s = source_of(picture);
    if (l->rule == WILOR_LETTERBOX_MLX) {
        sample_rows(l, s, first, rows, scratch, out);
        return;
    }
    bool resized = is_resized(l);
    stretcher t = {0};
    if (resized)
        t = begin_stretch(l, s, scratch);
    size_t line = (size_t)l->width * CHANNELS, left = (size_t)l->left * CHANNELS;
    for (int y = first - l->top; y < first - l->top + rows; y++, out += line) {
        memset(out, PADDING, line);
        if (y < 0 || y >= l->inner_height)
            continue;
        if (resized)
            resize_row(&t, y, out + left);
        else
            copy_row(&s, y, l->inner_width, out + left);
    }
}

/* ---------------------------------------------------------------- back */

/* An axis of the way back: (v − pad) / gain within 0 … size. */
typedef struct axis {
    float box_pad, point_pad, gain, size;
} axis;

static axis axis_back(int network, int picture, double gain, wilor_detector_profile profile) {
    axis a = {.gain = (float)gain, .size = (float)picture};
    if (profile == WILOR_DETECTOR_8_1_34) {
        double pad = (network - picture * gain) / 2;
        a.box_pad = (float)rint(pad - 0.1);
        a.point_pad = (float)pad;
        return a;
    }
    double inner = rint(picture * gain);
    inner = inner < 1 ? 1 : inner;
    a.gain = (float)(inner / picture);
    a.box_pad = a.point_pad = (float)rint((network - inner) / 2 - 0.1);
    return a;
}

static float back(const axis *a, float v, float pad) {
    v = (v - pad) / a->gain;
    return v < 0 ? 0 : v > a->size ? a->size : v;
}

static void back_mlx(const wilor_letterbox *l, float box[4], float *keypoints) {
    int width = l->picture_width, height = l->picture_height;
    double longest = width > height ? width : height;
    float scale = (float)(longest / l->width);
    float shift[2] = {(float)((longest - width) / 2), (float)((longest - height) / 2)};
    for (int i = 0; i < 4; i++)
        box[i] = box[i] * scale - shift[i % 2];
    for (int i = 0; i < POINTS; i++)
        for (int k = 0; k < 2; k++)
            keypoints[3 * i + k] = keypoints[3 * i + k] * scale - shift[k];
}

void wilor_letterbox_back(const wilor_letterbox *l, wilor_detector_profile profile,
                          float box[4], float keypoints[63]) {
    if (l->rule == WILOR_LETTERBOX_MLX) {
        back_mlx(l, box, keypoints);
        return;
    }
    const axis axes[2] = {axis_back(l->width, l->picture_width, l->gain, profile),
                          axis_back(l->height, l->picture_height, l->gain, profile)};
    bool old = profile == WILOR_DETECTOR_8_1_34;
    for (int i = 0; i < 4; i++) {
        box[i] = back(&axes[i % 2], box[i], axes[i % 2].box_pad);
        if (old)
            box[i] = rintf(box[i]);
    }
    for (int i = 0; i < POINTS; i++) {
        float *p = keypoints + (size_t)i * 3;
        for (int k = 0; k < 2; k++)
            p[k] = old && p[2] < 0.5f ? 0 : back(&axes[k], p[k], axes[k].point_pad);
    }
}
