/* A PKCS#11 v2.40 module that stands before another one and fails as a control file says.
 *
 * Compiled by the tests with CONTROL (the control file) and MODULE (the module behind). Lines of the
 * control file, read at every call of a function below, so that a fault begins and ends at once:
 *
 *   hang FUNCTION SECONDS     the function waits before it does its work, as long as the line stands
 *   fail FUNCTION CODE        the function answers CODE (CKR_...) without doing anything
 *   once FUNCTION CODE        the same, but the control file goes with it: the next call works
 *   flags BITS                these flags (CKF_...) are added to the token's
 *   without MECHANISM         this mechanism (CKM_...) is not offered
 *   removed                   there is no token: no slot holds one, what is open answers
 *                             CKR_DEVICE_REMOVED
 *
 * Each call of a function below is appended to CONTROL ".calls", one name a line.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;
typedef void (*any_function)(void);

/* CK_FUNCTION_LIST (PKCS #11 v2.40, section 3.6): the version, then 68 pointers in this order. */
enum {
    AT_GET_FUNCTION_LIST = 3,
    AT_GET_SLOT_LIST = 4,
    AT_GET_TOKEN_INFO = 6,
    AT_GET_MECHANISM_LIST = 7,
    AT_OPEN_SESSION = 12,
    AT_LOGIN = 18,
    AT_FIND_OBJECTS_INIT = 26,
    AT_SIGN_INIT = 42,
    AT_SIGN = 43,
    AT_GENERATE_RANDOM = 64,
    FUNCTIONS = 68
};
typedef struct {
    unsigned char version[2];
    any_function at[FUNCTIONS];
} function_list;

/* CK_TOKEN_INFO begins with label, maker, model and serial number; then come the flags. */
typedef struct {
    char names[32 + 32 + 16 + 16];
    CK_ULONG flags;
} token_info_beginning;

enum { CKR_OK = 0, CKR_GENERAL_ERROR = 5, CKR_DEVICE_REMOVED = 0x32, CKR_TOKEN_NOT_PRESENT = 0xE0 };

static function_list *behind;
static function_list offered;

/* Whether the control file has this line; its number, where it has one, in *value. */
static int control(const char *word, const char *name, CK_ULONG *value) {
    char line[128], first[32], second[64];
    FILE *file = fopen(CONTROL, "r");
    int found = 0;
    if (file == NULL) return 0;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char number[32] = "0";
        int words = sscanf(line, "%31s %63s %31s", first, second, number);
        if (words < 1 || strcmp(first, word) != 0) continue;
        if (name != NULL && (words < 2 || strcmp(second, name) != 0)) continue;
        if (value != NULL) *value = strtoul(name == NULL ? second : number, NULL, 0);
        found = 1;
    }
    fclose(file);
    return found;
}

static CK_RV before(const char *name) {
    CK_ULONG value;
    FILE *calls = fopen(CONTROL ".calls", "a");
    if (calls != NULL) {
        fprintf(calls, "%s\n", name);
        fclose(calls);
    }
    if (control("hang", name, &value)) {
        time_t end = time(NULL) + (time_t)value;
        while (time(NULL) < end && control("hang", name, NULL)) usleep(50000);
    }
    if (control("fail", name, &value)) return value;
    if (control("once", name, &value)) {
        unlink(CONTROL);
        return value;
    }
    return CKR_OK;
}

static CK_RV before_in_session(const char *name) {
    CK_RV result = before(name);
    if (result == CKR_OK && control("removed", NULL, NULL)) return CKR_DEVICE_REMOVED;
    return result;
}

static CK_RV get_slot_list(unsigned char present, CK_ULONG *slots, CK_ULONG *count) {
    CK_RV result = before("C_GetSlotList");
    if (result != CKR_OK) return result;
    if (present && control("removed", NULL, NULL)) {
        *count = 0;
        return CKR_OK;
    }
    return ((CK_RV(*)(unsigned char, CK_ULONG *, CK_ULONG *))behind->at[AT_GET_SLOT_LIST])(
        present, slots, count);
}

static CK_RV get_token_info(CK_ULONG slot, token_info_beginning *info) {
    CK_ULONG flags;
    CK_RV result = before("C_GetTokenInfo");
    if (result != CKR_OK) return result;
    if (control("removed", NULL, NULL)) return CKR_TOKEN_NOT_PRESENT;
    result = ((CK_RV(*)(CK_ULONG, void *))behind->at[AT_GET_TOKEN_INFO])(slot, info);
    if (result == CKR_OK && control("flags", NULL, &flags)) info->flags |= flags;
    return result;
}

static CK_RV get_mechanism_list(CK_ULONG slot, CK_ULONG *list, CK_ULONG *count) {
    CK_ULONG absent, kept = 0, i;
    CK_RV result = before("C_GetMechanismList");
    if (result != CKR_OK) return result;
    result = ((CK_RV(*)(CK_ULONG, CK_ULONG *, CK_ULONG *))behind->at[AT_GET_MECHANISM_LIST])(
        slot, list, count);
    if (result == CKR_OK && list != NULL && control("without", NULL, &absent)) {
        for (i = 0; i < *count; i++)
            if (list[i] != absent) list[kept++] = list[i];
        *count = kept;
    }
    return result;
}

static CK_RV open_session(CK_ULONG slot, CK_ULONG flags, void *application, void *notify,
                          CK_ULONG *session) {
    CK_RV result = before_in_session("C_OpenSession");
    if (result != CKR_OK) return result;
    return ((CK_RV(*)(CK_ULONG, CK_ULONG, void *, void *, CK_ULONG *))behind->at[AT_OPEN_SESSION])(
        slot, flags, application, notify, session);
}

static CK_RV login(CK_ULONG session, CK_ULONG user, unsigned char *pin, CK_ULONG length) {
    CK_RV result = before_in_session("C_Login");
    if (result != CKR_OK) return result;
    return ((CK_RV(*)(CK_ULONG, CK_ULONG, unsigned char *, CK_ULONG))behind->at[AT_LOGIN])(
        session, user, pin, length);
}

static CK_RV find_objects_init(CK_ULONG session, void *template, CK_ULONG count) {
    CK_RV result = before_in_session("C_FindObjectsInit");
    if (result != CKR_OK) return result;
    return ((CK_RV(*)(CK_ULONG, void *, CK_ULONG))behind->at[AT_FIND_OBJECTS_INIT])(
        session, template, count);
}

static CK_RV sign_init(CK_ULONG session, void *mechanism, CK_ULONG key) {
    CK_RV result = before_in_session("C_SignInit");
    if (result != CKR_OK) return result;
    return ((CK_RV(*)(CK_ULONG, void *, CK_ULONG))behind->at[AT_SIGN_INIT])(
        session, mechanism, key);
}

static CK_RV sign(CK_ULONG session, unsigned char *data, CK_ULONG length, unsigned char *signature,
                  CK_ULONG *signature_length) {
    CK_RV result = before_in_session("C_Sign");
    if (result != CKR_OK) return result;
    return ((CK_RV(*)(CK_ULONG, unsigned char *, CK_ULONG, unsigned char *,
                      CK_ULONG *))behind->at[AT_SIGN])(session, data, length, signature,
                                                       signature_length);
}

static CK_RV generate_random(CK_ULONG session, unsigned char *data, CK_ULONG length) {
    CK_RV result = before_in_session("C_GenerateRandom");
    if (result != CKR_OK) return result;
    return ((CK_RV(*)(CK_ULONG, unsigned char *, CK_ULONG))behind->at[AT_GENERATE_RANDOM])(
        session, data, length);
}

CK_RV C_GetFunctionList(function_list **list) {
    if (behind == NULL) {
        void *module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(function_list **);
        if (module == NULL) return CKR_GENERAL_ERROR;
        get = (CK_RV(*)(function_list **))dlsym(module, "C_GetFunctionList");
        if (get == NULL || get(&behind) != CKR_OK) return CKR_GENERAL_ERROR;
        offered = *behind;
        offered.at[AT_GET_FUNCTION_LIST] = (any_function)C_GetFunctionList;
        offered.at[AT_GET_SLOT_LIST] = (any_function)get_slot_list;
        offered.at[AT_GET_TOKEN_INFO] = (any_function)get_token_info;
        offered.at[AT_GET_MECHANISM_LIST] = (any_function)get_mechanism_list;
        offered.at[AT_OPEN_SESSION] = (any_function)open_session;
        offered.at[AT_LOGIN] = (any_function)login;
        offered.at[AT_FIND_OBJECTS_INIT] = (any_function)find_objects_init;
        offered.at[AT_SIGN_INIT] = (any_function)sign_init;
        offered.at[AT_SIGN] = (any_function)sign;
        offered.at[AT_GENERATE_RANDOM] = (any_function)generate_random;
    }
    *list = &offered;
    return CKR_OK;
}
