/* Crops of hands in, gestures out: the core library alone, without picture files.
 *
 *     crops WEIGHTS MANO
 *
 * Two crops of 256 × 256 pixels are painted here; a program would take them from its tracker.
 * They have no camera, so results are about the hand's own origin. */
#include <wilor/wilor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 256, HANDS = 2 };

static void paint(unsigned char *bgr, int hand) {
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++, bgr += 3) {
            bgr[0] = (unsigned char)x;
            bgr[1] = (unsigned char)y;
            bgr[2] = (unsigned char)(hand * 128);
        }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: crops WEIGHTS MANO|-\n");
        return 2;
    }
    wilor_error err = {WILOR_OK, ""};
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = argv[1];
    o.mano = strcmp(argv[2], "-") == 0 ? NULL : argv[2];

    wilor_session_options so;
    wilor_session_options_init(&so, sizeof so);
    so.max_hands = HANDS;

    static unsigned char pixels[HANDS][SIDE * SIDE * 3];
    wilor_picture crops[HANDS];
    wilor_side sides[HANDS] = {WILOR_LEFT, WILOR_RIGHT};
    for (int i = 0; i < HANDS; i++) {
        paint(pixels[i], i);
        wilor_picture view = {pixels[i], SIDE, SIDE, SIDE * 3, WILOR_BGR8};
        crops[i] = view;
    }

    wilor_model *model = NULL;
    wilor_session *session = NULL;
    const wilor_hands *hands = NULL;
    if (wilor_model_open(&model, &o, &err) == WILOR_OK) {
        printf("a session takes %zu bytes\n", wilor_session_memory(model, &so));
        if (wilor_session_create(&session, model, &so, &err) == WILOR_OK)
            wilor_predict_crops(session, crops, sides, HANDS, &hands, &err);
    }
    for (int i = 0; hands && i < hands->n; i++) {
        wilor_gesture g;
        if (hands->failed[i])
            continue;
        wilor_hand_gesture(hands->keypoints_3d + (size_t)i * 21 * 3, &g);
        printf("%s: pinch %.2f (%.1f mm), grab %.2f\n",
               hands->side[i] == WILOR_LEFT ? "left" : "right", g.pinch_strength,
               g.pinch_distance * 1000.0f, g.grab_strength);
    }
    if (err.status != WILOR_OK)
        fprintf(stderr, "crops: %s\n", err.text);
    wilor_session_free(&session);
    wilor_model_free(&model);
    return err.status != WILOR_OK;
}
