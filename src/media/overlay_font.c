/* A stroke font of our own, one line a glyph: lines and quadratic curves on a small grid, drawn
 * with a round pen, so that it is sharp at any size.
 *
 * A stroke is a row of points, two characters each: x, then y from 0 (top of capitals) over 2
 * (top of small letters) and 6 (base line) to 8. x as '0' … '4' is on the stroke; as 'a' … 'e'
 * (the same places) it is the control point of a curve between its neighbours, and two of those
 * in a row have a point of the stroke half-way between them, as in TrueType. A blank begins
 * another stroke. */
#include "overlay_font.h"

#include <stdbool.h>
#include <string.h>

enum { FIRST = 32, LAST = 126, MAX_SEGMENTS = 96, CURVE_STEPS = 5 };

static const char *const GLYPHS[LAST - FIRST + 1] = {
    /*   */ "",
    /* ! */ "1014 1616",
    /* " */ "1012 3032",
    /* # */ "1016 3036 0242 0444",
    /* $ */ "41e020a0a323e3e626a605 2027",
    /* % */ "4006 10c021c212a201a010 34e445e636c625c434",
    /* & */ "4612a020e03213a405a626e644",
    /* ' */ "1012",
    /* ( */ "20b013b626",
    /* ) */ "10c023c616",
    /* * */ "2024 0341 0143",
    /* + */ "2125 0343",
    /* , */ "1607",
    /* - */ "0333",
    /* . */ "1616",
    /* / */ "4006",
    /* 0 */ "20e043e626a603a020",
    /* 1 */ "012026",
    /* 2 */ "01a020e042e30646",
    /* 3 */ "01a020e0e323e3e626a605 1323",
    /* 4 */ "36300444",
    /* 5 */ "400003b222e244e626a605",
    /* 6 */ "30a104a626e644e222a204",
    /* 7 */ "004016",
    /* 8 */ "20e0e323a3a020 23e3e626a6a323",
    /* 9 */ "16e542e020a002a424e442",
    /* : */ "1313 1616",
    /* ; */ "1313 1607",
    /* < */ "410345",
    /* = */ "0242 0444",
    /* > */ "014305",
    /* ? */ "01a020e0e32324 2626",
    /* @ */ "33d424b413b222d233 3234e443e020a003a62636",
    /* A */ "062046 1434",
    /* B */ "0600 0020e0e32303 23e3e62606",
    /* C */ "41e020a003a626e645",
    /* D */ "0006 0010e043e61606",
    /* E */ "40000646 0333",
    /* F */ "400006 0333",
    /* G */ "41e020a003a626e6444323",
    /* H */ "0006 4046 0343",
    /* I */ "1016",
    /* J */ "4044e626a605",
    /* K */ "0006 4004 1346",
    /* L */ "000646",
    /* M */ "0600244046",
    /* N */ "06004640",
    /* O */ "20e043e626a603a020",
    /* P */ "060020e0e32303",
    /* Q */ "20e043e626a603a020 2446",
    /* R */ "060020e0e32303 2346",
    /* S */ "41e020a0a323e3e626a605",
    /* T */ "0040 2026",
    /* U */ "0004a626e64440",
    /* V */ "002640",
    /* W */ "0016223640",
    /* X */ "0046 4006",
    /* Y */ "002340 2326",
    /* Z */ "00400646",
    /* [ */ "20101626",
    /* \ */ "0046",
    /* ] */ "10202616",
    /* ^ */ "022042",
    /* _ */ "0747",
    /* ` */ "1021",
    /* a */ "44e222a204a626e644 4246",
    /* b */ "0006 04a222e244e626a604",
    /* c */ "43e222a204a626e645",
    /* d */ "4046 44e222a204a626e644",
    /* e */ "0444e222a204a626e645",
    /* f */ "30b01226 0232",
    /* g */ "44e222a204a626e644 4246e828a807",
    /* h */ "0006 04a222e24446",
    /* i */ "1216 1010",
    /* j */ "2226c808 2020",
    /* k */ "0006 4204 2346",
    /* l */ "1015b626",
    /* m */ "0206 04a212c22426 24c232e24446",
    /* n */ "0206 04a222e24446",
    /* o */ "22e244e626a604a222",
    /* p */ "0208 04a222e244e626a604",
    /* q */ "4248 44e222a204a626e644",
    /* r */ "0206 04a232",
    /* s */ "43e222a2a424e4e626a605",
    /* t */ "1014b626 0222",
    /* u */ "0204a626e644 4246",
    /* v */ "022642",
    /* w */ "0216233642",
    /* x */ "0246 4206",
    /* y */ "0226 4218",
    /* z */ "02420646",
    /* { */ "30c022c313c324c636",
    /* | */ "1017",
    /* } */ "10c022c333c324c616",
    /* ~ */ "04b223d442",
};

typedef struct outline {
    wilor_segment segments[MAX_SEGMENTS];
    int n;
    float left, right;
} outline;

typedef struct point {
    float x, y;
} point;

static const char *glyph_of(char c) {
    return GLYPHS[(c >= FIRST && c <= LAST ? c : '?') - FIRST];
}

static bool is_control(const char *p) { return p[0] >= 'a'; }

static point point_of(const char *p) {
    return (point){(float)(is_control(p) ? p[0] - 'a' : p[0] - '0'), (float)(p[1] - '0')};
}

static void add_segment(outline *o, point a, point b) {
    if (o->n < MAX_SEGMENTS)
        o->segments[o->n++] = (wilor_segment){a.x, a.y, b.x, b.y};
}

static void add_curve(outline *o, point a, point control, point b) {
    point last = a;
    for (int i = 1; i <= CURVE_STEPS; i++) {
        float t = (float)i / CURVE_STEPS, u = 1 - t;
        point at = {u * u * a.x + 2 * u * t * control.x + t * t * b.x,
                    u * u * a.y + 2 * u * t * control.y + t * t * b.y};
        add_segment(o, last, at);
        last = at;
    }
}

static bool has_point(const char *p) { return p[0] && p[0] != ' '; }

/* One stroke from p; returns where it ends in the text. */
static const char *add_stroke(outline *o, const char *p) {
    point last = point_of(p);
    p += 2;
    if (!has_point(p)) /* a dot is a stroke to itself */
        add_segment(o, last, last);
    while (has_point(p)) {
        point at = point_of(p);
        if (!is_control(p)) {
            add_segment(o, last, at);
            last = at;
        } else {
            point end = point_of(p + 2);
            if (is_control(p + 2))
                end = (point){(at.x + end.x) / 2, (at.y + end.y) / 2};
            else
                p += 2;
            add_curve(o, last, at, end);
            last = end;
        }
        p += 2;
    }
    return p;
}

static void make_outline(outline *o, char c) {
    const char *p = glyph_of(c);
    o->n = 0;
    o->left = o->right = 0;
    while (*p) {
        if (*p == ' ')
            p++;
        p = add_stroke(o, p);
    }
    for (int i = 0; i < o->n; i++) {
        const wilor_segment *s = o->segments + i;
        float low = s->x0 < s->x1 ? s->x0 : s->x1, high = s->x0 < s->x1 ? s->x1 : s->x0;
        o->left = i == 0 || low < o->left ? low : o->left;
        o->right = i == 0 || high > o->right ? high : o->right;
    }
}

/* From one glyph's left edge to the next one's, in grid steps: a blank is as wide as a narrow
 * letter. */
static float advance_of(const outline *o) { return o->n ? o->right - o->left + 1.9f : 3.2f; }

float wilor_font_width(const char *text, float cap) {
    outline o;
    float width = 0;
    for (; *text; text++) {
        make_outline(&o, *text);
        width += advance_of(&o);
    }
    return width * cap / 6;
}

void wilor_font_draw(const wilor_canvas *canvas, float x, float y, float cap, const char *text,
                     wilor_paint paint) {
    outline o;
    float unit = cap / 6;
    for (; *text; text++) {
        make_outline(&o, *text);
        for (int i = 0; i < o.n; i++) {
            wilor_segment *s = o.segments + i;
            s->x0 = x + (s->x0 - o.left) * unit;
            s->x1 = x + (s->x1 - o.left) * unit;
            s->y0 = y + (s->y0 - 6) * unit;
            s->y1 = y + (s->y1 - 6) * unit;
        }
        if (o.n)
            wilor_paint_segments(canvas, o.segments, o.n, 0.42f * unit + 0.1f, paint);
        x += advance_of(&o) * unit;
    }
}
