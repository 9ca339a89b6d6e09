/* Results as an .npz for numpy, under WiLoR-mini's names and in its units. */
#ifndef WILOR_CLI_WRITER_NPZ_H
#define WILOR_CLI_WRITER_NPZ_H

#include "cli_text.h"

typedef struct wilor_cli_npz wilor_cli_npz;

/* The arrays grow in unnamed files beside `path`; nothing stands there before _finish.
 *   camera   whether the hands have a place in a picture (not so with crops) */
wilor_status wilor_cli_npz_open(wilor_cli_npz **out, const char *path, bool camera,
                                wilor_error *err);
/* The hands of one more picture. Every picture counts in `image`, also one without hands. A
 * failed hand has NaN in what the model should have said. */
wilor_status wilor_cli_npz_append(wilor_cli_npz *z, const char *source,
                                  const wilor_hands *hands, wilor_error *err);
/* Write the file. vertices and faces (count × 3, the right hand's) are the model's. */
wilor_status wilor_cli_npz_finish(wilor_cli_npz *z, int vertices, const int32_t *faces,
                                  int count, wilor_error *err);
void wilor_cli_npz_free(wilor_cli_npz **z); /* discards what is not finished */

#endif
