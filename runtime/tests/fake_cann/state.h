// SPDX-License-Identifier: Apache-2.0
// The stand-in's insides, in the process of the program under test. One lock for everything, one
// condition for every change.
#ifndef PTO_TESTS_FAKE_STATE_H
#define PTO_TESTS_FAKE_STATE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "ascend/cann.h"
#include "tests/fake_cann/fake_cann.h"
#include "tests/fake_cann/wire.h"

// The libraries of a variant share these.
#pragma GCC visibility push(default)

#define FAKE_API __attribute__((visibility("default")))
#define FAKE_DEVICE_COUNT 16
#define FAKE_CAPACITY_BYTES (UINT64_C(61) << 30)

enum {
    FAKE_INVALID_PARAM = 107000,
    FAKE_INVALID_DEVICE = 107001,
    FAKE_STREAM_CONTEXT = 107003,
    FAKE_INVALID_HANDLE = 107017,
};

struct fake_block {
    uint64_t address;
    uint64_t size_bytes;
    struct fake_block *next; // ascending
};

struct fake_device {
    int32_t id;
    uint32_t uses;       // aclrtSetDevice without reset; the context lives while it is not 0
    uint32_t generation; // of the context: the address of this struct alone would outlive it
    int dead;            // the code that every launch returns, 0: alive
    // The device process, started with the first use, ended by a forced reset.
    pid_t pid;
    int socket;
    int is_gone; // it ended by itself
    uint32_t reader_generation;
    uint32_t job_count;
    uint64_t base;
    uint8_t *alias; // device memory as this process can reach it
    struct fake_block *blocks;
    uint64_t block_bytes;
};

enum fake_function_kind { FAKE_FUNCTION_AICORE, FAKE_FUNCTION_INIT, FAKE_FUNCTION_RUN };

struct fake_binary;
struct fake_function {
    struct fake_binary *binary;
    enum fake_function_kind kind;
    char name[64];
};

struct fake_binary {
    struct fake_device *device;
    uint64_t handle; // AICore: the device process's
    int is_aicore;
    struct fake_function functions[2];
    struct fake_binary *next;
};

struct fake_job {
    int is_launch;
    // Copy.
    void *to;
    const void *from;
    uint64_t size_bytes;
    int32_t kind;
    // Launch.
    struct fake_message message;
    uint64_t limit_ms; // 0: none
    int is_aicpu;
    int hangs;
    struct fake_job *next;
};

struct fake_stream {
    struct fake_device *device;
    pthread_t thread;
    struct fake_job *jobs; // the first one is being done
    int error;             // of a job, shown by the next synchronisation
    int closing;
    struct fake_stream *next;
};

extern pthread_mutex_t fake_lock;
extern pthread_cond_t fake_changed;

// state.c. Every function of CANN's begins with it: counts the call, and returns the code to fail
// with, if it is this one's turn. Takes the lock; fake_leave gives it back and returns `code`.
int fake_enter(const char *name);
int fake_leave(int code);
// As fake_enter, and needs a context: *out_device is the current thread's.
int fake_enter_device(const char *name, struct fake_device **out_device);
// When so much of the stand-in's time will have passed, on CLOCK_REALTIME. FAKE_CANN_CLOCK sets how
// fast that goes beside real time: with 100, CANN's limit of 60 s ends a launch after 0.6 s.
struct timespec fake_until(uint64_t duration_ms);
// The text of aclGetRecentErrMsg.
void fake_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern struct fake_cann_stats fake_stats;
extern int fake_dead_reads;
extern int fake_limits_dropped;
// variant.c. 1: the device runs no AICPU program that CANN's loader brought.
extern const int fake_aicpu_is_broken;
// The n-th job: 1 when it is to hang.
int fake_count_job(void);
void *fake_current(void);
void fake_set_current(void *context);
const char *fake_recent(void);

// device.c
struct fake_device *fake_device(int32_t id); // NULL: none
int fake_device_use(struct fake_device *device);
void fake_device_reset(struct fake_device *device);
void fake_device_kill(struct fake_device *device);
// Sends a command and waits, without the lock, for its answer, or until the device is gone. Returns
// the answer's code, or PTO_CANN_STREAM_SYNC_TIMEOUT. limit_ms 0: waits for ever.
int fake_device_call(struct fake_device *device, struct fake_message *message, uint64_t limit_ms);
uint32_t fake_block_limit(void);
uint32_t fake_aicpu_count(void); // as CANN tells it; there are FAKE_AICPU_COUNT
// A thread that takes none of the program's signals. 0: there is none.
int fake_start_thread(pthread_t *thread, void *(*main_function)(void *), void *argument);

// memory.c. Locked.
int fake_memory_allocate(struct fake_device *device, uint64_t size_bytes, uint64_t *out_address);
int fake_memory_free(struct fake_device *device, uint64_t address);
void fake_memory_clear(struct fake_device *device);
// Where this process reaches [address, address + size_bytes) of one block; NULL: it does not lie in
// one.
uint8_t *fake_memory_at(struct fake_device *device, uint64_t address, uint64_t size_bytes);

// stream.c. Locked.
int fake_stream_create(struct fake_device *device, struct fake_stream **out_stream);
int fake_stream_destroy(struct fake_stream *stream);
int fake_stream_is_known(const struct fake_stream *stream);
int fake_stream_push(struct fake_stream *stream, const struct fake_job *job);
int fake_stream_wait(struct fake_stream *stream, int32_t timeout_ms);
// Ends every stream of a device; returns how many there were.
uint32_t fake_streams_end(struct fake_device *device);

// binary.c. Locked.
int fake_binary_load_aicore(struct fake_device *device, const void *bytes, uint64_t size_bytes,
                            uint32_t magic, struct fake_binary **out_binary);
int fake_binary_load_json(struct fake_device *device, const char *path,
                          struct fake_binary **out_binary);
int fake_binary_is_known(const struct fake_binary *binary);
int fake_binary_unload(struct fake_binary *binary);
uint32_t fake_binaries_end(struct fake_device *device);
int fake_launch_aicore(struct fake_binary *binary, uint32_t blocks, struct fake_stream *stream,
                       const void *args, uint64_t args_size, int is_batch);
int fake_launch_aicpu(struct fake_device *device, enum fake_function_kind kind, uint32_t blocks,
                      struct fake_stream *stream, const void *args, uint64_t args_size,
                      int has_limit, uint64_t limit_s);

// json.c. The functions that a description names; returns how many, 0: malformed.
uint32_t fake_json_functions(const char *text, struct fake_function functions[2]);

#pragma GCC visibility pop

#endif // PTO_TESTS_FAKE_STATE_H
