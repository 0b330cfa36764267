// SPDX-License-Identifier: Apache-2.0
#include "ascend/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/wait.h"

#define MS 1000000u
#define SLICE_NS (20u * MS) // between two calls of the caller's poll function

struct message {
    struct message *next;
    enum pto_log_level level;
    char text[];
};

struct pto_ascend_service {
    pthread_mutex_t turn; // held by the caller whose operation this is
    uint64_t call_limit_ns;
    void (*on_end)(struct pto_backend *device);
    struct pto_backend *device;
    pthread_t thread;
    struct pto_ascend_op op;

    pthread_mutex_t mutex; // of what follows
    pthread_cond_t begun;
    pthread_cond_t over;
    int is_busy;
    int quits;
    int is_abandoned;
    uint32_t references; // the owner's and the thread's
    const char *call;    // that is out; NULL: none
    uint64_t call_begin_ns;
    uint64_t call_ns; // how long it may take
    struct message *messages;
};

static _Thread_local struct pto_ascend_service *current;

static void drop_reference(struct pto_ascend_service *service)
{
    pthread_mutex_lock(&service->mutex);
    uint32_t left = --service->references;
    pthread_mutex_unlock(&service->mutex);
    if (left != 0) {
        return;
    }
    while (service->messages != NULL) {
        struct message *message = service->messages;
        service->messages = message->next;
        free(message);
    }
    pthread_cond_destroy(&service->over);
    pthread_cond_destroy(&service->begun);
    pthread_mutex_destroy(&service->mutex);
    pthread_mutex_destroy(&service->turn);
    free(service);
}

static void *service_main(void *argument)
{
    struct pto_ascend_service *service = argument;
    current = service;
    pthread_mutex_lock(&service->mutex);
    while (!service->quits && !service->is_abandoned) {
        if (!service->is_busy) {
            pthread_cond_wait(&service->begun, &service->mutex);
            continue;
        }
        pthread_mutex_unlock(&service->mutex);
        struct pto_ascend_op *op = &service->op;
        op->status = op->body(op, &op->err);
        pthread_mutex_lock(&service->mutex);
        service->is_busy = 0;
        pthread_cond_signal(&service->over);
    }
    pthread_mutex_unlock(&service->mutex);
    service->on_end(service->device);
    drop_reference(service);
    return NULL;
}

enum pto_status pto__service_create(struct pto_ascend_service **out, uint64_t call_limit_ns,
                                    void (*on_end)(struct pto_backend *device),
                                    struct pto_backend *device, struct pto_error *err)
{
    *out = NULL;
    struct pto_ascend_service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return pto_fail_no_host_memory(err, "a thread for CANN's calls", sizeof(*service));
    }
    pthread_mutex_init(&service->turn, NULL);
    pthread_mutex_init(&service->mutex, NULL);
    pto__wait_init(&service->begun);
    pto__wait_init(&service->over);
    service->call_limit_ns = call_limit_ns;
    service->on_end = on_end;
    service->device = device;
    service->references = 2;
    // Signals are for the program's own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&service->thread, NULL, service_main, service);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        service->references = 1;
        drop_reference(service);
        return pto_fail(err, PTO_E_NO_MEMORY,
                        "init: no thread can be started for CANN's calls (%s); end other threads "
                        "or raise the limit (ulimit -u)",
                        strerror(code));
    }
    *out = service;
    return PTO_OK;
}

void pto__service_destroy(struct pto_ascend_service *service)
{
    if (service == NULL) {
        return;
    }
    pthread_mutex_lock(&service->mutex);
    int is_abandoned = service->is_abandoned;
    service->quits = 1;
    pthread_cond_signal(&service->begun);
    pthread_mutex_unlock(&service->mutex);
    if (!is_abandoned) {
        pthread_join(service->thread, NULL);
    }
    drop_reference(service);
}

struct pto_ascend_op *pto__service_take(struct pto_ascend_service *service)
{
    pthread_mutex_lock(&service->turn);
    pthread_mutex_lock(&service->mutex);
    // An abandoned one's belongs to the thread.
    static _Thread_local struct pto_ascend_op unused;
    struct pto_ascend_op *op = service->is_abandoned ? &unused : &service->op;
    pthread_mutex_unlock(&service->mutex);
    *op = (struct pto_ascend_op){.device = service->device};
    return op;
}

void pto__service_give(struct pto_ascend_service *service)
{
    pthread_mutex_unlock(&service->turn);
}

// Locked. Hands the kept messages, the newest of which is the first, to the caller's function.
static void deliver(struct pto_ascend_service *service, const struct pto_ascend_listener *listener)
{
    struct message *oldest = NULL;
    while (service->messages != NULL) {
        struct message *message = service->messages;
        service->messages = message->next;
        message->next = oldest;
        oldest = message;
    }
    pthread_mutex_unlock(&service->mutex);
    while (oldest != NULL) {
        struct message *message = oldest;
        oldest = message->next;
        if (listener->log != NULL) {
            listener->log(listener->log_context, message->level, message->text);
        }
        free(message);
    }
    pthread_mutex_lock(&service->mutex);
}

static void fail_late(const struct pto_ascend_service *service, const char *what,
                      struct pto_error *err)
{
    pto_fail(err, PTO_E_TIMEOUT,
             "%s: CANN's %s did not return within %.3g s; the thread that called it is left "
             "behind. %s; if that fails too, look for the device in npu-smi info and start a new "
             "process; if the device is only slow, raise PTO_ASCEND_CALL_LIMIT_MS",
             what, service->call, (double)service->call_ns / 1e9,
             strcmp(what, "init") == 0 ? "Try again, which resets the device"
                                       : "Call finalize(), which resets the device, then init()");
}

// Locked. Gives up the operation if its call is late: at a quarter of the limit already, if the
// caller wants to end.
static int abandon_late(struct pto_ascend_service *service, int is_stopping)
{
    uint64_t limit_ns = is_stopping ? service->call_ns / 4 : service->call_ns;
    if (service->call == NULL || pto__now_ns() - service->call_begin_ns < limit_ns) {
        return 0;
    }
    service->call_ns = limit_ns;
    service->is_abandoned = 1;
    pthread_detach(service->thread);
    return 1;
}

// Locked. Waits until the operation is over; 0: it was abandoned.
static int wait_over(struct pto_ascend_service *service, const struct pto_ascend_listener *listener)
{
    int is_stopping = 0;
    while (service->is_busy) {
        pto__wait_for(&service->over, &service->mutex, SLICE_NS);
        if (!service->is_busy) {
            break;
        }
        if (abandon_late(service, is_stopping)) {
            return 0;
        }
        if (listener->poll != NULL && !is_stopping) {
            pthread_mutex_unlock(&service->mutex);
            if (listener->poll(listener->poll_context) != 0) {
                atomic_store(listener->stop_wanted, 1);
                is_stopping = 1;
            }
            pthread_mutex_lock(&service->mutex);
        }
    }
    return 1;
}

int pto__service_run(struct pto_ascend_service *service, const struct pto_ascend_op *op,
                     const struct pto_ascend_listener *listener, struct pto_error *err)
{
    const char *what = op->what;
    pthread_mutex_lock(&service->mutex);
    int is_over = !service->is_abandoned;
    if (is_over) {
        service->is_busy = 1;
        pthread_cond_signal(&service->begun);
        is_over = wait_over(service, listener);
    }
    if (!is_over) {
        fail_late(service, what, err);
    }
    deliver(service, listener);
    pthread_mutex_unlock(&service->mutex);
    return is_over;
}

int pto__service_log(enum pto_log_level level, const char *text)
{
    struct pto_ascend_service *service = current;
    if (service == NULL) {
        return 0;
    }
    size_t size = strlen(text) + 1;
    struct message *message = malloc(sizeof(*message) + size);
    if (message != NULL) { // else it is lost
        message->level = level;
        memcpy(message->text, text, size);
        pthread_mutex_lock(&service->mutex);
        message->next = service->messages;
        service->messages = message;
        pthread_mutex_unlock(&service->mutex);
    }
    return 1;
}

int pto__call_begin(const char *name, uint64_t more_ns)
{
    struct pto_ascend_service *service = current;
    if (service == NULL) {
        return 1;
    }
    uint64_t now = pto__now_ns();
    pthread_mutex_lock(&service->mutex);
    int goes_on = !service->is_abandoned;
    if (goes_on) {
        service->call = name;
        service->call_ns = service->call_limit_ns + more_ns;
        service->call_begin_ns = now;
    }
    pthread_mutex_unlock(&service->mutex);
    return goes_on;
}

int pto__call_end(int code)
{
    struct pto_ascend_service *service = current;
    if (service == NULL) {
        return code;
    }
    pthread_mutex_lock(&service->mutex);
    int is_abandoned = service->is_abandoned;
    service->call = is_abandoned ? service->call : NULL; // later operations are told of it
    pthread_mutex_unlock(&service->mutex);
    return is_abandoned ? PTO_CANN_ABANDONED : code;
}

const char *pto__call_end_text(const char *text)
{
    return pto__call_end(0) == PTO_CANN_ABANDONED ? NULL : text;
}
