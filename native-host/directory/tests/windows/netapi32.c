/* A stand-in for Windows' netapi32.dll, for the real binary under Wine, whose own cannot change accounts. It answers as the calls are
 * documented (learn.microsoft.com, NetUserAdd and the pages beside it); what is not documented, it does not do. Test only.
 *
 * The accounts stand in the file that TICKETGATE_SAM names, so that processes share them; each call is written to that file's name
 * with ".log". */
#include <windows.h>
#include <lm.h>
#include <sddl.h>
#include <stdio.h>
#include <wchar.h>

#define MACHINE L"S-1-5-21-1000000001-1000000002-1000000003"
#define GONE L"S-1-5-21-9-9-9-1104"
#define USERS 16
#define GROUPS 2
#define MEMBERS 8
/* So that whoever asks for all has to ask again. */
#define PAGE 2

struct user { WCHAR name[32], password[260], comment[260], sid[96]; DWORD flags, expires; };
struct group { WCHAR name[64], members[MEMBERS][96]; };
static struct { DWORD made, next; struct user users[USERS]; struct group groups[GROUPS]; } sam;

static const WCHAR *path(void)
{
    static WCHAR path[MAX_PATH];
    if (!GetEnvironmentVariableW(L"TICKETGATE_SAM", path, MAX_PATH - 8)) ExitProcess(99);
    return path;
}

static void load(void)
{
    FILE *file = _wfopen(path(), L"rb");
    memset(&sam, 0, sizeof sam);
    if (file) { if (fread(&sam, sizeof sam, 1, file) != 1) ExitProcess(98); fclose(file); }
    if (sam.made) return;
    sam.made = 1;
    sam.next = 1001;
    wcscpy(sam.groups[0].name, L"Administrators");
    wcscpy(sam.groups[1].name, L"Remote Desktop Users");
    wcscpy(sam.groups[0].members[0], GONE);
    wcscpy(sam.groups[1].members[0], GONE);
    /* Somebody's, and the one that every Windows has. */
    wcscpy(sam.users[0].name, L"Administrator");
    wcscpy(sam.users[0].sid, MACHINE L"-500");
    wcscpy(sam.users[1].name, L"jit-byhand");
    wcscpy(sam.users[1].sid, MACHINE L"-1000");
    sam.users[0].flags = sam.users[1].flags = UF_SCRIPT | UF_NORMAL_ACCOUNT;
    sam.users[0].expires = sam.users[1].expires = TIMEQ_FOREVER;
}

static void save(void)
{
    FILE *file = _wfopen(path(), L"wb");
    if (!file || fwrite(&sam, sizeof sam, 1, file) != 1 || fclose(file)) ExitProcess(97);
}

static NET_API_STATUS say(NET_API_STATUS code, const WCHAR *call, const WCHAR *name, const WCHAR *what, DWORD number)
{
    WCHAR log[MAX_PATH];
    FILE *file;
    swprintf(log, MAX_PATH, L"%ls.log", path());
    file = _wfopen(log, L"ab");
    if (!file) ExitProcess(96);
    fprintf(file, "%ls %ls %ls %lu = %lu\n", call, name, what, number, code);
    fclose(file);
    return code;
}

static struct user *find(const WCHAR *name)
{
    for (int i = 0; i < USERS; i++)
        if (sam.users[i].name[0] && !_wcsicmp(sam.users[i].name, name)) return &sam.users[i];
    return NULL;
}

static struct group *find_group(const WCHAR *name)
{
    for (int i = 0; i < GROUPS; i++) if (!_wcsicmp(sam.groups[i].name, name)) return &sam.groups[i];
    return NULL;
}

static WCHAR *copy(BYTE **at, const WCHAR *text)
{
    WCHAR *to = (WCHAR *)*at;
    wcscpy(to, text);
    *at += (wcslen(text) + 1) * sizeof(WCHAR);
    return to;
}

/* In one piece, as Windows gives it: the structures first, what they point to behind. */
static BYTE *block(void) { return calloc(1, 8192); }

NET_API_STATUS WINAPI NetApiBufferFree(LPVOID buffer) { free(buffer); return NERR_Success; }
NET_API_STATUS WINAPI NetApiBufferAllocate(DWORD bytes, LPVOID *buffer)
{
    *buffer = malloc(bytes);
    return NERR_Success;
}

NET_API_STATUS WINAPI NetUserAdd(LPCWSTR server, DWORD level, LPBYTE buffer, LPDWORD wrong)
{
    USER_INFO_1 *from = (USER_INFO_1 *)buffer;
    struct user *user = NULL;
    load();
    if (server || level != 1) return say(ERROR_INVALID_LEVEL, L"NetUserAdd", L"?", L"level", level);
    if (find(from->usri1_name)) return say(NERR_UserExists, L"NetUserAdd", from->usri1_name, L"", 0);
    if (find_group(from->usri1_name)) return say(ERROR_ALIAS_EXISTS, L"NetUserAdd", from->usri1_name, L"", 0);
    if (wcslen(from->usri1_name) > 20) return say(NERR_BadUsername, L"NetUserAdd", from->usri1_name, L"", 0);
    if (from->usri1_priv != USER_PRIV_USER || !(from->usri1_flags & UF_SCRIPT) || from->usri1_home_dir || from->usri1_script_path)
        return say(ERROR_INVALID_PARAMETER, L"NetUserAdd", from->usri1_name, L"", 0);
    if (!from->usri1_password || wcslen(from->usri1_password) < 14)
        return say(NERR_PasswordTooShort, L"NetUserAdd", from->usri1_name, L"", 0);
    for (int i = 0; i < USERS && !user; i++) if (!sam.users[i].name[0]) user = &sam.users[i];
    if (!user) ExitProcess(95);
    wcscpy(user->name, from->usri1_name);
    wcscpy(user->password, from->usri1_password);
    wcscpy(user->comment, from->usri1_comment);
    swprintf(user->sid, 96, L"%ls-%lu", MACHINE, sam.next++);
    user->flags = from->usri1_flags;
    user->expires = TIMEQ_FOREVER;
    save();
    return say(NERR_Success, L"NetUserAdd", user->name, L"flags", user->flags);
}

NET_API_STATUS WINAPI NetUserGetInfo(LPCWSTR server, LPCWSTR name, DWORD level, LPBYTE *buffer)
{
    struct user *user;
    USER_INFO_4 *to;
    BYTE *at;
    PSID sid;
    load();
    user = find(name);
    if (!user) return NERR_UserNotFound;
    if (server || level != 4) return ERROR_INVALID_LEVEL;
    *buffer = block();
    to = (USER_INFO_4 *)*buffer;
    at = (BYTE *)(to + 1);
    if (!ConvertStringSidToSidW(user->sid, &sid)) ExitProcess(94);
    memcpy(at, sid, GetLengthSid(sid));
    to->usri4_user_sid = at;
    at += 128;
    LocalFree(sid);
    to->usri4_name = copy(&at, user->name);
    to->usri4_comment = copy(&at, user->comment);
    to->usri4_usr_comment = copy(&at, L"ticketgate token=aaaaaaaaaaaaaaaaaaaaaaaaaa owner=x gen=1 until=-");
    to->usri4_flags = user->flags;
    to->usri4_acct_expires = user->expires;
    to->usri4_primary_group_id = 513;
    to->usri4_priv = USER_PRIV_USER;
    return NERR_Success;
}

NET_API_STATUS WINAPI NetUserSetInfo(LPCWSTR server, LPCWSTR name, DWORD level, LPBYTE buffer, LPDWORD wrong)
{
    struct user *user;
    const WCHAR *text;
    DWORD number;
    load();
    user = find(name);
    if (server) return ERROR_INVALID_PARAMETER;
    if (!user) return say(NERR_UserNotFound, L"NetUserSetInfo", name, L"", 0);
    switch (level) {
    case 1003:
        text = ((USER_INFO_1003 *)buffer)->usri1003_password;
        if (wcslen(text) < 14) return say(NERR_PasswordTooShort, L"NetUserSetInfo", name, L"password", 0);
        wcscpy(user->password, text);
        save();
        return say(NERR_Success, L"NetUserSetInfo", name, user->flags & UF_ACCOUNTDISABLE ? L"password-closed" : L"password-open", 0);
    case 1007:
        text = ((USER_INFO_1007 *)buffer)->usri1007_comment;
        if (wcslen(text) > MAXCOMMENTSZ) return say(ERROR_INVALID_PARAMETER, L"NetUserSetInfo", name, L"comment", 0);
        wcscpy(user->comment, text);
        save();
        return say(NERR_Success, L"NetUserSetInfo", name, L"comment", 0);
    case 1008:
        number = ((USER_INFO_1008 *)buffer)->usri1008_flags;
        if (!(number & UF_SCRIPT)) return say(ERROR_INVALID_PARAMETER, L"NetUserSetInfo", name, L"flags", number);
        user->flags = number;
        save();
        return say(NERR_Success, L"NetUserSetInfo", name, L"flags", number);
    case 1017:
        number = ((USER_INFO_1017 *)buffer)->usri1017_acct_expires;
        user->expires = number;
        save();
        return say(NERR_Success, L"NetUserSetInfo", name, L"expires", number);
    }
    return say(ERROR_INVALID_LEVEL, L"NetUserSetInfo", name, L"level", level);
}

NET_API_STATUS WINAPI NetUserDel(LPCWSTR server, LPCWSTR name)
{
    struct user *user;
    load();
    user = find(name);
    if (server) return ERROR_INVALID_PARAMETER;
    if (!user) return say(NERR_UserNotFound, L"NetUserDel", name, L"", 0);
    for (int i = 0; i < GROUPS; i++)
        for (int j = 0; j < MEMBERS; j++)
            if (!wcscmp(sam.groups[i].members[j], user->sid)) sam.groups[i].members[j][0] = 0;
    memset(user, 0, sizeof *user);
    save();
    return say(NERR_Success, L"NetUserDel", name, L"", 0);
}

NET_API_STATUS WINAPI NetUserEnum(LPCWSTR server, DWORD level, DWORD filter, LPBYTE *buffer, DWORD longest, LPDWORD read, LPDWORD total, LPDWORD resume)
{
    USER_INFO_0 *to;
    BYTE *at;
    DWORD seen = 0, more = 0, from = *resume;
    load();
    if (server || level || filter != FILTER_NORMAL_ACCOUNT || longest != MAX_PREFERRED_LENGTH) return ERROR_INVALID_PARAMETER;
    *buffer = block();
    to = (USER_INFO_0 *)*buffer;
    at = (BYTE *)(to + USERS);
    *read = *total = 0;
    for (int i = 0; i < USERS; i++) {
        if (!sam.users[i].name[0] || seen++ < from) continue;
        ++*total;
        if (*read == PAGE) { more = 1; continue; }
        to[*read].usri0_name = copy(&at, sam.users[i].name);
        ++*read;
        ++*resume;
    }
    return more ? ERROR_MORE_DATA : NERR_Success;
}

NET_API_STATUS WINAPI NetUserGetLocalGroups(LPCWSTR server, LPCWSTR name, DWORD level, DWORD flags, LPBYTE *buffer, DWORD longest, LPDWORD read, LPDWORD total)
{
    struct user *user;
    LOCALGROUP_USERS_INFO_0 *to;
    BYTE *at;
    load();
    user = find(name);
    if (server || level || flags || longest != MAX_PREFERRED_LENGTH) return ERROR_INVALID_PARAMETER;
    if (!user) return NERR_UserNotFound;
    *read = 0;
    *buffer = block();
    to = (LOCALGROUP_USERS_INFO_0 *)*buffer;
    at = (BYTE *)(to + GROUPS);
    for (int i = 0; i < GROUPS; i++)
        for (int j = 0; j < MEMBERS; j++)
            if (!wcscmp(sam.groups[i].members[j], user->sid)) to[(*read)++].lgrui0_name = copy(&at, sam.groups[i].name);
    *total = *read;
    return NERR_Success;
}

/* The place of a member, or a free one. */
static WCHAR *member(struct group *group, const WCHAR *sid)
{
    for (int j = 0; j < MEMBERS; j++) if (!wcscmp(group->members[j], sid)) return group->members[j];
    return NULL;
}

static NET_API_STATUS change(const WCHAR *call, LPCWSTR server, LPCWSTR name, DWORD level, LPBYTE buffer, DWORD count, int joins)
{
    struct group *group;
    WCHAR *sid, *place;
    int known = 0;
    load();
    group = find_group(name);
    if (server || level || count != 1) return ERROR_INVALID_PARAMETER;
    if (!group) return say(NERR_GroupNotFound, call, name, L"", 0);
    if (!ConvertSidToStringSidW(((LOCALGROUP_MEMBERS_INFO_0 *)buffer)->lgrmi0_sid, &sid)) return ERROR_INVALID_SID;
    for (int i = 0; i < USERS; i++) known |= sam.users[i].name[0] && !wcscmp(sam.users[i].sid, sid);
    if (!known) return say(ERROR_NO_SUCH_MEMBER, call, name, sid, 0);
    place = member(group, sid);
    if (joins && place) return say(ERROR_MEMBER_IN_ALIAS, call, name, sid, 0);
    if (!joins && !place) return say(ERROR_MEMBER_NOT_IN_ALIAS, call, name, sid, 0);
    if (joins) wcscpy(member(group, L""), sid); else place[0] = 0;
    save();
    return say(NERR_Success, call, name, sid, 0);
}

NET_API_STATUS WINAPI NetLocalGroupAddMembers(LPCWSTR server, LPCWSTR name, DWORD level, LPBYTE buffer, DWORD count)
{
    return change(L"NetLocalGroupAddMembers", server, name, level, buffer, count, 1);
}

NET_API_STATUS WINAPI NetLocalGroupDelMembers(LPCWSTR server, LPCWSTR name, DWORD level, LPBYTE buffer, DWORD count)
{
    return change(L"NetLocalGroupDelMembers", server, name, level, buffer, count, 0);
}

NET_API_STATUS WINAPI NetUserModalsGet(LPCWSTR server, DWORD level, LPBYTE *buffer)
{
    BYTE *at = block();
    *buffer = at;
    if (server) return ERROR_INVALID_PARAMETER;
    if (level == 0) {
        ((USER_MODALS_INFO_0 *)at)->usrmod0_min_passwd_len = 14;
        return NERR_Success;
    }
    if (level == 2) {
        USER_MODALS_INFO_2 *to = (USER_MODALS_INFO_2 *)at;
        PSID sid;
        at = (BYTE *)(to + 1);
        if (!ConvertStringSidToSidW(MACHINE, &sid)) ExitProcess(93);
        memcpy(at, sid, GetLengthSid(sid));
        to->usrmod2_domain_id = at;
        at += 128;
        LocalFree(sid);
        to->usrmod2_domain_name = copy(&at, L"FILES1");
        return NERR_Success;
    }
    return ERROR_INVALID_LEVEL;
}
