// SPDX-License-Identifier: Apache-2.0
// The Cholesky problem on oneTBB's flow graph: the same kernels, called from its nodes.
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>

#include "bench/cholesky.h"
#include "bench/timing.h"

namespace
{

namespace flow = oneapi::tbb::flow;

struct engine {
    oneapi::tbb::global_control lanes;
    bench_cholesky *problem;
    std::atomic<int> code{0};
    flow::graph graph;
    std::deque<flow::continue_node<flow::continue_msg>> nodes;

    engine(bench_cholesky *of, std::size_t lane_count)
        : lanes(oneapi::tbb::global_control::max_allowed_parallelism, lane_count), problem(of)
    {
        const bench_dag &dag = of->dag;
        for (std::uint32_t i = 0; i < dag.task_count; i++) {
            nodes.emplace_back(graph, [this, i](const flow::continue_msg &message) {
                if (const int failure = bench_cholesky_do(problem, i)) {
                    code = failure;
                }
                return message;
            });
            for (std::size_t e = dag.begin[i]; e < dag.begin[i + 1]; e++) {
                flow::make_edge(nodes[dag.predecessors[e]], nodes.back());
            }
        }
    }
};

bool fail(const std::exception &error)
{
    std::fprintf(stderr, "tbb: %s\n", error.what());
    return false;
}

bool open_engine(bench_cholesky *problem, std::uint32_t lanes, void **out_engine)
try {
    *out_engine = new engine(problem, lanes);
    return true;
} catch (const std::exception &error) {
    return fail(error);
}

bool run(void *state, double *out_ns)
try {
    engine &self = *static_cast<engine *>(state);
    std::memcpy(self.problem->tiles, self.problem->original, self.problem->tiles_bytes);
    const std::uint64_t begin_ns = bench_now_ns();
    self.nodes.front().try_put(flow::continue_msg()); // the one task that waits for none
    self.graph.wait_for_all();
    *out_ns = static_cast<double>(bench_now_ns() - begin_ns);
    if (self.code != 0) {
        std::fprintf(stderr, "tbb: a kernel returned %d\n", self.code.load());
    }
    return self.code == 0;
} catch (const std::exception &error) {
    return fail(error);
}

void close_engine(void *state)
{
    delete static_cast<engine *>(state);
}

} // namespace

int main(int argc, char **argv)
{
    bench_cholesky_engine tbb = {};
    tbb.name = "tbb";
    tbb.open = open_engine;
    tbb.run = run;
    tbb.close = close_engine;
    return bench_cholesky_main(argc, argv, &tbb);
}
