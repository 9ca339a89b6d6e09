/* Copying a result: the struct, then its arrays of floats, then those of bytes. An array that is
 * added to wilor_hands belongs into one of the two tables. */
#include "hands_copy.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    size_t offset;
    size_t width; /* floats a hand; 0: vertices × 3 */
} g_floats[] = {
    {offsetof(wilor_hands, score), 1},         {offsetof(wilor_hands, box), 4},
    {offsetof(wilor_hands, crop), 3},          {offsetof(wilor_hands, pred_cam), 3},
    {offsetof(wilor_hands, cam_t), 3},         {offsetof(wilor_hands, focal), 2},
    {offsetof(wilor_hands, principal), 2},     {offsetof(wilor_hands, distortion), 5},
    {offsetof(wilor_hands, keypoints_3d), 63}, {offsetof(wilor_hands, keypoints_2d), 42},
    {offsetof(wilor_hands, vertices_3d), 0},   {offsetof(wilor_hands, global_orient), 3},
    {offsetof(wilor_hands, hand_pose), 45},    {offsetof(wilor_hands, betas), 10},
    {offsetof(wilor_hands, rotation), 144},    {offsetof(wilor_hands, detected_keypoints), 63}};

static const size_t g_bytes[] = {offsetof(wilor_hands, side), offsetof(wilor_hands, failed),
                                 offsetof(wilor_hands, detected)};

enum {
    FLOATS = sizeof g_floats / sizeof g_floats[0],
    BYTES = sizeof g_bytes / sizeof g_bytes[0]
};

/* Move the array that the member at offset points to behind the others. */
static unsigned char *take(wilor_hands *copy, size_t offset, unsigned char *to, size_t size) {
    const void *from;
    char *member = (char *)copy + offset;
    memcpy(&from, member, sizeof from);
    if (size)
        memcpy(to, from, size);
    memcpy(member, &to, sizeof to);
    return to + size;
}

wilor_hands *wilor_cli_hands_copy(const wilor_hands *hands) {
    size_t n = (size_t)hands->n, mesh = (size_t)hands->vertices * 3, size = BYTES;
    for (size_t i = 0; i < FLOATS; i++)
        size += (g_floats[i].width ? g_floats[i].width : mesh) * sizeof(float);
    /* A session has held all of it: the product fits. */
    wilor_hands *copy = malloc(sizeof *copy + n * size);
    if (!copy)
        return NULL;
    *copy = *hands;
    unsigned char *to = (unsigned char *)(copy + 1);
    for (size_t i = 0; i < FLOATS; i++)
        to = take(copy, g_floats[i].offset, to,
                  n * (g_floats[i].width ? g_floats[i].width : mesh) * sizeof(float));
    for (size_t i = 0; i < BYTES; i++)
        to = take(copy, g_bytes[i], to, n);
    return copy;
}
