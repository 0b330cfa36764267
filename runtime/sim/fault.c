// SPDX-License-Identifier: Apache-2.0
// Containing the faults of kernels: a bad access, a division by zero, a stack overflow inside a
// kernel costs the user an exception, not the process.
//
// Signal handlers belong to the process, so they are the one piece of process-wide state of the
// simulator: installed when the first device opens, given back when the last one closes. A signal
// that does not come from inside a kernel goes to whatever handler was there before.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "sim/device.h"

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

#define SIGNAL_STACK_BYTES (128u * 1024u) // sanitizers and other people's handlers need room

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define FAULT_SIGNAL_COUNT (sizeof(fault_signals) / sizeof(fault_signals[0]))

// Guards open_count and previous; the handler reads previous, which is constant while it is
// installed.
static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t open_count;
static struct sigaction previous[FAULT_SIGNAL_COUNT];

// The lane that this thread is. Initial-exec, because reading it in a handler must not allocate.
static _Thread_local struct pto_sim_lane *bound_lane __attribute__((tls_model("initial-exec")));

static void pass_on(int signal_number, siginfo_t *info, void *context)
{
    for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
        if (fault_signals[i] != signal_number) {
            continue;
        }
        const struct sigaction *action = &previous[i];
        if ((action->sa_flags & SA_SIGINFO) != 0) {
            action->sa_sigaction(signal_number, info, context);
        } else if (action->sa_handler == SIG_DFL) {
            // Put the default back; a fault happens again when this returns, a sent signal not.
            sigaction(signal_number, action, NULL);
            if (info->si_code <= 0) {
                raise(signal_number);
            }
        } else if (action->sa_handler != SIG_IGN) {
            action->sa_handler(signal_number);
        }
    }
}

static void on_signal(int signal_number, siginfo_t *info, void *context)
{
    struct pto_sim_lane *lane = bound_lane;
    int saved_errno = errno;
    if (lane == NULL) {
        pass_on(signal_number, info, context);
        errno = saved_errno;
        return;
    }
    bool sent = info->si_code <= 0; // by kill() and its kind, not by the processor
    uint32_t kill_step = atomic_load_explicit(&lane->kill_step, memory_order_relaxed);
    bool stepping = atomic_load_explicit(&lane->stepping, memory_order_relaxed) != 0;
    if (sent && signal_number == SIGSEGV && kill_step != 0) {
        // From the monitor, which may have been too late: then the kernel has returned.
        atomic_store_explicit(&lane->kill_step, 0, memory_order_relaxed);
        if (!stepping ||
            kill_step != atomic_load_explicit(&lane->step_count, memory_order_relaxed)) {
            errno = saved_errno;
            return;
        }
        lane->fault = (struct pto_sim_fault){.signal = 0};
        siglongjmp(lane->escape, 1);
    }
    if (stepping) {
        lane->fault = (struct pto_sim_fault){
            .signal = signal_number, .address = sent ? 0 : (uint64_t)(uintptr_t)info->si_addr};
        siglongjmp(lane->escape, 1);
    }
    pass_on(signal_number, info, context);
    errno = saved_errno;
}

void pto__sim_fault_stop(uint64_t address)
{
    bound_lane->fault = (struct pto_sim_fault){.signal = SIGSEGV, .address = address};
    siglongjmp(bound_lane->escape, 1);
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == on_signal;
}

// Installs the handlers that are not there: all of them when the first device opens, and later the
// ones that somebody has replaced since.
static enum pto_status install(struct pto_error *err)
{
    // SA_NODEFER: the handler is left by a jump that does not restore the signal mask.
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    action.sa_sigaction = on_signal;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
        struct sigaction current;
        if (sigaction(fault_signals[i], NULL, &current) != 0 ||
            (!is_ours(&current) && sigaction(fault_signals[i], &action, &previous[i]) != 0)) {
            return pto_fail(err, PTO_E_DEVICE, "cannot install a handler for signal %d: %s",
                            fault_signals[i], strerror(errno));
        }
    }
    return PTO_OK;
}

enum pto_status pto__sim_fault_open(struct pto_error *err)
{
    pthread_mutex_lock(&open_mutex);
    enum pto_status status = install(err);
    if (status == PTO_OK) {
        open_count++;
    }
    pthread_mutex_unlock(&open_mutex);
    return status;
}

void pto__sim_fault_close(void)
{
    pthread_mutex_lock(&open_mutex);
    if (--open_count == 0) {
        for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
            struct sigaction current;
            // Somebody who installed a handler after us keeps it.
            if (sigaction(fault_signals[i], NULL, &current) == 0 && is_ours(&current)) {
                sigaction(fault_signals[i], &previous[i], NULL);
            }
        }
    }
    pthread_mutex_unlock(&open_mutex);
}

enum pto_status pto__sim_fault_prepare_lane(struct pto_sim_lane *lane, struct pto_error *err)
{
    void *stack =
        mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        return pto_fail_no_host_memory(err, "a signal stack", SIGNAL_STACK_BYTES);
    }
    lane->signal_stack = stack;
    return PTO_OK;
}

void pto__sim_fault_release_lane(struct pto_sim_lane *lane)
{
    if (lane->signal_stack != NULL) {
        munmap(lane->signal_stack, SIGNAL_STACK_BYTES);
        lane->signal_stack = NULL;
    }
}

// Unblocks the fault signals for this thread: one that is blocked would end the process instead.
static void unblock_faults(struct pto_sim_lane *lane)
{
    sigset_t faults;
    sigset_t before;
    sigemptyset(&faults);
    sigemptyset(&lane->blocked);
    for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
        sigaddset(&faults, fault_signals[i]);
    }
    lane->had_blocked = false;
    if (pthread_sigmask(SIG_UNBLOCK, &faults, &before) != 0) {
        return;
    }
    for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
        if (sigismember(&before, fault_signals[i]) == 1) {
            sigaddset(&lane->blocked, fault_signals[i]);
            lane->had_blocked = true;
        }
    }
}

static void bind(struct pto_sim_lane *lane)
{
    stack_t current;
    lane->outer = bound_lane;
    bound_lane = lane;
    unblock_faults(lane);
    // A thread that has a signal stack keeps it.
    if (sigaltstack(NULL, &current) == 0 && (current.ss_flags & SS_DISABLE) != 0) {
        stack_t own = {.ss_sp = lane->signal_stack, .ss_size = SIGNAL_STACK_BYTES};
        sigaltstack(&own, NULL);
    }
}

static void unbind(struct pto_sim_lane *lane)
{
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == lane->signal_stack) {
        stack_t none = {.ss_flags = SS_DISABLE, .ss_size = SIGNAL_STACK_BYTES};
        sigaltstack(&none, NULL);
    }
    if (lane->had_blocked) {
        pthread_sigmask(SIG_BLOCK, &lane->blocked, NULL);
    }
    // After a system call: a signal of the monitor's that was on its way has arrived by now.
    bound_lane = lane->outer;
}

void pto__sim_fault_bind(struct pto_sim_lane *lane)
{
    if (lane != NULL) {
        bind(lane);
    } else if (bound_lane != NULL) {
        unbind(bound_lane);
    }
}

int pto__sim_thread_create(pthread_t *thread, void *(*entry)(void *), void *argument)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int code = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (code == 0) {
        code = pthread_create(thread, NULL, entry, argument);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return code;
}
