/* A picture file and boxes in; where the wrists are, and a drawing, out.
 *
 *     predict WEIGHTS MANO PICTURE OUT.png X0 Y0 X1 Y1 left|right [...]
 *
 * MANO may be "-" when the weights contain it. The weights "random:demo" need no file: they
 * answer every picture with the mean pose. */
#include <wilor/wilor_io.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };

static int read_boxes(wilor_box *boxes, int argc, char **argv) {
    int n = 0;
    for (; argc >= 5 && n < MOST; argc -= 5, argv += 5, n++) {
        for (int k = 0; k < 4; k++)
            boxes[n].box[k] = atof(argv[k]);
        boxes[n].score = 1.0f;
        boxes[n].side = strcmp(argv[4], "left") == 0 ? WILOR_LEFT : WILOR_RIGHT;
    }
    return argc == 0 ? n : 0;
}

static void print_wrists(const wilor_hands *hands) {
    for (int i = 0; i < hands->n; i++) {
        if (hands->failed[i])
            continue;
        const float *wrist = hands->keypoints_3d + (size_t)i * 21 * 3;
        const float *t = hands->cam_t + (size_t)i * 3;
        printf("%s wrist at %.4f %.4f %.4f m\n",
               hands->side[i] == WILOR_LEFT ? "left" : "right", wrist[0] + t[0],
               wrist[1] + t[1], wrist[2] + t[2]);
    }
}

int main(int argc, char **argv) {
    wilor_error err = {WILOR_OK, ""};
    wilor_box boxes[MOST];
    int n = argc > 5 ? read_boxes(boxes, argc - 5, argv + 5) : 0;
    if (n == 0) {
        fprintf(stderr, "usage: predict WEIGHTS MANO PICTURE OUT.png "
                        "X0 Y0 X1 Y1 left|right [...]\n");
        return 2;
    }

    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = argv[1];
    o.mano = strcmp(argv[2], "-") == 0 ? NULL : argv[2];

    /* All of them empty, so that freeing is right however far we come. */
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_image image = {NULL, 0, 0}, drawn = {NULL, 0, 0};
    wilor_picture picture, view;
    const wilor_hands *hands = NULL;

    if (wilor_model_open(&model, &o, &err) != WILOR_OK ||
        wilor_session_create(&session, model, NULL, &err) != WILOR_OK ||
        wilor_image_read(&image, argv[3], 0, &err) != WILOR_OK)
        goto done;
    picture = wilor_image_view(&image);
    if (wilor_predict_boxes(session, &picture, boxes, n, NULL, &hands, &err) != WILOR_OK)
        goto done;
    print_wrists(hands);
    if (wilor_overlay_draw(&drawn, &picture, model, hands, NULL, &err) != WILOR_OK)
        goto done;
    view = wilor_image_view(&drawn);
    wilor_image_write(&view, argv[4], 0, &err);

done:
    if (err.status != WILOR_OK)
        fprintf(stderr, "predict: %s\n", err.text);
    wilor_image_free(&drawn);
    wilor_image_free(&image);
    wilor_session_free(&session);
    wilor_model_free(&model);
    return err.status != WILOR_OK;
}
