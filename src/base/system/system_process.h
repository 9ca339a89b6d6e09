/* What differs between POSIX and Windows and is a program's to do: arguments, signals, the console, datagrams;
 * and what it may know of the machine. */
#ifndef WILOR_SYSTEM_PROCESS_H
#define WILOR_SYSTEM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First in main: arguments as UTF-8, standard streams binary, a console that shows UTF-8 and takes \33[K. */
void wilor_sys_begin(int *argc, char ***argv);
/* SIGINT and SIGTERM, or Ctrl-C, Ctrl-Break and the console's end. `stop` may be called by any thread at any
 * time; when it returns false the process ends as if it were not there. Also ignores SIGPIPE. */
void wilor_sys_catch_stop(bool (*stop)(void));

bool wilor_sys_random(void *out, size_t bytes);
uint64_t wilor_sys_memory_bytes(void); /* of the machine; 0: unknown */
bool wilor_sys_is_terminal(int fd);
unsigned wilor_sys_terminal_columns(void); /* of stderr's; 0: unknown */

/* A socket for datagrams to HOST:PORT; -1 with the reason in why. */
int wilor_sys_udp_open(const char *host, const char *port, char *why, size_t room);
bool wilor_sys_udp_send(int fd, const void *data, size_t bytes); /* never waits */
void wilor_sys_udp_close(int fd);

#endif
