// SPDX-License-Identifier: Apache-2.0
// Devices: a process each, a memory file, and calls to the one about the other.
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fake_cann/state.h"

// Out of everybody's way, and far from each other. ThreadSanitizer has its own ideas of what lies
// where, so there the system chooses.
#define MEMORY_BASE UINT64_C(0x200000000000)
#define MEMORY_STEP (UINT64_C(1) << 40)
#define SPAWN_ATTEMPTS 32

#if defined(__SANITIZE_THREAD__)
#define CHOOSE_BASE 0
#else
#define CHOOSE_BASE 1
#endif

extern char **environ;

static struct fake_device devices[FAKE_DEVICE_COUNT];

// Answers that came, by job number; the reader thread of a device fills them in.
struct answer {
    struct fake_device *device;
    uint32_t job;
    uint32_t generation;
    int is_done;
    struct fake_message message;
    struct answer *next;
};
static struct answer *waiting;

struct fake_device *fake_device(int32_t id)
{
    if (id < 0 || id >= FAKE_DEVICE_COUNT) {
        return NULL;
    }
    devices[id].id = id;
    return &devices[id];
}

static uint32_t count_of(const char *variable, uint32_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

uint32_t fake_block_limit(void)
{
    return count_of("FAKE_CANN_CUBES", 24);
}

uint32_t fake_aicpu_count(void)
{
    return count_of("FAKE_CANN_AICPUS", FAKE_AICPU_COUNT);
}

int fake_start_thread(pthread_t *thread, void *(*main_function)(void *), void *argument)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(thread, NULL, main_function, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0;
}

struct reader {
    struct fake_device *device;
    int socket;
    uint32_t generation;
};

static void *reader_main(void *argument)
{
    struct reader reader = *(struct reader *)argument;
    free(argument);
    struct fake_message message;
    while (recv(reader.socket, &message, sizeof(message), 0) == (ssize_t)sizeof(message)) {
        pthread_mutex_lock(&fake_lock);
        for (struct answer *answer = waiting; answer != NULL; answer = answer->next) {
            if (answer->device == reader.device && answer->generation == reader.generation &&
                answer->job == message.job) {
                answer->message = message;
                answer->is_done = 1;
            }
        }
        pthread_cond_broadcast(&fake_changed);
        pthread_mutex_unlock(&fake_lock);
    }
    pthread_mutex_lock(&fake_lock);
    if (reader.device->reader_generation == reader.generation && reader.device->pid != 0) {
        reader.device->is_gone = 1;
        reader.device->dead = 507901;
        pthread_cond_broadcast(&fake_changed);
    }
    pthread_mutex_unlock(&fake_lock);
    close(reader.socket);
    return NULL;
}

static int make_memory(struct fake_device *device, int *out_fd)
{
    int fd = memfd_create("fake_npu", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)FAKE_MEMORY_BYTES) != 0) {
        return 0;
    }
    void *hint =
        CHOOSE_BASE ? (void *)(uintptr_t)(MEMORY_BASE + (uint64_t)device->id * MEMORY_STEP) : NULL;
    void *base = mmap(hint, FAKE_MEMORY_BYTES, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *alias =
        mmap(NULL, FAKE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED || alias == MAP_FAILED) {
        return 0;
    }
    device->base = (uint64_t)(uintptr_t)base;
    device->alias = alias;
    *out_fd = fd;
    return 1;
}

static pid_t spawn(const struct fake_device *device, int memory, int socket)
{
    char base[32];
    char blocks[16];
    snprintf(base, sizeof(base), "%llx", (unsigned long long)device->base);
    snprintf(blocks, sizeof(blocks), "%u", (unsigned)fake_block_limit());
    char *arguments[] = {(char *)"fake_npu", base, blocks, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // Through high numbers first: one of the two may be the other's target.
    posix_spawn_file_actions_adddup2(&actions, memory, 203);
    posix_spawn_file_actions_adddup2(&actions, socket, 204);
    posix_spawn_file_actions_adddup2(&actions, 203, FAKE_MEMORY_FD);
    posix_spawn_file_actions_adddup2(&actions, 204, FAKE_SOCKET_FD);
    posix_spawn_file_actions_addclose(&actions, 203);
    posix_spawn_file_actions_addclose(&actions, 204);
    pid_t pid = 0;
    int code = posix_spawn(&pid, FAKE_NPU_PROGRAM, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? pid : 0;
}

// One attempt to start the device process. 1: it runs; 0: its addresses are taken there.
static int start_once(struct fake_device *device)
{
    int memory;
    int sockets[2];
    if (!make_memory(device, &memory) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        fprintf(stderr, "fake CANN: no device: %s\n", strerror(errno));
        abort();
    }
    device->pid = spawn(device, memory, sockets[1]);
    close(sockets[1]);
    close(memory);
    struct fake_message ready;
    if (device->pid != 0 && recv(sockets[0], &ready, sizeof(ready), 0) == (ssize_t)sizeof(ready)) {
        device->socket = sockets[0];
        return 1;
    }
    close(sockets[0]);
    if (device->pid != 0) {
        waitpid(device->pid, NULL, 0);
    }
    munmap((void *)(uintptr_t)device->base, FAKE_MEMORY_BYTES);
    munmap(device->alias, FAKE_MEMORY_BYTES);
    device->pid = 0;
    return 0;
}

int fake_device_use(struct fake_device *device)
{
    if (device->uses++ == 0) {
        device->generation++;
    }
    fake_stats.device_uses++;
    for (int attempt = 0; device->pid == 0 && attempt < SPAWN_ATTEMPTS; attempt++) {
        if (!start_once(device)) {
            continue;
        }
        struct reader *reader = malloc(sizeof(*reader));
        pthread_t thread;
        if (reader == NULL) {
            abort();
        }
        device->reader_generation = device->generation;
        *reader = (struct reader){device, device->socket, device->generation};
        if (!fake_start_thread(&thread, reader_main, reader)) {
            abort();
        }
        pthread_detach(thread);
    }
    return device->pid != 0 ? 0 : 507033;
}

// What an ordinary reset takes away with the last use. The device process stays, and with it the
// scheduler that it loaded.
void fake_device_reset(struct fake_device *device)
{
    device->uses--;
    fake_stats.device_uses--;
    if (device->uses != 0) {
        return;
    }
    uint32_t alive = fake_streams_end(device) + fake_binaries_end(device);
    alive += device->blocks != NULL;
    if (!device->dead) {
        fake_stats.leaked += alive;
    }
    fake_memory_clear(device);
}

void fake_device_kill(struct fake_device *device)
{
    fake_stats.device_uses -= device->uses;
    device->uses = 0;
    pid_t pid = device->pid;
    device->pid = 0;
    device->dead = 0;
    device->is_gone = 0;
    device->generation++;
    if (pid != 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        shutdown(device->socket, SHUT_RDWR); // the reader closes it
    }
    pthread_cond_broadcast(&fake_changed);
    fake_streams_end(device);
    fake_binaries_end(device);
    fake_memory_clear(device);
    if (pid != 0) {
        munmap((void *)(uintptr_t)device->base, FAKE_MEMORY_BYTES);
        munmap(device->alias, FAKE_MEMORY_BYTES);
    }
}

static int wait_until(const struct timespec *until)
{
    return until == NULL ? pthread_cond_wait(&fake_changed, &fake_lock)
                         : pthread_cond_timedwait(&fake_changed, &fake_lock, until);
}

int fake_device_call(struct fake_device *device, struct fake_message *message, uint64_t limit_ms)
{
    const struct timespec until = fake_until(limit_ms);
    pid_t pid = device->pid;
    message->job = ++device->job_count;
    struct answer answer = {.device = device, .job = message->job, .next = waiting};
    // The reader of this device process was started in the generation of its first use.
    answer.generation = device->reader_generation;
    waiting = &answer;
    int code = 0;
    if (pid == 0 || send(device->socket, message, sizeof(*message), MSG_NOSIGNAL) < 0) {
        code = PTO_CANN_DRIVER_INTERNAL;
    }
    while (code == 0 && !answer.is_done) {
        int waited = wait_until(limit_ms != 0 ? &until : NULL);
        if (device->pid != pid || (device->is_gone && !answer.is_done)) {
            code = PTO_CANN_DRIVER_INTERNAL;
        } else if (waited == ETIMEDOUT && !answer.is_done) {
            code = PTO_CANN_STREAM_SYNC_TIMEOUT;
        }
    }
    struct answer **place = &waiting;
    while (*place != &answer) {
        place = &(*place)->next;
    }
    *place = answer.next;
    *message = answer.message;
    return code != 0 ? code : answer.message.code;
}
