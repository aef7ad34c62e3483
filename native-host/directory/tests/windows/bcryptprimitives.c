/* Randomness for Rust's standard library under Wine 8, which has no such library. Test only. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG); /* RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T count)
{
    while (count) {
        ULONG part = count > 0x10000000 ? 0x10000000 : (ULONG)count;
        if (!SystemFunction036(to, part)) return FALSE;
        to += part;
        count -= part;
    }
    return TRUE;
}
