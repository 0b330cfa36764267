// SPDX-License-Identifier: Apache-2.0
// Finding device program files, and checking that they are what a backend can load.
#include "host/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "host/elf.h"
#include "host/file.h"

// Longest working folder that is asked for; POSIX has no bound of its own.
#define FOLDER_SIZE_MAX (1u << 20)

// Names of missing symbols that a message has room for.
#define MISSING_TEXT_SIZE 256u

#define MACHINE_ANY 0u
#define MACHINE_X86_64 62u
#define MACHINE_AARCH64 183u

// The ELF machine this library was compiled for; on one that is not in the list any is accepted,
// and the system's loader decides.
#if defined(__x86_64__)
#define MACHINE_NATIVE MACHINE_X86_64
#elif defined(__aarch64__)
#define MACHINE_NATIVE MACHINE_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define MACHINE_NATIVE 243u
#elif defined(__powerpc64__)
#define MACHINE_NATIVE 21u
#elif defined(__loongarch64)
#define MACHINE_NATIVE 258u
#else
#define MACHINE_NATIVE MACHINE_ANY
#endif

// Processors that run operating systems, or are known not to be an AICore.
static const struct {
    uint16_t machine;
    const char *name;
} known_machines[] = {
    {2, "SPARC"},          {3, "x86 (32-bit)"}, {4, "Motorola 68000"}, {8, "MIPS"},
    {20, "PowerPC"},       {21, "PowerPC64"},   {22, "IBM Z (s390)"},  {40, "ARM (32-bit)"},
    {42, "SuperH"},        {43, "SPARC V9"},    {50, "Itanium"},       {62, "x86-64"},
    {183, "aarch64"},      {190, "NVIDIA CUDA"}, {224, "AMD GPU"},     {243, "RISC-V"},
    {247, "Linux BPF"},    {252, "C-SKY"},      {258, "LoongArch"},
};

// NULL for a machine that is not in the table.
static const char *machine_name(uint32_t machine)
{
    for (size_t i = 0; i < sizeof(known_machines) / sizeof(known_machines[0]); i++) {
        if (known_machines[i].machine == machine) {
            return known_machines[i].name;
        }
    }
    return NULL;
}

int pto__machine_is_host(uint32_t machine)
{
    return machine_name(machine) != NULL;
}

// Joins folder and path into one that the caller frees. NULL: no memory.
static char *join(const char *folder, const char *path)
{
    // "./x" is the usual way to write a relative path, and only clutters an absolute one.
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
        while (path[0] == '/') {
            path++;
        }
    }
    size_t folder_length = strlen(folder);
    size_t path_size = strlen(path) + 1;
    char *joined = malloc(folder_length + 1 + path_size);
    if (joined == NULL) {
        return NULL;
    }
    memcpy(joined, folder, folder_length);
    size_t at = folder_length;
    if (at > 0 && joined[at - 1] != '/') {
        joined[at] = '/';
        at++;
    }
    memcpy(joined + at, path, path_size);
    return joined;
}

static enum pto_status working_folder(char **out_folder, const char *what, struct pto_error *err)
{
    for (size_t size = 256; size <= FOLDER_SIZE_MAX; size *= 2) {
        char *folder = malloc(size);
        if (folder == NULL) {
            return pto_fail_no_host_memory(err, "the name of the working folder", size);
        }
        if (getcwd(folder, size) != NULL) {
            *out_folder = folder;
            return PTO_OK;
        }
        int code = errno;
        free(folder);
        if (code != ERANGE) {
            return pto_fail(err, PTO_E_FILE,
                            "%s: the working folder, which a relative path starts from, %s; give "
                            "an absolute path", what,
                            code == ENOENT ? "no longer exists" : "cannot be determined");
        }
    }
    return pto_fail(err, PTO_E_FILE,
                    "%s: the name of the working folder is longer than %u bytes; give an absolute "
                    "path", what, FOLDER_SIZE_MAX);
}

// Fills in up to two absolute places where the file may be; the caller frees them, also after a
// failure.
static enum pto_status list_places(const char *path, const char *search_dir, const char *what,
                                   char *out_places[2], struct pto_error *err)
{
    char *folder = NULL;
    char *absolute_dir = NULL;
    enum pto_status status = PTO_OK;
    if (path[0] == '/') {
        out_places[0] = join("", path);
        return out_places[0] != NULL ? PTO_OK
                                     : pto_fail_no_host_memory(err, "a path", strlen(path) + 1);
    }
    int has_dir = search_dir != NULL && search_dir[0] != '\0';
    status = working_folder(&folder, what, err);
    if (status != PTO_OK) {
        return status;
    }
    out_places[0] = join(folder, path);
    if (has_dir) {
        absolute_dir = search_dir[0] == '/' ? join("", search_dir) : join(folder, search_dir);
        out_places[1] = absolute_dir == NULL ? NULL : join(absolute_dir, path);
    }
    if (out_places[0] == NULL || (has_dir && out_places[1] == NULL)) {
        status = pto_fail_no_host_memory(err, "a path", strlen(folder) + strlen(path) + 2);
    } else if (has_dir && strcmp(out_places[0], out_places[1]) == 0) {
        free(out_places[1]); // the working folder is search_dir: one place, not two
        out_places[1] = NULL;
    }
    free(absolute_dir);
    free(folder);
    return status;
}

// The places of `path` in the folder `apart` of each base; none for an absolute path.
static enum pto_status list_places_apart(const char *path, const char *apart,
                                         const char *search_dir, const char *what,
                                         char *out_places[2], struct pto_error *err)
{
    if (apart == NULL || path[0] == '/') {
        return PTO_OK;
    }
    char *longer = join(apart, path);
    if (longer == NULL) {
        return pto_fail_no_host_memory(err, "a path", strlen(path) + 1);
    }
    enum pto_status status = list_places(longer, search_dir, what, out_places, err);
    free(longer);
    return status;
}

enum pto_status pto__program_find(const char *path, const char *search_dir, const char *apart,
                                  const char *what, char **out_path, struct pto_error *err)
{
    *out_path = NULL;
    if (path == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "%s is NULL; give the path of the file", what);
    }
    if (path[0] == '\0') {
        return pto_fail(err, PTO_E_FILE, "%s is empty; give the path of the file", what);
    }
    char *places[2] = {NULL, NULL};
    char *places_apart[2] = {NULL, NULL};
    const char *reasons[2] = {NULL, NULL};
    enum pto_status status = list_places(path, search_dir, what, places, err);
    if (status == PTO_OK) {
        status = list_places_apart(path, apart, search_dir, what, places_apart, err);
    }
    if (status != PTO_OK) {
        goto free_places;
    }
    // The search goes on past a place with nothing there. Anything else there was meant, so it is
    // an error rather than a reason to take some other file.
    enum pto_file_problem problem = PTO_FILE_MISSING;
    uint32_t tried = 0;
    while (tried < 2 && places[tried] != NULL && problem == PTO_FILE_MISSING) {
        char **place = &places_apart[tried];
        problem = *place != NULL ? pto__file_probe(*place, &reasons[tried]) : PTO_FILE_MISSING;
        if (problem != PTO_FILE_FINE) {
            place = &places[tried];
            problem = pto__file_probe(*place, &reasons[tried]);
        }
        if (problem == PTO_FILE_FINE) {
            *out_path = *place;
            *place = NULL;
            goto free_places;
        }
        tried++;
    }
    const char *advice = problem == PTO_FILE_MISSING
                             ? "build it, or give the path of the built file"
                             : "give the path of a file that may be read";
    if (tried == 1) {
        status = pto_fail(err, PTO_E_FILE, "%s: '%s%s' %s; %s", what, PTO_PATH(places[0]),
                          reasons[0], advice);
    } else {
        status = pto_fail(err, PTO_E_FILE, "%s: '%s%s' %s, and '%s%s' %s; %s", what,
                          PTO_PATH(places[0]), reasons[0], PTO_PATH(places[1]), reasons[1],
                          advice);
    }
free_places:
    for (uint32_t i = 0; i < 2; i++) {
        free(places[i]);
        free(places_apart[i]);
    }
    return status;
}

char *pto__program_sibling(const char *path, const char *infix)
{
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name != NULL ? name : path, '.');
    size_t stem = dot != NULL ? (size_t)(dot - path) : strlen(path);
    size_t infix_length = strlen(infix);
    size_t rest = strlen(path + stem) + 1;
    char *text = malloc(stem + infix_length + rest);
    if (text != NULL) {
        memcpy(text, path, stem);
        memcpy(text + stem, infix, infix_length);
        memcpy(text + stem + infix_length, path + stem, rest);
    }
    return text;
}

static enum pto_status fail_machine(const struct pto_elf *elf, const char *wanted,
                                    struct pto_error *err)
{
    const char *name = machine_name(elf->machine);
    if (name == NULL) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' is for a machine that is not known here (ELF number %u), %s; "
                        "build it for that", elf->what, PTO_PATH(elf->path),
                        (unsigned)elf->machine, wanted);
    }
    return pto_fail(err, PTO_E_PROGRAM, "%s: '%s%s' is for %s, %s; build it for that", elf->what,
                    PTO_PATH(elf->path), name, wanted);
}

static enum pto_status check_machine(const struct pto_elf *elf, enum pto_machine machine,
                                     struct pto_error *err)
{
    if (machine == PTO_MACHINE_ASCEND_AICORE) {
        // The number of the AICore is not documented, and has changed between toolkits; what can
        // be told is that a program for some other known processor is the wrong one.
        return machine_name(elf->machine) == NULL
                   ? PTO_OK
                   : fail_machine(elf, "an Ascend AICore program is needed", err);
    }
    if (machine == PTO_MACHINE_AARCH64) {
        return elf->machine == MACHINE_AARCH64
                   ? PTO_OK
                   : fail_machine(elf, "the NPU's control processors are aarch64", err);
    }
    if (MACHINE_NATIVE == MACHINE_ANY || elf->machine == MACHINE_NATIVE) {
        return PTO_OK;
    }
    if (machine_name(elf->machine) == NULL) {
        return fail_machine(elf, "such as an NPU's cores, and the simulator needs programs for "
                                 "this machine", err);
    }
    return MACHINE_NATIVE == MACHINE_X86_64    ? fail_machine(elf, "this machine is x86-64", err)
           : MACHINE_NATIVE == MACHINE_AARCH64 ? fail_machine(elf, "this machine is aarch64", err)
                                               : fail_machine(elf, "this machine is another", err);
}

static enum pto_status check_type(const struct pto_elf *elf, enum pto_machine machine,
                                  struct pto_error *err)
{
    if (elf->type == PTO_ELF_TYPE_SHARED ||
        (elf->type == PTO_ELF_TYPE_EXECUTABLE && machine == PTO_MACHINE_ASCEND_AICORE)) {
        return PTO_OK;
    }
    const char *seen = elf->type == PTO_ELF_TYPE_RELOCATABLE  ? "an object file before linking"
                       : elf->type == PTO_ELF_TYPE_EXECUTABLE ? "an executable"
                       : elf->type == PTO_ELF_TYPE_CORE       ? "a core dump"
                                                              : "of an unknown ELF type";
    return pto_fail(err, PTO_E_PROGRAM, "%s: '%s%s' is %s; a %s is needed: build it with this "
                    "project's CMake functions", elf->what, PTO_PATH(elf->path), seen,
                    machine == PTO_MACHINE_ASCEND_AICORE ? "linked AICore program"
                                                         : "shared object");
}

// Puts ", name" behind `text` when there is room for it, and for "and more" after it.
static void append_name(char *text, size_t text_size, const char *name)
{
    static const char more[] = ", and more";
    size_t used = strlen(text);
    size_t needed = strlen(name) + 4;
    if (used + needed + sizeof(more) <= text_size) {
        const char *parts[] = {used > 0 ? ", '" : "'", name, "'"};
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
            size_t length = strlen(parts[i]);
            memcpy(text + used, parts[i], length + 1);
            used += length;
        }
    } else if (used < sizeof(more) || strcmp(text + used + 1 - sizeof(more), more) != 0) {
        memcpy(text + used, more, sizeof(more));
    }
}

static enum pto_status check_symbols(const struct pto_elf *elf, enum pto_machine machine,
                                     const char *const *symbols, struct pto_error *err)
{
    uint32_t table_type = machine == PTO_MACHINE_ASCEND_AICORE ? PTO_ELF_SECTION_SYMTAB
                                                               : PTO_ELF_SECTION_DYNSYM;
    char missing[MISSING_TEXT_SIZE] = "";
    for (size_t i = 0; symbols != NULL && symbols[i] != NULL; i++) {
        int found = 0;
        enum pto_status status = pto__elf_find_symbol(elf, table_type, symbols[i], &found, err);
        if (status != PTO_OK) {
            return status;
        }
        if (!found) {
            append_name(missing, sizeof(missing), symbols[i]);
        }
    }
    if (missing[0] != '\0') {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' does not export %s, so it is not the program that belongs "
                        "here; give the path of the one that the build made for this backend",
                        elf->what, PTO_PATH(elf->path), missing);
    }
    return PTO_OK;
}

enum pto_status pto__program_check(const char *path, enum pto_machine machine,
                                   const char *const *symbols, const char *what,
                                   struct pto_error *err)
{
    uint8_t *bytes = NULL;
    uint64_t size_bytes = 0;
    enum pto_status status = pto__file_read(path, what, &bytes, &size_bytes, err);
    if (status != PTO_OK) {
        return status;
    }
    struct pto_elf elf;
    status = pto__elf_read_header(&elf, bytes, size_bytes, path, what, err);
    if (status != PTO_OK) {
        goto free_bytes;
    }
    status = check_machine(&elf, machine, err);
    if (status != PTO_OK) {
        goto free_bytes;
    }
    status = check_type(&elf, machine, err);
    if (status != PTO_OK) {
        goto free_bytes;
    }
    status = pto__elf_read_tables(&elf, err);
    if (status != PTO_OK) {
        goto free_bytes;
    }
    if (!pto__elf_has_segment(&elf, PTO_ELF_SEGMENT_LOAD) ||
        (machine != PTO_MACHINE_ASCEND_AICORE &&
         !pto__elf_has_segment(&elf, PTO_ELF_SEGMENT_DYNAMIC))) {
        status = pto_fail(err, PTO_E_PROGRAM,
                          "%s: '%s%s' has nothing to load (no program header says so); build it "
                          "with this project's CMake functions", what, PTO_PATH(path));
        goto free_bytes;
    }
    status = check_symbols(&elf, machine, symbols, err);
free_bytes:
    free(bytes);
    return status;
}
