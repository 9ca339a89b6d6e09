/* Plain geometry of boxes and keypoints in pixels. */
#include "track_boxes.h"

#include <math.h>

enum { POINTS = 21, FEWEST = 5 };

static const double sigma = 0.1; /* of the hand's size: what two looks at one hand differ by */

static double area(const double b[4]) {
    double w = b[2] - b[0], h = b[3] - b[1];
    return w > 0 && h > 0 ? w * h : 0;
}

static double common(const double a[4], const double b[4]) {
    const double box[4] = {fmax(a[0], b[0]), fmax(a[1], b[1]), fmin(a[2], b[2]),
                           fmin(a[3], b[3])};
    return area(box);
}

double wilor_box_overlap(const double a[4], const double b[4]) {
    double both = common(a, b), all = area(a) + area(b) - both;
    return all > 0 ? both / all : 0;
}

double wilor_box_covered(const double box[4], const double by[4]) {
    double whole = area(box);
    return whole > 0 ? common(box, by) / whole : 0;
}

double wilor_box_inside(const double box[4], int width, int height) {
    return wilor_box_covered(box, (const double[4]){0, 0, width, height});
}

double wilor_box_side(const double box[4]) { return fmax(box[2] - box[0], box[3] - box[1]); }

double wilor_box_distance(const double a[4], const double b[4]) {
    return hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2);
}

int wilor_box_around(const float points[42], double box[4]) {
    box[0] = box[1] = INFINITY;
    box[2] = box[3] = -INFINITY;
    for (int i = 0; i < POINTS; i++)
        for (int k = 0; k < 2; k++) {
            double x = points[2 * i + k];
            if (!isfinite(x))
                return 0;
            box[k] = fmin(box[k], x);
            box[2 + k] = fmax(box[2 + k], x);
        }
    return wilor_box_side(box) > 0;
}

double wilor_points_distance(const float a[42], const float b[42], double side) {
    double sum = 0;
    for (int i = 0; i < POINTS; i++)
        sum += hypot((double)a[2 * i] - b[2 * i], (double)a[2 * i + 1] - b[2 * i + 1]);
    return sum / POINTS / side;
}

double wilor_points_similarity(const float points[42], const float detected[63], double side) {
    double sum = 0, scale = sigma * side;
    int seen = 0;
    for (int i = 0; i < POINTS; i++) {
        const float *d = detected + 3 * i;
        double x = ((double)d[0] - points[2 * i]) / scale;
        double y = ((double)d[1] - points[2 * i + 1]) / scale;
        if (!(d[2] >= 0.5f) || !isfinite(x) || !isfinite(y))
            continue;
        sum += exp(-(x * x + y * y) / 2);
        seen++;
    }
    return seen < FEWEST ? -1 : sum / seen;
}
