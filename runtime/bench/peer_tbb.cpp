// SPDX-License-Identifier: Apache-2.0
// oneTBB's flow graph: a continue_node for each task, built once and run again by sending a message
// to each node that waits for none.
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/version.h>

#include <cstdio>
#include <deque>
#include <exception>
#include <memory>
#include <new>
#include <vector>

#include "bench/driver.h"

namespace
{

namespace flow = oneapi::tbb::flow;

using node = flow::continue_node<flow::continue_msg>;

struct dag_graph {
    flow::graph graph;
    std::deque<node> nodes; // nodes can be neither copied nor moved
    std::vector<node *> roots;
};

struct engine {
    oneapi::tbb::global_control lanes;
    std::unique_ptr<dag_graph> dag;

    explicit engine(std::size_t lane_count)
        : lanes(oneapi::tbb::global_control::max_allowed_parallelism, lane_count)
    {
    }
};

bool fail(const std::exception &error)
{
    std::fprintf(stderr, "tbb: %s\n", error.what());
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
    auto made = std::make_unique<dag_graph>();
    for (std::uint32_t i = 0; i < dag->task_count; i++) {
        made->nodes.emplace_back(made->graph, [work, i](const flow::continue_msg &message) {
            bench_work_do(work, i);
            return message;
        });
        if (bench_dag_predecessor_count(dag, i) == 0) {
            made->roots.push_back(&made->nodes.back());
        }
        for (std::size_t e = dag->begin[i]; e < dag->begin[i + 1]; e++) {
            flow::make_edge(made->nodes[dag->predecessors[e]], made->nodes.back());
        }
    }
    static_cast<engine *>(state)->dag = std::move(made);
    return true;
} catch (const std::exception &error) {
    return fail(error);
}

bool run(void *state)
try {
    dag_graph &dag = *static_cast<engine *>(state)->dag;
    for (node *root : dag.roots) {
        root->try_put(flow::continue_msg());
    }
    dag.graph.wait_for_all();
    return true;
} catch (const std::exception &error) {
    return fail(error);
}

void clear(void *state)
{
    static_cast<engine *>(state)->dag.reset();
}

void close_engine(void *state)
{
    delete static_cast<engine *>(state);
}

} // namespace

int main(int argc, char **argv)
{
    bench_engine tbb = {};
    tbb.name = "tbb";
    tbb.version = TBB_runtime_version();
    tbb.open = open_engine;
    tbb.build = build;
    tbb.run = run;
    tbb.clear = clear;
    tbb.close = close_engine;
    return bench_main(argc, argv, &tbb);
}
