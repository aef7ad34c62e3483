/* The other end of a named pipe, where a test needs one that is no program of ours. Test only.
 *
 *   pipe serve NAME SDDL    serves a pipe with that security descriptor, and answers nobody
 *   pipe silent NAME COUNT  connects so many times, and says nothing
 *
 * Each says "ready" and then waits to be ended. */
#include <windows.h>
#include <sddl.h>
#include <stdio.h>
#include <wchar.h>

static int serve(const WCHAR *name, const WCHAR *text)
{
    SECURITY_ATTRIBUTES attributes = { sizeof attributes, NULL, FALSE };
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1, &attributes.lpSecurityDescriptor, NULL)) return 1;
    /* Several, since each client takes one. */
    for (int i = 0; i < 8; i++)
        if (CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, 0, 255, 4096, 4096, 0, &attributes) == INVALID_HANDLE_VALUE) return 2;
    return 0;
}

static int silent(const WCHAR *name, int count)
{
    for (int i = 0; i < count; i++) {
        /* Where all instances are taken, the next is being made. */
        for (int tries = 0;; tries++) {
            if (CreateFileW(name, FILE_READ_DATA | FILE_WRITE_DATA, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL) != INVALID_HANDLE_VALUE) break;
            if (GetLastError() != ERROR_PIPE_BUSY || tries > 1000) return 3;
            Sleep(5);
        }
    }
    return 0;
}

int wmain(int count, WCHAR **words)
{
    int code;
    if (count != 4) return 4;
    code = wcscmp(words[1], L"serve") ? silent(words[2], _wtoi(words[3])) : serve(words[2], words[3]);
    if (code) return code;
    puts("ready");
    fflush(stdout);
    Sleep(INFINITE);
    return 0;
}
