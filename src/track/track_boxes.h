/* Boxes and keypoints in the picture: how much two of them are the same hand. */
#ifndef WILOR_TRACK_BOXES_H
#define WILOR_TRACK_BOXES_H

/* Intersection over union of two boxes x0 y0 x1 y1; 0 for boxes without area. */
double wilor_box_overlap(const double a[4], const double b[4]);

/* The part of a box that lies in another one, and in a picture of width × height, 0 … 1. */
double wilor_box_covered(const double box[4], const double by[4]);
double wilor_box_inside(const double box[4], int width, int height);

/* Longer side, and distance of the centres. */
double wilor_box_side(const double box[4]);
double wilor_box_distance(const double a[4], const double b[4]);

/* The box around 21 points (x, y). 0: one is not finite, or they have no extent. */
int wilor_box_around(const float points[42], double box[4]);

/* Mean distance of 21 points to 21 others, in units of side. */
double wilor_points_distance(const float a[42], const float b[42], double side);

/* COCO's object keypoint similarity, 0 … 1: mean of exp(−d²/2σ²) over the detector's points (x, y,
 * visibility) that it sees (visibility from 0.5), σ a tenth of side. −1 when it sees fewer than five. */
double wilor_points_similarity(const float points[42], const float detected[63], double side);

#endif
