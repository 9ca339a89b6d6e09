/* Takes: what a stream's hands did, kept until its end and written as skinned glTF (`--gltf`) or BVH
 * (`--bvh`). docs/meshes.md. Events as they were before --extrinsics. */
#ifndef WILOR_CLI_LIVE_TAKE_H
#define WILOR_CLI_LIVE_TAKE_H

#include "live_event.h"

typedef struct wilor_cli_take wilor_cli_take;

/* Either path may be NULL. gltf ends in .glb; bvh in .bvh, where hand 7 becomes NAME_7_right.bvh.
 * Nothing stands at the paths before _finish. ERR_ARG: another ending; ERR_IO. The model stays the caller's. */
wilor_status wilor_cli_take_open(wilor_cli_take **out, const char *gltf, const char *bvh,
                                 const wilor_model *model, wilor_error *err);
/* Some 700 bytes a hand and event go to an unnamed file. ERR_IO, ERR_NOMEM. */
wilor_status wilor_cli_take_add(wilor_cli_take *take, const wilor_cli_live_event *e,
                                wilor_error *err);
wilor_status wilor_cli_take_finish(wilor_cli_take *take, wilor_error *err);
void wilor_cli_take_free(wilor_cli_take **take); /* discards what is not finished */

#endif
