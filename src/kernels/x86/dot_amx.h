/* What the files of the AMX tables share; dot_amx.c says how panels lie. */
#ifndef WILOR_DOT_AMX_H
#define WILOR_DOT_AMX_H

#include "dot.h"

/* dot.h's pack_u4 for 16-bit and 8-bit tiles. */
void wilor_dot_amx_u4_bf16(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel);
void wilor_dot_amx_u4_int8(const wilor_dot *d, const wilor_u4_steps *w, size_t k, void *panel);

#endif
