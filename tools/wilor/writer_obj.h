/* A hand's mesh as a Wavefront OBJ file. */
#ifndef WILOR_CLI_WRITER_OBJ_H
#define WILOR_CLI_WRITER_OBJ_H

#include "cli_text.h"

/* FOLDER/STEM_i_left.obj or …_right.obj: vertices in metres in the camera frame (x right, y
 * down, z forward), or about the hand model's origin without a camera; faces counter-clockwise
 * seen from outside. Appears when complete. */
wilor_status wilor_cli_obj_write(const char *folder, const char *stem, const wilor_model *model,
                                 const wilor_hands *hands, int i, bool camera,
                                 wilor_error *err);

#endif
