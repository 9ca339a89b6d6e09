/* The OBJ writer. Axes stay the camera's: a viewer with y up shows the hand upside down, turn
 * it by half a turn about x; the comment in the file says so. */
#include "writer_obj.h"

#include "temp_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void print_mesh(FILE *to, const float *points, int vertices, const float *shift,
                       const int32_t *faces, int count) {
    for (int i = 0; i < vertices; i++)
        fprintf(to, "v %.9g %.9g %.9g\n", (double)points[3 * i] + (double)shift[0],
                (double)points[3 * i + 1] + (double)shift[1],
                (double)points[3 * i + 2] + (double)shift[2]);
    for (int i = 0; i < count; i++)
        fprintf(to, "f %ld %ld %ld\n", (long)faces[3 * i] + 1, (long)faces[3 * i + 1] + 1,
                (long)faces[3 * i + 2] + 1);
}

wilor_status wilor_cli_obj_write(const char *folder, const char *stem, const wilor_model *model,
                                 const wilor_hands *hands, int i, bool camera,
                                 wilor_error *err) {
    static const float nowhere[3] = {0, 0, 0};
    wilor_side side = hands->side[i] == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
    const char *side_name = side == WILOR_LEFT ? "left" : "right";
    size_t room = strlen(folder) + strlen(stem) + 48;
    char *path = malloc(room);
    if (!path)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing an OBJ");
    snprintf(path, room, "%s/%s_%d_%s.obj", folder, stem, i, side_name);
    wilor_cli_temp_file t;
    wilor_status st = wilor_cli_temp_open(&t, path, err);
    free(path);
    if (st != WILOR_OK)
        return st;
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    fprintf(t.file, "# %s hand, metres; x right, y down, z forward, %s\n# wilor %s\n",
            side_name, camera ? "camera at the origin" : "about the hand model's origin",
            wilor_version());
    const float *points = hands->vertices_3d + (size_t)i * (size_t)hands->vertices * 3;
    print_mesh(t.file, points, hands->vertices, camera ? hands->cam_t + 3 * (size_t)i : nowhere,
               wilor_model_faces(model, side), info.faces);
    return wilor_cli_temp_commit(&t, err);
}
