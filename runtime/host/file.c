// SPDX-License-Identifier: Apache-2.0
// Reading whole files.
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

// Bytes of a path that a message shows at most: two of them leave room for the rest.
#define PATH_SHOWN_MAX 180u

// Some systems fail a read() of more than 2 GiB, so reads are made in pieces.
#define READ_PIECE_SIZE (UINT64_C(1) << 24)

const char *pto__path_tail(const char *path)
{
    size_t length = strlen(path);
    if (length <= PATH_SHOWN_MAX) {
        return path;
    }
    const char *tail = path + (length - PATH_SHOWN_MAX);
    // Bytes 10xxxxxx continue a UTF-8 character: begin at a whole one.
    while (((unsigned char)*tail & 0xc0u) == 0x80u) {
        tail++;
    }
    return tail;
}

const char *pto__path_dots(const char *path)
{
    return strlen(path) <= PATH_SHOWN_MAX ? "" : "...";
}

// A phrase for an errno of stat or open. strerror() is not safe with threads, and its replacements
// differ between systems.
static const char *describe_errno(int code)
{
    switch (code) {
    case ENOENT: return "does not exist";
    case ENOTDIR: return "does not exist: a folder on its way is a file";
    case EACCES: return "may not be read (permission denied)";
    case EPERM: return "may not be read (not permitted)";
    case ELOOP: return "cannot be reached: too many symbolic links on its way";
    case ENAMETOOLONG: return "cannot be opened: its name is too long";
    case EMFILE: return "cannot be opened: this process has too many open files";
    case ENFILE: return "cannot be opened: the system has too many open files";
    case ENOMEM: return "cannot be opened: the system is out of memory";
    case EIO: return "cannot be read: the storage reports an I/O error";
    case ESTALE: return "cannot be read: its network file system has lost it";
    default: return "cannot be opened";
    }
}

// NULL for a regular file.
static const char *describe_kind(mode_t mode)
{
    if (S_ISREG(mode)) {
        return NULL;
    }
    if (S_ISDIR(mode)) {
        return "is a folder";
    }
    if (S_ISFIFO(mode)) {
        return "is a FIFO (named pipe)";
    }
    if (S_ISSOCK(mode)) {
        return "is a socket";
    }
    if (S_ISCHR(mode) || S_ISBLK(mode)) {
        return "is a device";
    }
    return "is not a regular file";
}

// Opens a regular file for reading. Returns -1 and says what is in the way. The kind is looked at
// before opening, since opening can block on a FIFO and acts on some devices, and once more after
// it, since another process may have put something else there in between.
static int open_regular(const char *path, struct stat *out_stat, enum pto_file_problem *out_problem,
                        const char **out_reason)
{
    *out_problem = PTO_FILE_UNUSABLE;
    if (stat(path, out_stat) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            *out_problem = PTO_FILE_MISSING;
        }
        *out_reason = describe_errno(errno);
        return -1;
    }
    *out_reason = describe_kind(out_stat->st_mode);
    if (*out_reason != NULL) {
        return -1;
    }
    int fd;
    do {
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        *out_reason = describe_errno(errno);
        return -1;
    }
    if (fstat(fd, out_stat) != 0) {
        *out_reason = describe_errno(errno);
        close(fd);
        return -1;
    }
    *out_reason = describe_kind(out_stat->st_mode);
    if (*out_reason != NULL) {
        close(fd);
        return -1;
    }
    *out_problem = PTO_FILE_FINE;
    return fd;
}

enum pto_file_problem pto__file_probe(const char *path, const char **out_reason)
{
    struct stat status;
    enum pto_file_problem problem;
    int fd = open_regular(path, &status, &problem, out_reason);
    if (fd >= 0) {
        close(fd);
        *out_reason = "can be read";
    }
    return problem;
}

// Reads exactly size_bytes. Returns NULL, or what went wrong.
static const char *read_all(int fd, uint8_t *bytes, uint64_t size_bytes)
{
    uint64_t done = 0;
    while (done < size_bytes) {
        uint64_t rest = size_bytes - done;
        size_t piece = (size_t)(rest < READ_PIECE_SIZE ? rest : READ_PIECE_SIZE);
        ssize_t got = read(fd, bytes + done, piece);
        if (got > 0) {
            done += (uint64_t)got;
        } else if (got == 0) {
            return "became shorter while it was read; try again when it is complete";
        } else if (errno != EINTR) {
            return describe_errno(errno);
        }
    }
    return NULL;
}

enum pto_status pto__file_read(const char *path, const char *what, uint8_t **out_bytes,
                               uint64_t *out_size_bytes, struct pto_error *err)
{
    *out_bytes = NULL;
    *out_size_bytes = 0;
    struct stat status;
    enum pto_file_problem problem;
    const char *reason = NULL;
    int fd = open_regular(path, &status, &problem, &reason);
    if (fd < 0) {
        return pto_fail(err, PTO_E_FILE, "%s: '%s%s' %s", what, PTO_PATH(path), reason);
    }
    enum pto_status result = PTO_OK;
    uint64_t size_bytes = (uint64_t)status.st_size;
    uint8_t *bytes = NULL;
    if (size_bytes > PTO_FILE_SIZE_MAX) {
        result = pto_fail(err, PTO_E_FILE,
                          "%s: '%s%s' has %" PRIu64 " bytes, more than the %" PRIu64 " that a "
                          "device program may have; is it the right file?", what, PTO_PATH(path),
                          size_bytes, PTO_FILE_SIZE_MAX);
        goto close_file;
    }
    // One byte more, so that an empty file is no special case for malloc.
    bytes = malloc((size_t)size_bytes + 1);
    if (bytes == NULL) {
        result = pto_fail_no_host_memory(err, "a copy of a device program", size_bytes);
        goto close_file;
    }
    reason = read_all(fd, bytes, size_bytes);
    if (reason != NULL) {
        result = pto_fail(err, PTO_E_FILE, "%s: '%s%s' %s", what, PTO_PATH(path), reason);
        free(bytes);
        goto close_file;
    }
    *out_bytes = bytes;
    *out_size_bytes = size_bytes;
close_file:
    close(fd);
    return result;
}
