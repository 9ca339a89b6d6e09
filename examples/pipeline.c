/* A picture file in, all its hands out: detector and model in one pipeline.
 *
 *     pipeline DETECTOR WEIGHTS MANO PICTURE [CONFIDENCE]
 *
 * MANO may be "-" when the weights contain it. The detector "random:micro" and the weights
 * "random:demo" need no files; what they find means nothing. */
#include <wilor/wilor_io.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_hand(const wilor_hands *hands, int i) {
    const float *box = hands->box + (size_t)i * 4;
    const float *wrist = hands->keypoints_3d + (size_t)i * 21 * 3;
    const float *t = hands->cam_t + (size_t)i * 3;
    const float *seen = hands->detected_keypoints + (size_t)i * 21 * 3;
    int visible = 0;
    for (int k = 0; k < 21; k++)
        visible += seen[k * 3 + 2] >= 0.5f;
    printf("%s hand, score %.2f, box %.0f %.0f %.0f %.0f, wrist at %.3f %.3f %.3f m, %d of 21 "
           "points visible\n",
           hands->side[i] == WILOR_LEFT ? "left" : "right", hands->score[i], box[0], box[1],
           box[2], box[3], wrist[0] + t[0], wrist[1] + t[1], wrist[2] + t[2], visible);
}

int main(int argc, char **argv) {
    wilor_error err = {WILOR_OK, ""};
    if (argc < 5) {
        fprintf(stderr, "usage: pipeline DETECTOR WEIGHTS MANO PICTURE [CONFIDENCE]\n");
        return 2;
    }

    wilor_detector_options detector_options;
    wilor_detector_options_init(&detector_options, sizeof detector_options);
    detector_options.detector = argv[1];

    wilor_model_options model_options;
    wilor_model_options_init(&model_options, sizeof model_options);
    model_options.weights = argv[2];
    model_options.mano = strcmp(argv[3], "-") == 0 ? NULL : argv[3];

    wilor_detect_options detect_options;
    wilor_detect_options_init(&detect_options, sizeof detect_options);
    if (argc > 5)
        detect_options.conf = atof(argv[5]);

    /* All of them empty, so that freeing is right however far we come. */
    wilor_detector *detector = NULL;
    wilor_model *model = NULL;
    wilor_pipeline *pipeline = NULL;
    wilor_image image = {NULL, 0, 0};
    wilor_picture picture;
    const wilor_hands *hands = NULL;

    if (wilor_detector_open(&detector, &detector_options, &err) != WILOR_OK ||
        wilor_model_open(&model, &model_options, &err) != WILOR_OK ||
        wilor_pipeline_create(&pipeline, detector, model, NULL, &err) != WILOR_OK ||
        wilor_image_read(&image, argv[4], 0, &err) != WILOR_OK)
        goto done;
    picture = wilor_image_view(&image);
    if (wilor_pipeline_run(pipeline, &picture, NULL, 0, &detect_options, NULL, &hands, &err) !=
        WILOR_OK)
        goto done;
    for (int i = 0; i < hands->n; i++)
        if (!hands->failed[i])
            print_hand(hands, i);
    printf("%d hands in %d x %d pixels\n", hands->n, picture.width, picture.height);

done:
    if (err.status != WILOR_OK)
        fprintf(stderr, "pipeline: %s\n", err.text);
    wilor_image_free(&image);
    wilor_pipeline_free(&pipeline);
    wilor_model_free(&model);
    wilor_detector_free(&detector);
    return err.status != WILOR_OK;
}
