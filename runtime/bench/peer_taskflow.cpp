// SPDX-License-Identifier: Apache-2.0
// Taskflow: one tf::Taskflow for the DAG, built once and run again.
#include <taskflow/taskflow.hpp>

#include <cstdio>
#include <exception>
#include <memory>
#include <vector>

#include "bench/driver.h"

namespace
{

struct engine {
    tf::Executor executor;
    std::unique_ptr<tf::Taskflow> flow;

    explicit engine(std::size_t lane_count) : executor(lane_count) {}
};

bool fail(const std::exception &error)
{
    std::fprintf(stderr, "taskflow: %s\n", error.what());
    return false;
}

bool open_engine(const bench_options *options, void **out_engine)
try {
    *out_engine = new engine(options->lanes);
    return true;
} catch (const std::exception &error) {
    return fail(error);
}

bool build(void *state, const bench_dag *dag, bench_work *work, bench_build *)
try {
    auto made = std::make_unique<tf::Taskflow>();
    std::vector<tf::Task> tasks;
    tasks.reserve(dag->task_count);
    for (std::uint32_t i = 0; i < dag->task_count; i++) {
        tasks.push_back(made->emplace([work, i] { bench_work_do(work, i); }));
        for (std::size_t e = dag->begin[i]; e < dag->begin[i + 1]; e++) {
            tasks[dag->predecessors[e]].precede(tasks.back());
        }
    }
    static_cast<engine *>(state)->flow = std::move(made);
    return true;
} catch (const std::exception &error) {
    return fail(error);
}

bool run(void *state)
try {
    engine &self = *static_cast<engine *>(state);
    self.executor.run(*self.flow).wait();
    return true;
} catch (const std::exception &error) {
    return fail(error);
}

void clear(void *state)
{
    static_cast<engine *>(state)->flow.reset();
}

void close_engine(void *state)
{
    delete static_cast<engine *>(state);
}

} // namespace

int main(int argc, char **argv)
{
    bench_engine taskflow = {};
    taskflow.name = "taskflow";
    taskflow.version = tf::version();
    taskflow.open = open_engine;
    taskflow.build = build;
    taskflow.run = run;
    taskflow.clear = clear;
    taskflow.close = close_engine;
    return bench_main(argc, argv, &taskflow);
}
