// SPDX-License-Identifier: Apache-2.0
// What the parts of pto_bench share: PTO Runtime as an engine is in pto_bench.c, each further mode
// in a file of its own.
#ifndef PTO_BENCH_PTO_BENCH_H
#define PTO_BENCH_PTO_BENCH_H

#include <pto/pto.h>

#include "bench/driver.h"

// The functions below print why they failed and return false.

bool bench_pto_failed(const struct pto_error *err);

// A runner with the options' cores and lanes. `kernels`: the path of its kernel.o.
bool bench_pto_open_runner(const struct bench_options *options, const char *kernels,
                           struct pto_runner **out_runner);

// A graph of the DAG with the tasks that `work` says (not BENCH_CHECK), built call by call or by
// the bulk calls; *out_ns gets the time.
bool bench_pto_build_graph(const struct bench_work *work, bool bulk, struct pto_graph **out_graph,
                           double *out_ns);

// Time and size of the image that a run makes of the graph.
bool bench_pto_compile(struct pto_graph *graph, double *out_ns, uint64_t *out_size_bytes);

// The modes. Each returns an exit status.
int bench_pto_memory(const struct bench_options *options);
int bench_pto_kernels(const struct bench_options *options);
int bench_pto_copies(const struct bench_options *options);
int bench_pto_analysis(const struct bench_options *options);
int bench_pto_idle(const struct bench_options *options);

#endif // PTO_BENCH_PTO_BENCH_H
