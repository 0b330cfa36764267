// SPDX-License-Identifier: Apache-2.0
// The stand-in's device: a process that holds device memory at device addresses and runs the real
// scheduler and worker there, each AICPU thread and each core on a thread of its own, through the
// entry points that CANN calls.
//
// A fault on a core ends that core's thread and is reported as the device's exception; a core that
// hangs stays until the process is killed, which is what a forced reset does.
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ascend/cann.h"
#include "tests/fake_cann/wire.h"

#define SIGNAL_STACK_BYTES (128 * 1024)

typedef void core_entry(void *args);
typedef int aicpu_entry(void *args);

struct aicore_program {
    void *library;
    core_entry *cube;
    core_entry *vector;
};

// One launch: `count` threads, of which cubes come first.
struct crew {
    uint32_t job;
    uint32_t blocks; // AICore
    uint32_t count;
    uint32_t left; // threads that have not ended
    int replied;
    int code;
    const struct aicore_program *aicore; // NULL: AICPU
    aicpu_entry *aicpu;
    void *parameter;
    uint8_t args[FAKE_ARGS_MAX];
};

struct member {
    struct crew *crew;
    uint32_t index;
};

static uint64_t memory_base;
static uint32_t free_blocks;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t blocks_freed = PTHREAD_COND_INITIALIZER;

// CANN's AICPU program loads the first scheduler it is given, and keeps it.
static aicpu_entry *server_init;
static aicpu_entry *server_run;

static _Thread_local sigjmp_buf *escape;

#if defined(__SANITIZE_THREAD__)
// A report ends the device, which the program under test cannot overlook.
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "halt_on_error=1";
}
#endif

static void on_fault(int number)
{
    if (escape == NULL) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    siglongjmp(*escape, 1);
}

static void reply(uint32_t job, int32_t code, uint64_t handle)
{
    struct fake_message message = {.job = job, .code = code, .handle = handle};
    if (send(FAKE_SOCKET_FD, &message, sizeof(message), MSG_NOSIGNAL) < 0) {
        _exit(0); // the program under test is gone
    }
}

// Tells a program that asks by intrinsics which core this thread is; see tests/aicore/cce.h.
static void set_core(const struct crew *crew, uint32_t index)
{
    int64_t *core = dlsym(crew->aicore->library, "cce_core");
    if (core == NULL) {
        return; // it takes tickets
    }
    uint32_t vector = index - crew->blocks;
    int is_cube = index < crew->blocks;
    core[0] = is_cube ? index : vector / 2;
    core[1] = is_cube ? 0 : vector % 2;
    core[2] = crew->blocks;
    core[3] = index;
}

static int run_member(struct crew *crew, uint32_t index)
{
    if (crew->aicore == NULL) {
        return crew->aicpu(crew->args) == 0 ? 0 : PTO_CANN_AICPU_EXCEPTION;
    }
    set_core(crew, index);
    (index < crew->blocks ? crew->aicore->cube : crew->aicore->vector)(crew->parameter);
    return 0;
}

// Locked. The answer goes out when all have ended, or one has failed.
static void finish_member(struct crew *crew, int code)
{
    crew->left--;
    crew->code = crew->code != 0 ? crew->code : code;
    if (!crew->replied && (crew->left == 0 || crew->code != 0)) {
        crew->replied = 1;
        if (crew->left == 0 && crew->aicore != NULL) {
            // Before the answer, so that the next launch finds the cores.
            free_blocks += crew->blocks;
            crew->blocks = 0;
            pthread_cond_broadcast(&blocks_freed);
        }
        reply(crew->job, crew->code, 0);
    }
    if (crew->left == 0) {
        free_blocks += crew->blocks;
        pthread_cond_broadcast(&blocks_freed);
        free(crew);
    }
}

static void *member_main(void *argument)
{
    struct member member = *(struct member *)argument;
    free(argument);
    sigjmp_buf jump;
    int code;
    stack_t stack = {.ss_sp = malloc(SIGNAL_STACK_BYTES), .ss_size = SIGNAL_STACK_BYTES};
    if (stack.ss_sp == NULL || sigaltstack(&stack, NULL) != 0) {
        _exit(1);
    }
    if (sigsetjmp(jump, 1) == 0) {
        escape = &jump;
        code = run_member(member.crew, member.index);
    } else {
        code = member.crew->aicore != NULL ? PTO_CANN_AICORE_EXCEPTION : PTO_CANN_AICPU_EXCEPTION;
    }
    escape = NULL;
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    free(stack.ss_sp);
    pthread_mutex_lock(&mutex);
    finish_member(member.crew, code);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void start_thread(void *(*main_function)(void *), void *argument)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    if (pthread_create(&thread, &attributes, main_function, argument) != 0) {
        fprintf(stderr, "fake NPU: no thread\n");
        _exit(1);
    }
    pthread_attr_destroy(&attributes);
}

// Starts a crew once its cores are free: all at once, as the BATCH mode does.
static void *crew_main(void *argument)
{
    struct crew *crew = argument;
    if (crew->aicore != NULL) {
        pthread_mutex_lock(&mutex);
        while (free_blocks < crew->blocks) {
            pthread_cond_wait(&blocks_freed, &mutex);
        }
        free_blocks -= crew->blocks;
        pthread_mutex_unlock(&mutex);
    }
    uint32_t count = crew->count; // the last member frees the crew
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = malloc(sizeof(*member));
        if (member == NULL) {
            _exit(1);
        }
        *member = (struct member){.crew = crew, .index = i};
        start_thread(member_main, member);
    }
    return NULL;
}

static struct crew *make_crew(const struct fake_message *message, uint32_t count)
{
    struct crew *crew = calloc(1, sizeof(*crew));
    if (crew == NULL) {
        _exit(1);
    }
    crew->job = message->job;
    crew->count = count;
    crew->left = count;
    memcpy(crew->args, message->args, sizeof(crew->args));
    return crew;
}

// POSIX's way around ISO C, which knows no conversion between the two kinds of pointer.
static core_entry *find_core_entry(void *library, const char *name)
{
    core_entry *entry;
    *(void **)&entry = dlsym(library, name);
    return entry;
}

static aicpu_entry *find_aicpu_entry(void *library, const char *name)
{
    aicpu_entry *entry;
    *(void **)&entry = dlsym(library, name);
    return entry;
}

static void load_aicore(const struct fake_message *message)
{
    struct aicore_program *program = calloc(1, sizeof(*program));
    if (program == NULL) {
        _exit(1);
    }
    program->library = dlopen(message->path, RTLD_NOW | RTLD_LOCAL);
    if (program->library != NULL) {
        program->cube = find_core_entry(program->library, "aicore_kernel_0_mix_aic");
        program->vector = find_core_entry(program->library, "aicore_kernel_0_mix_aiv");
    } else {
        fprintf(stderr, "fake NPU: %s\n", dlerror());
    }
    if (program->cube == NULL || program->vector == NULL) {
        free(program);
        reply(message->job, 107000, 0);
        return;
    }
    reply(message->job, 0, (uint64_t)(uintptr_t)program);
}

static void run_aicore(const struct fake_message *message)
{
    struct crew *crew = make_crew(message, 3 * message->blocks);
    uint64_t parameter;
    memcpy(&parameter, message->args, sizeof(parameter));
    crew->aicore = (const struct aicore_program *)(uintptr_t)message->handle;
    crew->blocks = message->blocks;
    crew->parameter = (void *)(uintptr_t)parameter;
    start_thread(crew_main, crew);
}

// Writes the scheduler to a file of its own, under the processor's real number, and loads it.
static int load_scheduler(const uint8_t *bytes, uint64_t size_bytes)
{
    uint16_t machine = 0;
    char path[] = "/tmp/fake_cann_XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || size_bytes < 64) {
        return 0;
    }
    memcpy(&machine, bytes + FAKE_ELF_MACHINE_OFFSET, sizeof(machine));
    int good =
        machine == FAKE_MACHINE_AARCH64 && write(fd, bytes, size_bytes) == (ssize_t)size_bytes;
    machine = FAKE_MACHINE_NATIVE;
    good = good && pwrite(fd, &machine, sizeof(machine), FAKE_ELF_MACHINE_OFFSET) ==
                       (ssize_t)sizeof(machine);
    close(fd);
    void *library = good ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    unlink(path);
    if (library == NULL) {
        return 0;
    }
    aicpu_entry *fixed = find_aicpu_entry(library, "StaticTileFwkBackendKernelServer");
    server_init = find_aicpu_entry(library, "DynTileFwkBackendKernelServerInit");
    server_run = find_aicpu_entry(library, "DynTileFwkBackendKernelServer");
    return fixed != NULL && server_init != NULL && server_run != NULL;
}

static uint64_t read_word(const void *at, uint64_t offset)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *)at + offset, sizeof(value));
    return value;
}

static int is_device_memory(uint64_t address, uint64_t size_bytes)
{
    return address >= memory_base && address - memory_base < FAKE_MEMORY_BYTES &&
           size_bytes <= FAKE_MEMORY_BYTES - (address - memory_base);
}

static void init_aicpu(const struct fake_message *message)
{
    uint64_t device_args = read_word(message->args, 40);
    int good = is_device_memory(device_args, sizeof(struct pto_cann_device_args));
    if (good && server_run == NULL) {
        const void *args = (const void *)(uintptr_t)device_args;
        uint64_t address = read_word(args, 96);
        uint64_t size_bytes = read_word(args, 104);
        good = is_device_memory(address, size_bytes) && read_word(args, 112) < 16 &&
               load_scheduler((const uint8_t *)(uintptr_t)address, size_bytes);
    }
    uint8_t args[FAKE_ARGS_MAX];
    memcpy(args, message->args, sizeof(args));
    if (good) {
        good = server_init(args) == 0;
    }
    reply(message->job, good ? 0 : PTO_CANN_AICPU_EXCEPTION, 0);
}

static void run_aicpu(const struct fake_message *message)
{
    if (server_run == NULL || message->blocks > FAKE_AICPU_COUNT) {
        reply(message->job, PTO_CANN_AICPU_EXCEPTION, 0);
        return;
    }
    struct crew *crew = make_crew(message, message->blocks);
    crew->aicpu = server_run;
    start_thread(crew_main, crew);
}

static void handle(const struct fake_message *message)
{
    // What earlier jobs did comes before this one: the program under test waited for their answers,
    // which are sent under the lock. ThreadSanitizer does not see the way through that process.
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    switch (message->kind) {
    case FAKE_LOAD_AICORE: load_aicore(message); break;
    case FAKE_UNLOAD_AICORE: {
        struct aicore_program *program = (struct aicore_program *)(uintptr_t)message->handle;
        dlclose(program->library);
        free(program);
        reply(message->job, 0, 0);
        break;
    }
    case FAKE_RUN_AICORE: run_aicore(message); break;
    case FAKE_INIT_AICPU: init_aicpu(message); break;
    case FAKE_RUN_AICPU: run_aicpu(message); break;
    default: reply(message->job, 107000, 0);
    }
}

// Arguments: base address and number of blocks.
int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    memory_base = strtoull(argv[1], NULL, 16);
    free_blocks = (uint32_t)strtoul(argv[2], NULL, 10);
    void *wanted = (void *)(uintptr_t)memory_base;
    void *memory = mmap(wanted, FAKE_MEMORY_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, FAKE_MEMORY_FD, 0);
    if (memory != wanted) {
        return FAKE_EXIT_TAKEN;
    }
    sigset_t none; // a device inherits nothing from the program
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction action = {.sa_flags = SA_ONSTACK | SA_NODEFER};
    action.sa_handler = on_fault;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        sigaction(faults[i], &action, NULL);
    }
    signal(SIGINT, SIG_IGN); // meant for the program under test
    reply(0, 0, 0);          // ready
    struct fake_message message;
    while (recv(FAKE_SOCKET_FD, &message, sizeof(message), 0) == (ssize_t)sizeof(message)) {
        handle(&message);
    }
    _exit(0);
}
