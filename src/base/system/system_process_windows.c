/* system_process.h on Windows. */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "system_process.h"
#include "system_windows.h"

#include <fcntl.h>
#include <ntsecapi.h>
#include <shellapi.h>
#include <stdlib.h>
#include <string.h>

static UINT g_code_page; /* the console's before us */

static void restore_console(void) { SetConsoleOutputCP(g_code_page); }

static void prepare_console(void) {
    const DWORD escapes = 0x0004; /* ENABLE_VIRTUAL_TERMINAL_PROCESSING */
    HANDLE h = GetStdHandle(STD_ERROR_HANDLE);
    DWORD mode;
    for (int fd = 0; fd < 3; fd++)
        _setmode(fd, _O_BINARY);
    g_code_page = GetConsoleOutputCP();
    if (g_code_page && g_code_page != CP_UTF8 && SetConsoleOutputCP(CP_UTF8))
        atexit(restore_console);
    if (GetConsoleMode(h, &mode))
        SetConsoleMode(h, mode | escapes);
}

/* What main was given is in the machine's old code page; the command line itself is not. */
void wilor_sys_begin(int *argc, char ***argv) {
    int count = 0;
    prepare_console();
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **narrow = wide ? calloc((size_t)count + 1, sizeof *narrow) : NULL;
    bool good = narrow != NULL;
    for (int i = 0; good && i < count; i++)
        good = (narrow[i] = wilor_sys_narrow(wide[i])) != NULL;
    LocalFree(wide);
    if (!good) {
        fputs("out of memory for the command line\n", stderr);
        exit(1);
    }
    *argc = count;
    *argv = narrow;
}

static bool (*g_stop)(void);

static BOOL WINAPI handle(DWORD event) {
    (void)event;
    return g_stop();
}

void wilor_sys_catch_stop(bool (*stop)(void)) {
    g_stop = stop;
    SetConsoleCtrlHandler(handle, TRUE);
}

bool wilor_sys_random(void *out, size_t bytes) { return RtlGenRandom(out, (ULONG)bytes) != 0; }

uint64_t wilor_sys_memory_bytes(void) {
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    return GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : 0;
}

bool wilor_sys_is_terminal(int fd) {
    DWORD mode; /* _isatty takes NUL for a terminal */
    return GetConsoleMode((HANDLE)_get_osfhandle(fd), &mode);
}

unsigned wilor_sys_terminal_columns(void) {
    CONSOLE_SCREEN_BUFFER_INFO info;
    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_ERROR_HANDLE), &info))
        return 0;
    return (unsigned)(info.srWindow.Right - info.srWindow.Left + 1);
}

static SOCKET connect_one(const struct addrinfo *a) {
    u_long on = 1;
    SOCKET s = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (s == INVALID_SOCKET)
        return s;
    if (connect(s, a->ai_addr, (int)a->ai_addrlen) == 0 && ioctlsocket(s, FIONBIO, &on) == 0)
        return s;
    closesocket(s);
    return INVALID_SOCKET;
}

/* A socket's number fits an int: the system promises that handles do. */
int wilor_sys_udp_open(const char *host, const char *port, char *why, size_t room) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    WSADATA data;
    SOCKET s = INVALID_SOCKET;
    int code = WSAStartup(MAKEWORD(2, 2), &data);
    if (code == 0)
        code = getaddrinfo(host, port, &hints, &list);
    for (const struct addrinfo *a = list; code == 0 && a && s == INVALID_SOCKET; a = a->ai_next)
        s = connect_one(a);
    if (code == 0 && s == INVALID_SOCKET)
        code = WSAGetLastError();
    if (list)
        freeaddrinfo(list);
    if (s != INVALID_SOCKET)
        return (int)s;
    snprintf(why, room, code == WSAHOST_NOT_FOUND ? "no such host" : "Windows error %d", code);
    return -1;
}

bool wilor_sys_udp_send(int fd, const void *data, size_t bytes) {
    return send((SOCKET)fd, data, (int)bytes, 0) >= 0;
}

void wilor_sys_udp_close(int fd) { closesocket((SOCKET)fd); }
