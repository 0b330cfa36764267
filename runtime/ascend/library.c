// SPDX-License-Identifier: Apache-2.0
#include "ascend/service.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define PLACE_COUNT_MAX 6
#define SEARCHED_SIZE 400

#define PTO_CANN_ENTRY(library_, name_, need_, since_, parameters_) \
    {.name = #name_,                                                \
     .since = since_,                                               \
     .library = PTO_CANN_##library_,                                \
     .need = PTO_CANN_##need_,                                      \
     .offset = offsetof(struct pto_cann, name_)},
const struct pto_cann_symbol pto__cann_symbols[] = {PTO_CANN_SYMBOLS(PTO_CANN_ENTRY)
                                                        PTO_CANN_TEXT_SYMBOLS(PTO_CANN_ENTRY)};
#undef PTO_CANN_ENTRY
const size_t pto__cann_symbol_count = sizeof(pto__cann_symbols) / sizeof(pto__cann_symbols[0]);

// State of the process: these libraries can be neither loaded twice nor unloaded.
static pthread_mutex_t load_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pto_cann loaded;
static int is_loaded;
static _Atomic pid_t loaded_by; // the process that did, 0: none yet

// A library: where it may be, tried in order. A place with "%s" is inside ASCEND_HOME_PATH; one
// without a slash is looked up by the system's loader.
struct search {
    const char *name;
    const char *places[PLACE_COUNT_MAX + 1];
};

static const struct search driver_search = {
    .name = "libascend_hal.so",
    .places = {"libascend_hal.so", "%s/../driver/lib64/driver/libascend_hal.so",
               "%s/../../driver/lib64/driver/libascend_hal.so",
               "/usr/local/Ascend/driver/lib64/driver/libascend_hal.so",
               "/usr/local/Ascend/driver/lib64/libascend_hal.so", NULL},
};
static const struct search acl_search = {
    .name = "libascendcl.so",
    .places = {"%s/lib64/libascendcl.so", "%s/lib64/libacl_rt.so", "libascendcl.so", "libacl_rt.so",
               NULL},
};
static const struct search runtime_search = {
    .name = "libruntime.so",
    .places = {"%s/lib64/libruntime.so", "libruntime.so", NULL},
};

// What a search found out: the library, or why each place had none.
struct found {
    void *handle;
    char path[512];
    char searched[SEARCHED_SIZE];
    char reason[256]; // of the first place that had a file which would not load, else empty
};

// Puts as much of `piece` behind `text` as there is room for.
static void append(char *text, size_t size, const char *piece)
{
    size_t used = strlen(text);
    for (size_t i = 0; piece[i] != '\0' && used + 1 < size; i++, used++) {
        text[used] = piece[i];
    }
    text[used] = '\0';
}

// Runs what the library has to run at loading, which may not come back.
static void *open_library(const char *path)
{
    if (!pto__call_begin("loading", 0)) {
        return NULL;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    (void)pto__call_end(0);
    return handle;
}

static void search_library(const struct search *search, const char *home, struct found *found)
{
    *found = (struct found){0};
    for (size_t i = 0; search->places[i] != NULL && found->handle == NULL; i++) {
        const char *place = search->places[i];
        const char *rest = strncmp(place, "%s", 2) == 0 ? place + 2 : NULL;
        if (rest != NULL && home == NULL) {
            continue;
        }
        snprintf(found->path, sizeof(found->path), "%s%s", rest != NULL ? home : "",
                 rest != NULL ? rest : place);
        // Global, because CANN's libraries look for each other's symbols there.
        found->handle = open_library(found->path);
        if (found->handle != NULL) {
            return;
        }
        const char *reason = dlerror();
        append(found->searched, sizeof(found->searched), found->searched[0] != '\0' ? ", " : "");
        append(found->searched, sizeof(found->searched), found->path);
        // A file that is there and does not load tells more than one that is not there.
        if (reason != NULL && found->reason[0] == '\0' &&
            (strncmp(reason, found->path, strlen(found->path)) != 0 ||
             strstr(reason, "No such file") == NULL)) {
            snprintf(found->reason, sizeof(found->reason), "%s", reason);
        }
    }
    found->path[0] = '\0';
}

int pto__cann_has(const struct pto_cann *cann, const struct pto_cann_symbol *symbol)
{
    void *function;
    memcpy(&function, (const char *)cann + symbol->offset, sizeof(function));
    return function != NULL;
}

static enum pto_status resolve(struct pto_cann *cann, void *acl, void *runtime,
                               struct pto_error *err)
{
    for (size_t i = 0; i < pto__cann_symbol_count; i++) {
        const struct pto_cann_symbol *symbol = &pto__cann_symbols[i];
        void *library = symbol->library == PTO_CANN_ACL ? acl : runtime;
        void *function = library != NULL ? dlsym(library, symbol->name) : NULL;
        if (function == NULL && symbol->need == PTO_CANN_REQUIRED) {
            return pto_fail(err, PTO_E_BACKEND,
                            "init: %s has no function %s, which CANN has had since %s; install "
                            "CANN 8.1 or later (a driver of its release beside it), and point "
                            "ASCEND_HOME_PATH at it",
                            cann->acl_path, symbol->name, symbol->since);
        }
        memcpy((char *)cann + symbol->offset, &function, sizeof(function));
    }
    return PTO_OK;
}

static enum pto_status load_libraries(struct pto_cann *cann, struct pto_error *err)
{
    const char *home = getenv("ASCEND_HOME_PATH");
    if (home != NULL && *home == '\0') {
        home = NULL;
    }
    struct found driver;
    struct found acl;
    struct found runtime;
    search_library(&driver_search, home, &driver);
    if (driver.handle == NULL) {
        return pto_fail(err, PTO_E_BACKEND,
                        "init: the Ascend driver is not installed: its %s is in none of: %s.%s%s%s "
                        "Install the driver and firmware packages of this NPU (the toolkit does "
                        "not bring them), or choose backend 'sim'",
                        driver_search.name, driver.searched, driver.reason[0] != '\0' ? " " : "",
                        driver.reason, driver.reason[0] != '\0' ? "." : "");
    }
    search_library(&acl_search, home, &acl);
    if (acl.handle == NULL) {
        dlclose(driver.handle);
        return pto_fail(err, PTO_E_BACKEND,
                        "init: CANN's %s cannot be loaded; tried %s.%s%s%s %s, or choose backend "
                        "'sim'",
                        acl_search.name, acl.searched, acl.reason[0] != '\0' ? " " : "", acl.reason,
                        acl.reason[0] != '\0' ? "." : "",
                        home == NULL ? "Set ASCEND_HOME_PATH to the CANN toolkit's folder"
                                     : "Check that ASCEND_HOME_PATH is the CANN toolkit's folder, "
                                       "and run its set_env.sh");
    }
    search_library(&runtime_search, home, &runtime);
    snprintf(cann->driver_path, sizeof(cann->driver_path), "%s", driver.path);
    snprintf(cann->acl_path, sizeof(cann->acl_path), "%s", acl.path);
    snprintf(cann->runtime_path, sizeof(cann->runtime_path), "%s", runtime.path);
    enum pto_status status = resolve(cann, acl.handle, runtime.handle, err);
    if (status != PTO_OK) {
        // Nothing of them has run yet but what runs at loading.
        if (runtime.handle != NULL) {
            dlclose(runtime.handle);
        }
        dlclose(acl.handle);
        dlclose(driver.handle);
    }
    return status;
}

enum pto_status pto__cann_load(const struct pto_cann **out_cann, struct pto_error *err)
{
    *out_cann = NULL;
    pid_t owner = loaded_by;
    if (owner != 0 && owner != getpid()) {
        return pto_fail(err, PTO_E_FORKED,
                        "init: process %ld started CANN before it forked this one, and CANN's "
                        "connection to the device does not pass to a child; start the child by "
                        "spawn, or fork before the first init()",
                        (long)owner);
    }
    // It is held for long only by a start of CANN that hangs.
    if (!pto__call_begin("aclInit, in another thread,", 0)) {
        return pto_fail(err, PTO_E_TIMEOUT, "init: abandoned");
    }
    pthread_mutex_lock(&load_mutex);
    (void)pto__call_end(0);
    enum pto_status status = PTO_OK;
    if (!is_loaded) {
        struct pto_cann cann = {0};
        status = load_libraries(&cann, err);
        if (status == PTO_OK) {
            // Never undone: other users of CANN in this process may rely on it, and not every
            // version can be initialised again.
            int code = PTO_CALL(&cann, aclInit, NULL);
            if (code != PTO_CANN_OK && code != PTO_CANN_REPEAT_INITIALIZE) {
                status = pto__cann_fail(&cann, err, code, "aclInit", "init: starting CANN");
            }
        }
        if (status == PTO_OK) {
            loaded = cann;
            loaded_by = getpid();
            is_loaded = 1;
        }
    }
    if (status == PTO_OK) {
        *out_cann = &loaded;
    }
    pthread_mutex_unlock(&load_mutex);
    return status;
}
