// SPDX-License-Identifier: Apache-2.0
// A floor: work stealing written by hand for these DAGs, a deque by Chase and Lev for each thread.
// The first successor that becomes ready is run at once by the thread that released it, the others
// go to its deque. Initially ready tasks are taken in handfuls from one list.
//
// The caller is one of the threads. The others poll for the next run for a while, then sleep.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/driver.h"
#include "bench/timing.h"

#define NO_TASK UINT32_MAX
#define POLL_NS 200000u

enum { LANES_MAX = 64, HANDFUL = 32, POLLS_PER_CLOCK = 64 };

// Chase and Lev, "Dynamic circular work-stealing deque", in the C11 form of Le, Pop, Cohen and
// Nardelli. It never grows: it has room for every task of the DAG.
struct deque {
    _Alignas(64) atomic_size_t top; // thieves take here
    _Alignas(64) atomic_size_t bottom;
    _Atomic uint32_t *slots;
    size_t mask;
};

struct engine;

struct lane {
    struct deque deque;
    struct engine *engine;
    uint32_t index;
    pthread_t thread;
};

struct engine {
    struct lane lanes[LANES_MAX];
    uint32_t lane_count;
    struct bench_work *work;
    struct bench_successors edges;
    uint32_t *initial;         // predecessors of each task
    _Atomic uint32_t *waiting; // those that have not run yet; set back when a task becomes ready
    uint32_t *roots;
    uint32_t root_count;
    _Alignas(64) atomic_uint next_root;
    _Alignas(64) atomic_uint done_count;   // tasks done, as far as lanes have told
    _Alignas(64) atomic_uint active_count; // helpers inside the current run
    _Alignas(64) atomic_uint run_number;   // odd while a run is open to helpers
    atomic_bool closing;                   // helpers are to leave for ever
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    uint32_t sleeper_count; // under the mutex
};

static bool deque_init(struct deque *deque, size_t task_count)
{
    size_t capacity = 64;
    while (capacity < task_count) {
        capacity *= 2;
    }
    deque->slots = malloc(capacity * sizeof(*deque->slots));
    deque->mask = capacity - 1;
    // From 1 on, so that `bottom - 1` of an empty deque is no huge number.
    atomic_store(&deque->top, 1);
    atomic_store(&deque->bottom, 1);
    return deque->slots != NULL;
}

static void push(struct deque *deque, uint32_t task)
{
    const size_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    atomic_store_explicit(&deque->slots[bottom & deque->mask], task, memory_order_relaxed);
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_release);
}

static uint32_t take(struct deque *deque)
{
    const size_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed) - 1;
    if (atomic_load_explicit(&deque->top, memory_order_relaxed) > bottom) {
        return NO_TASK; // only the owner adds, so it cannot have become more
    }
    atomic_store_explicit(&deque->bottom, bottom, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    size_t top = atomic_load_explicit(&deque->top, memory_order_relaxed);
    uint32_t task = NO_TASK;
    if (top <= bottom) {
        task = atomic_load_explicit(&deque->slots[bottom & deque->mask], memory_order_relaxed);
        if (top < bottom) {
            return task;
        }
        if (!atomic_compare_exchange_strong_explicit(&deque->top, &top, top + 1,
                                                     memory_order_seq_cst, memory_order_relaxed)) {
            task = NO_TASK;
        }
    }
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_relaxed);
    return task;
}

static uint32_t steal(struct deque *deque)
{
    size_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    atomic_thread_fence(memory_order_seq_cst);
    const size_t bottom = atomic_load_explicit(&deque->bottom, memory_order_acquire);
    if (top >= bottom) {
        return NO_TASK;
    }
    const uint32_t task =
        atomic_load_explicit(&deque->slots[top & deque->mask], memory_order_relaxed);
    return atomic_compare_exchange_strong_explicit(&deque->top, &top, top + 1, memory_order_seq_cst,
                                                   memory_order_relaxed)
               ? task
               : NO_TASK;
}

// Runs a task and after it, as long as there is one, a successor that it made ready. Returns how
// many that were.
static uint32_t run_from(struct lane *lane, uint32_t task)
{
    struct engine *engine = lane->engine;
    struct bench_work *work = engine->work;
    const size_t *begin = engine->edges.begin;
    const uint32_t *successors = engine->edges.successors;
    uint32_t count = 0;
    while (task != NO_TASK) {
        uint32_t next = NO_TASK;
        bench_work_do(work, task);
        count++;
        for (size_t e = begin[task]; e < begin[task + 1]; e++) {
            const uint32_t successor = successors[e];
            _Atomic uint32_t *waiting = &engine->waiting[successor];
            // The last predecessor is alone with the counter: no need to pay for an exchange.
            if (atomic_load_explicit(waiting, memory_order_acquire) != 1 &&
                atomic_fetch_sub_explicit(waiting, 1, memory_order_acq_rel) != 1) {
                continue;
            }
            atomic_store_explicit(waiting, engine->initial[successor], memory_order_relaxed);
            if (next == NO_TASK) {
                next = successor;
            } else {
                push(&lane->deque, successor);
            }
        }
        task = next;
    }
    return count;
}

// Takes some of the initially ready tasks; false when there are none left.
static bool run_roots(struct lane *lane, uint32_t *count)
{
    struct engine *engine = lane->engine;
    if (atomic_load_explicit(&engine->next_root, memory_order_relaxed) >= engine->root_count) {
        return false;
    }
    const uint32_t first =
        atomic_fetch_add_explicit(&engine->next_root, HANDFUL, memory_order_relaxed);
    for (uint32_t i = first; i < first + HANDFUL && i < engine->root_count; i++) {
        *count += run_from(lane, engine->roots[i]);
    }
    return true;
}

static uint32_t steal_any(struct lane *lane)
{
    struct engine *engine = lane->engine;
    for (uint32_t i = 1; i < engine->lane_count; i++) {
        struct lane *victim = &engine->lanes[(lane->index + i) % engine->lane_count];
        const uint32_t task = steal(&victim->deque);
        if (task != NO_TASK) {
            return task;
        }
    }
    return NO_TASK;
}

static void work_until_done(struct lane *lane)
{
    struct engine *engine = lane->engine;
    const uint32_t task_count = engine->work->dag->task_count;
    uint32_t untold = 0; // tasks done here that done_count does not have yet
    for (;;) {
        uint32_t task = take(&lane->deque);
        if (task == NO_TASK && run_roots(lane, &untold)) {
            continue;
        }
        if (task == NO_TASK) {
            if (untold > 0) {
                atomic_fetch_add_explicit(&engine->done_count, untold, memory_order_acq_rel);
                untold = 0;
            }
            if (atomic_load_explicit(&engine->done_count, memory_order_acquire) == task_count) {
                return;
            }
            task = steal_any(lane);
        }
        untold += run_from(lane, task);
    }
}

static bool is_call(const struct engine *engine, unsigned number, unsigned seen)
{
    return (number % 2 != 0 && number != seen) || atomic_load(&engine->closing);
}

// Waits for an open run other than `seen` and returns its number, or any when the engine closes.
static unsigned await_run(struct engine *engine, unsigned seen)
{
    const uint64_t begin_ns = bench_now_ns();
    for (unsigned polls = 1;; polls++) {
        const unsigned number = atomic_load_explicit(&engine->run_number, memory_order_acquire);
        if (is_call(engine, number, seen)) {
            return number;
        }
        if (polls % POLLS_PER_CLOCK == 0 && bench_now_ns() - begin_ns > POLL_NS) {
            break;
        }
    }
    pthread_mutex_lock(&engine->mutex);
    engine->sleeper_count++;
    while (!is_call(engine, atomic_load(&engine->run_number), seen)) {
        pthread_cond_wait(&engine->wake, &engine->mutex);
    }
    engine->sleeper_count--;
    pthread_mutex_unlock(&engine->mutex);
    return atomic_load(&engine->run_number);
}

// A helper enters by counting itself, then looks whether the run is still open; the caller closes
// the run, then waits for the count to be zero. So whoever is late does not touch the next run's
// counters, and the caller does not wait for a helper that has not come.
static void *help(void *context)
{
    struct lane *lane = context;
    struct engine *engine = lane->engine;
    unsigned seen = 0;
    for (;;) {
        seen = await_run(engine, seen);
        if (atomic_load(&engine->closing)) {
            return NULL;
        }
        atomic_fetch_add(&engine->active_count, 1);
        if (atomic_load(&engine->run_number) == seen) {
            work_until_done(lane);
        }
        atomic_fetch_sub(&engine->active_count, 1);
    }
}

static void wake_sleepers(struct engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    if (engine->sleeper_count > 0) {
        pthread_cond_broadcast(&engine->wake);
    }
    pthread_mutex_unlock(&engine->mutex);
}

static void close_engine(void *state)
{
    struct engine *engine = state;
    atomic_store(&engine->closing, true);
    wake_sleepers(engine);
    for (uint32_t i = 1; i < engine->lane_count; i++) {
        pthread_join(engine->lanes[i].thread, NULL);
    }
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->mutex);
    free(engine);
}

static bool open_engine(const struct bench_options *options, void **out_engine)
{
    const size_t size_bytes = (sizeof(struct engine) + 63) / 64 * 64;
    struct engine *engine = aligned_alloc(64, size_bytes);
    if (engine == NULL || options->lanes > LANES_MAX) {
        fprintf(stderr, "steal: no memory, or more than %d lanes\n", (int)LANES_MAX);
        free(engine);
        return false;
    }
    *engine = (struct engine){.lane_count = 1};
    pthread_mutex_init(&engine->mutex, NULL);
    pthread_cond_init(&engine->wake, NULL);
    for (uint32_t i = 0; i < options->lanes; i++) {
        engine->lanes[i].engine = engine;
        engine->lanes[i].index = i;
        if (i == 0) {
            continue;
        }
        if (pthread_create(&engine->lanes[i].thread, NULL, help, &engine->lanes[i]) != 0) {
            fprintf(stderr, "steal: no thread for lane %u\n", (unsigned)i);
            close_engine(engine);
            return false;
        }
        engine->lane_count++;
    }
    *out_engine = engine;
    return true;
}

static void clear(void *state)
{
    struct engine *engine = state;
    for (uint32_t i = 0; i < engine->lane_count; i++) {
        free(engine->lanes[i].deque.slots);
        engine->lanes[i].deque.slots = NULL;
    }
    bench_successors_fini(&engine->edges);
    free(engine->initial);
    free(engine->waiting);
    free(engine->roots);
    engine->initial = NULL;
    engine->waiting = NULL;
    engine->roots = NULL;
}

static bool build(void *state, const struct bench_dag *dag, struct bench_work *work,
                  struct bench_build *out_times)
{
    (void)out_times;
    struct engine *engine = state;
    engine->work = work;
    engine->root_count = 0;
    engine->initial = malloc(dag->task_count * sizeof(*engine->initial));
    engine->waiting = malloc(dag->task_count * sizeof(*engine->waiting));
    engine->roots = malloc(dag->task_count * sizeof(*engine->roots));
    bool is_done = bench_successors_init(&engine->edges, dag) && engine->initial != NULL &&
                   engine->waiting != NULL && engine->roots != NULL;
    for (uint32_t i = 0; i < engine->lane_count; i++) {
        is_done = deque_init(&engine->lanes[i].deque, dag->task_count) && is_done;
    }
    if (!is_done) {
        fprintf(stderr, "steal: no memory\n");
        clear(engine);
        return false;
    }
    for (uint32_t i = 0; i < dag->task_count; i++) {
        engine->initial[i] = bench_dag_predecessor_count(dag, i);
        atomic_init(&engine->waiting[i], engine->initial[i]);
        if (engine->initial[i] == 0) {
            engine->roots[engine->root_count++] = i;
        }
    }
    return true;
}

static bool run(void *state)
{
    struct engine *engine = state;
    atomic_store_explicit(&engine->next_root, 0, memory_order_relaxed);
    atomic_store_explicit(&engine->done_count, 0, memory_order_relaxed);
    atomic_fetch_add(&engine->run_number, 1);
    wake_sleepers(engine);
    work_until_done(&engine->lanes[0]);
    atomic_fetch_add(&engine->run_number, 1);
    while (atomic_load(&engine->active_count) != 0) {
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct bench_engine engine = {
        .name = "steal",
        .open = open_engine,
        .build = build,
        .run = run,
        .clear = clear,
        .close = close_engine,
    };
    return bench_main(argc, argv, &engine);
}
