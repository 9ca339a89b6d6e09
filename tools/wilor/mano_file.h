/* A hand's own file, taken out of a checkpoint. */
#ifndef WILOR_CLI_MANO_FILE_H
#define WILOR_CLI_MANO_FILE_H

#include "cli_text.h"

/* Write the mano.* and init_* tensors of a checkpoint as mano.npz, the form that wilor-mlx uses, too.
 * ERR_MISSING: the checkpoint lacks one. */
wilor_status wilor_cli_mano_file_write(const char *path, const char *checkpoint,
                                       wilor_error *err);

#endif
