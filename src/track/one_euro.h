/* The One-Euro filter (Casiez, Roussel, Vogel, CHI 2012): a low pass whose cutoff rises with speed,
 * so that a hand at rest is calm and a quick one is not late. For up to three numbers that belong
 * together, and for rotations. */
#ifndef WILOR_ONE_EURO_H
#define WILOR_ONE_EURO_H

#include <stdbool.h>

typedef struct wilor_euro_rule {
    double min_cutoff;   /* Hz, at rest; infinity: no filter */
    double beta;         /* Hz more for each unit of speed */
    double speed_cutoff; /* Hz, of the low pass that the speed goes through */
} wilor_euro_rule;

/* What a first-order low pass of `cutoff` Hz takes of a new value that comes dt seconds after the last
 * one, 0 … 1. */
double wilor_euro_share(double cutoff, double dt);

enum { WILOR_EURO_MOST = 3 };

/* Zeroed: the first step takes its value as it is. */
typedef struct wilor_euro {
    double value[WILOR_EURO_MOST]; /* what came out */
    double last[WILOR_EURO_MOST];  /* what went in */
    double speed[WILOR_EURO_MOST]; /* a second, filtered */
    bool started;
} wilor_euro;

/* n numbers, dt seconds after the last ones (positive). One cutoff for all of them, from the length
 * of their speed times `unit`, which makes it what rule.beta counts in. */
void wilor_euro_step(wilor_euro *f, const wilor_euro_rule *rule, double unit, const double *in,
                     int n, double dt);

/* The same on rotations: unit quaternions, differences and speed as rotation vectors. */
typedef struct wilor_euro_turn {
    double value[4], last[4];
    double speed[3]; /* rad/s */
    bool started;
} wilor_euro_turn;

void wilor_euro_turn_step(wilor_euro_turn *f, const wilor_euro_rule *rule, const double in[4],
                          double dt);

#endif
