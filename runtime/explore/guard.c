// SPDX-License-Identifier: Apache-2.0
#include "explore/guard.h"

#include <string.h>

#include "base/error.h"
#include "base/wait.h"
#include "explore/model.h"

#define PERIODS 8u // of the watchdog, in a time-out; so a process that was stopped is not blamed
#define PERIOD_NS_MIN UINT64_C(1000000)

// Only what a kernel does is ended: the C library's memory functions, in which `busy` is set, would
// not survive it.
static bool on_fault(struct pto_fault_scope *scope, int signal_number, const siginfo_t *info)
{
    struct pto_guard *guard = (struct pto_guard *)(void *)scope; // its first member
    const struct pto_model *model = guard->model;
    bool is_kernel = model->running && model->agent->is_core && model->agent->task != PTO_NO_TASK &&
                     !model->busy;
    bool own = pto__fault_is_own(info);
    uint64_t kill = atomic_load_explicit(&guard->kill, memory_order_relaxed);
    if (!own && signal_number == SIGSEGV && kill != 0) {
        atomic_store_explicit(&guard->kill, 0, memory_order_relaxed);
        if (!is_kernel || kill != atomic_load_explicit(&guard->progress, memory_order_relaxed)) {
            return true;
        }
        guard->signal_number = 0;
        siglongjmp(guard->escape, 1);
    }
    if (is_kernel) {
        guard->signal_number = signal_number;
        guard->address = own ? (uint64_t)(uintptr_t)info->si_addr : 0;
        siglongjmp(guard->escape, 1);
    }
    return false;
}

static void *watchdog_main(void *argument)
{
    struct pto_guard *guard = argument;
    uint64_t period_ns = guard->timeout_ns / PERIODS;
    uint64_t seen = 0;
    uint32_t periods = 0;
    period_ns = period_ns < PERIOD_NS_MIN ? PERIOD_NS_MIN : period_ns;
    uint64_t next_ns = pto__now_ns() + period_ns;
    pthread_mutex_lock(&guard->mutex);
    while (!guard->leaving) {
        uint64_t now_ns = pto__now_ns();
        if (now_ns < next_ns) {
            pto__wait_for(&guard->wake, &guard->mutex, next_ns - now_ns);
            continue;
        }
        next_ns = now_ns + period_ns;
        uint64_t progress = atomic_load_explicit(&guard->progress, memory_order_relaxed);
        periods = progress == seen ? periods + 1 : 0;
        seen = progress;
        if (periods >= PERIODS && progress != 0) {
            atomic_store_explicit(&guard->kill, progress, memory_order_relaxed);
            pthread_kill(guard->caller, SIGSEGV);
        }
    }
    pthread_mutex_unlock(&guard->mutex);
    return NULL;
}

enum pto_status pto__guard_open(struct pto_guard *guard, struct pto_model *model,
                                uint64_t timeout_ns, struct pto_error *err)
{
    memset(guard, 0, sizeof(*guard));
    guard->scope.handle = on_fault;
    guard->model = model;
    guard->timeout_ns = timeout_ns;
    enum pto_status status = pto__fault_open(err);
    if (status != PTO_OK) {
        return status;
    }
    status = pto__fault_prepare(&guard->scope, err);
    if (status != PTO_OK) {
        pto__fault_close();
        return status;
    }
    pthread_mutex_init(&guard->mutex, NULL);
    pto__wait_init(&guard->wake);
    return PTO_OK;
}

void pto__guard_close(struct pto_guard *guard)
{
    pthread_cond_destroy(&guard->wake);
    pthread_mutex_destroy(&guard->mutex);
    pto__fault_release(&guard->scope);
    pto__fault_close();
}

enum pto_status pto__guard_enter(struct pto_guard *guard, struct pto_error *err)
{
    guard->leaving = false;
    guard->caller = pthread_self();
    int code = pto__fault_thread_create(&guard->watchdog, watchdog_main, guard);
    if (code != 0) {
        return pto_fail(err, PTO_E_NO_MEMORY, "cannot start the explorer's watchdog: %s",
                        strerror(code));
    }
    pto__fault_bind(&guard->scope);
    guard->model->guard = guard;
    return PTO_OK;
}

void pto__guard_leave(struct pto_guard *guard)
{
    guard->model->guard = NULL;
    pthread_mutex_lock(&guard->mutex);
    guard->leaving = true;
    pthread_cond_signal(&guard->wake);
    pthread_mutex_unlock(&guard->mutex);
    pthread_join(guard->watchdog, NULL);
    pto__fault_bind(NULL);
}
