/* A stand-in for Windows' userenv.dll: Wine's own cannot delete a profile. There never is one. Test only. */
#include <windows.h>
#include <stdio.h>

__declspec(dllexport) BOOL WINAPI DeleteProfileW(LPCWSTR sid, LPCWSTR path, LPCWSTR computer)
{
    WCHAR log[MAX_PATH];
    DWORD length = GetEnvironmentVariableW(L"TICKETGATE_SAM", log, MAX_PATH - 8);
    FILE *file;
    if (!length || path || computer) ExitProcess(92);
    wcscpy(log + length, L".log");
    file = _wfopen(log, L"ab");
    if (!file) ExitProcess(91);
    fprintf(file, "DeleteProfile %ls\n", sid);
    fclose(file);
    SetLastError(ERROR_FILE_NOT_FOUND);
    return FALSE;
}

/* Of Rust's standard library, for a home that no variable names. */
__declspec(dllexport) BOOL WINAPI GetUserProfileDirectoryW(HANDLE token, LPWSTR path, LPDWORD length)
{
    SetLastError(ERROR_NOT_SUPPORTED);
    return FALSE;
}
