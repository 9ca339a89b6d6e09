/* What loading a library leaves resident: symbol tables, hashes, relocations, and around every function that ran
 * the fifteen pages that the system maps with it. With FFmpeg's hundred libraries that is more than a small model's
 * weights and work together. */
#ifndef WILOR_LOADED_PAGES_H
#define WILOR_LOADED_PAGES_H

#include <stddef.h>

/* Libraries of this process so far, for wilor_loaded_release; 0 where the system does not tell. */
size_t wilor_loaded_count(void);

/* Unmap the pages of code and constants of the libraries loaded since there were `since`. What is used comes back
 * from the system's cache of the file, page by page. A segment of which a page was written to (text relocations, a
 * debugger's breakpoint, a tracer's probe) stays as it is.
 *   memory  no allocation
 *   errors  none: it is a hint, and does nothing on other systems than Linux, or without /proc */
void wilor_loaded_release(size_t since);

#endif
