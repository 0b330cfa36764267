// SPDX-License-Identifier: Apache-2.0
// Signal handlers belong to the process, so this is the one piece of process-wide state of the
// library: they are installed when the first device opens, and given back when the last one closes.
#include "base/fault.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

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

// What this thread runs under. Initial-exec, because reading it in a handler must not allocate.
static _Thread_local struct pto_fault_scope *bound_scope __attribute__((tls_model("initial-exec")));

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
    struct pto_fault_scope *scope = bound_scope;
    int saved_errno = errno;
    if (scope == NULL || !scope->handle(scope, signal_number, info)) {
        pass_on(signal_number, info, context);
    }
    errno = saved_errno;
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

enum pto_status pto__fault_open(struct pto_error *err)
{
    pthread_mutex_lock(&open_mutex);
    enum pto_status status = install(err);
    if (status == PTO_OK) {
        open_count++;
    }
    pthread_mutex_unlock(&open_mutex);
    return status;
}

void pto__fault_close(void)
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

enum pto_status pto__fault_prepare(struct pto_fault_scope *scope, struct pto_error *err)
{
    void *stack =
        mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        return pto_fail_no_host_memory(err, "a signal stack", SIGNAL_STACK_BYTES);
    }
    scope->signal_stack = stack;
    return PTO_OK;
}

void pto__fault_release(struct pto_fault_scope *scope)
{
    if (scope->signal_stack != NULL) {
        munmap(scope->signal_stack, SIGNAL_STACK_BYTES);
        scope->signal_stack = NULL;
    }
}

// Unblocks the fault signals for this thread: one that is blocked would end the process instead.
static void unblock_faults(struct pto_fault_scope *scope)
{
    sigset_t faults;
    sigset_t before;
    sigemptyset(&faults);
    sigemptyset(&scope->blocked);
    for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
        sigaddset(&faults, fault_signals[i]);
    }
    scope->had_blocked = false;
    if (pthread_sigmask(SIG_UNBLOCK, &faults, &before) != 0) {
        return;
    }
    for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
        if (sigismember(&before, fault_signals[i]) == 1) {
            sigaddset(&scope->blocked, fault_signals[i]);
            scope->had_blocked = true;
        }
    }
}

static void bind(struct pto_fault_scope *scope)
{
    stack_t current;
    scope->outer = bound_scope;
    bound_scope = scope;
    unblock_faults(scope);
    // A thread that has a signal stack keeps it.
    if (sigaltstack(NULL, &current) == 0 && (current.ss_flags & SS_DISABLE) != 0) {
        stack_t own = {.ss_sp = scope->signal_stack, .ss_size = SIGNAL_STACK_BYTES};
        sigaltstack(&own, NULL);
    }
}

static void unbind(struct pto_fault_scope *scope)
{
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && current.ss_sp == scope->signal_stack) {
        stack_t none = {.ss_flags = SS_DISABLE, .ss_size = SIGNAL_STACK_BYTES};
        sigaltstack(&none, NULL);
    }
    if (scope->had_blocked) {
        pthread_sigmask(SIG_BLOCK, &scope->blocked, NULL);
    }
    // After a system call: a signal of a monitor's that was on its way has arrived by now.
    bound_scope = scope->outer;
}

void pto__fault_bind(struct pto_fault_scope *scope)
{
    if (scope != NULL) {
        bind(scope);
    } else if (bound_scope != NULL) {
        unbind(bound_scope);
    }
}

int pto__fault_thread_create(pthread_t *thread, void *(*entry)(void *), void *argument)
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
