// SPDX-License-Identifier: Apache-2.0
// Compiling a graph to the image that the device reads, and checking such an image.
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "graph/graph.h"

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

// Where each section lies, and how large the image is.
static struct pto_image_header plan(const struct pto_graph *graph, const struct pto_csr *csr)
{
    uint32_t ready_count = 0;
    for (uint32_t task = 0; task < csr->task_count; task++) {
        ready_count += csr->nodes[task].predecessor_count == 0;
    }
    struct pto_image_header header = {
        .magic = PTO_IMAGE_MAGIC,
        .version = PTO_ABI_VERSION,
        .task_count = csr->task_count,
        .edge_count = csr->edge_count,
        .ready_count = ready_count,
        .spill_count = (uint32_t)graph->spill_live,
        .record_offset = sizeof(struct pto_image_header),
    };
    header.successor_offset =
        header.record_offset + header.task_count * (uint64_t)sizeof(struct pto_task_record);
    header.ready_offset =
        round_up(header.successor_offset + header.edge_count * (uint64_t)sizeof(uint32_t), 8);
    header.spill_offset =
        round_up(header.ready_offset + header.ready_count * (uint64_t)sizeof(uint32_t), 8);
    header.size_bytes = header.spill_offset + header.spill_count * (uint64_t)sizeof(uint64_t);
    return header;
}

static enum pto_status allocate(struct pto_image *image, uint64_t size_bytes, struct pto_error *err)
{
    uint64_t allocated = round_up(size_bytes, PTO_CACHE_LINE_SIZE);
    uint8_t *bytes = NULL;
    if (allocated <= SIZE_MAX) {
        bytes = aligned_alloc(PTO_CACHE_LINE_SIZE, (size_t)allocated);
    }
    if (bytes == NULL) {
        return pto_fail_no_host_memory(err, "the compiled graph", allocated);
    }
    pto__prefer_large_pages(bytes, (size_t)allocated);
    *image = (struct pto_image){
        .header = (struct pto_image_header *)(void *)bytes,
        .bytes = bytes,
        .size_bytes = size_bytes,
    };
    return PTO_OK;
}

static void fill_records(const struct pto_image *image, const struct pto_graph *graph,
                         const struct pto_csr *csr)
{
    const struct pto_image_header *header = image->header;
    struct pto_task_record *records = (void *)(image->bytes + header->record_offset);
    uint32_t *ready = (void *)(image->bytes + header->ready_offset);
    uint64_t *spill = (void *)(image->bytes + header->spill_offset);
    uint32_t ready_count = 0;
    uint64_t spill_count = 0;
    for (uint32_t task = 0; task < csr->task_count; task++) {
        struct pto_task_record *record = &records[task];
        *record = graph->records[task];
        record->successor_begin = csr->begin[task];
        record->successor_count = csr->begin[task + 1] - csr->begin[task];
        record->predecessor_count = csr->nodes[task].predecessor_count;
        if (record->predecessor_count == 0) {
            ready[ready_count] = task;
            ready_count++;
        }
        if (record->arg_count > PTO_INLINE_ARG_COUNT) {
            memcpy(spill + spill_count, graph->spill + record->args[0],
                   record->arg_count * sizeof(*spill));
            record->args[0] = header->spill_offset + spill_count * sizeof(*spill);
            spill_count += record->arg_count;
        }
    }
    assert(ready_count == header->ready_count);
    assert(spill_count == header->spill_count);
}

static enum pto_status build_image(const struct pto_graph *graph, const struct pto_csr *csr,
                                   struct pto_image *image, struct pto_error *err)
{
    if (graph->spill_live > UINT32_MAX) {
        return pto_fail(err, PTO_E_LIMIT,
                        "tasks with more than %u arguments may have %u arguments altogether, but "
                        "this graph's have %zu; split the work into several graphs",
                        PTO_INLINE_ARG_COUNT, UINT32_MAX, graph->spill_live);
    }
    struct pto_image_header header = plan(graph, csr);
    enum pto_status status = allocate(image, header.size_bytes, err);
    if (status != PTO_OK) {
        return status;
    }
    *image->header = header;
    // Up to four bytes before a section are padding: equal graphs make equal images.
    uint64_t successor_size = header.edge_count * (uint64_t)sizeof(uint32_t);
    uint64_t successor_end = header.successor_offset + successor_size;
    uint64_t ready_end = header.ready_offset + header.ready_count * (uint64_t)sizeof(uint32_t);
    memset(image->bytes + successor_end, 0, (size_t)(header.ready_offset - successor_end));
    memset(image->bytes + ready_end, 0, (size_t)(header.spill_offset - ready_end));
    memcpy(image->bytes + header.successor_offset, csr->successors, (size_t)successor_size);
    fill_records(image, graph, csr);
    return PTO_OK;
}

enum pto_status pto__graph_compile(const struct pto_graph *graph, struct pto_image *out_image,
                                   struct pto_error *err)
{
    assert(atomic_load_explicit(&graph->state, memory_order_relaxed) > 0);
    *out_image = (struct pto_image){0};
    struct pto_csr csr;
    enum pto_status status = pto__csr_init(&csr, graph, err);
    if (status != PTO_OK) {
        return status;
    }
    if (graph->has_backward_edge) {
        status = pto__csr_check_acyclic(&csr, err);
    }
    if (status == PTO_OK) {
        status = build_image(graph, &csr, out_image, err);
    }
    pto__csr_fini(&csr);
    return status;
}

void pto__image_free(struct pto_image *image)
{
    if (image != NULL) {
        free(image->bytes);
        *image = (struct pto_image){0};
    }
}

static enum pto_status fail_image(struct pto_error *err, const char *what, uint64_t expected,
                                  uint64_t seen)
{
    return pto_fail(err, PTO_E_INTERNAL, "the graph image is not valid: %s is %llu instead of %llu",
                    what, (unsigned long long)seen, (unsigned long long)expected);
}

static enum pto_status check_header(const struct pto_image *image, struct pto_error *err)
{
    const struct pto_image_header *header = image->header;
    if ((const void *)header != (const void *)image->bytes ||
        (uintptr_t)image->bytes % PTO_CACHE_LINE_SIZE != 0 || image->size_bytes < sizeof(*header)) {
        return pto_fail(err, PTO_E_INTERNAL,
                        "the graph image is not valid: no aligned header at its start");
    }
    uint64_t successor_offset =
        sizeof(*header) + header->task_count * (uint64_t)sizeof(struct pto_task_record);
    uint64_t ready_offset =
        round_up(successor_offset + header->edge_count * (uint64_t)sizeof(uint32_t), 8);
    uint64_t spill_offset =
        round_up(ready_offset + header->ready_count * (uint64_t)sizeof(uint32_t), 8);
    uint64_t size_bytes = spill_offset + header->spill_count * (uint64_t)sizeof(uint64_t);
    const struct {
        const char *what;
        uint64_t expected;
        uint64_t seen;
    } fields[] = {
        {"the magic number", PTO_IMAGE_MAGIC, header->magic},
        {"the version", PTO_ABI_VERSION, header->version},
        {"the record offset", sizeof(*header), header->record_offset},
        {"the successor offset", successor_offset, header->successor_offset},
        {"the ready offset", ready_offset, header->ready_offset},
        {"the spill offset", spill_offset, header->spill_offset},
        {"the size in the header", size_bytes, header->size_bytes},
        {"the size of the image", size_bytes, image->size_bytes},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].seen != fields[i].expected) {
            return fail_image(err, fields[i].what, fields[i].expected, fields[i].seen);
        }
    }
    return PTO_OK;
}

// Checks one record, and counts it as a predecessor of its successors. `last_source` tells
// duplicates apart: the task that named a successor last, plus 1.
static enum pto_status check_record(const struct pto_image *image, uint32_t task,
                                    struct pto_csr_node *nodes, uint64_t *edge_count,
                                    uint64_t *spill_count, struct pto_error *err)
{
    const struct pto_image_header *header = image->header;
    const struct pto_task_record *records = (const void *)(image->bytes + header->record_offset);
    const struct pto_task_record *record = &records[task];
    const uint32_t *successors = (const void *)(image->bytes + header->successor_offset);
    if (record->func_id > PTO_FUNC_ID_MAX) {
        return fail_image(err, "a func_id", PTO_FUNC_ID_MAX, record->func_id);
    }
    if (record->arg_count > PTO_ARG_COUNT_MAX) {
        return fail_image(err, "an argument count", PTO_ARG_COUNT_MAX, record->arg_count);
    }
    if (record->successor_begin != *edge_count ||
        record->successor_count > header->edge_count - *edge_count) {
        return fail_image(err, "the start of a task's successors", *edge_count,
                          record->successor_begin);
    }
    *edge_count += record->successor_count;
    for (uint32_t i = 0; i < record->successor_count; i++) {
        uint32_t successor = successors[record->successor_begin + i];
        if (successor >= header->task_count || successor == task ||
            nodes[successor].scratch == task + 1) {
            return pto_fail(err, PTO_E_INTERNAL,
                            "the graph image is not valid: task %u has the successor %u, which is "
                            "unknown, itself, or there twice",
                            task, successor);
        }
        nodes[successor].scratch = task + 1;
        nodes[successor].predecessor_count++;
    }
    if (record->arg_count > PTO_INLINE_ARG_COUNT) {
        uint64_t offset = header->spill_offset + *spill_count * sizeof(uint64_t);
        if (record->args[0] != offset || record->arg_count > header->spill_count - *spill_count) {
            return fail_image(err, "the offset of a task's arguments", offset, record->args[0]);
        }
        *spill_count += record->arg_count;
    }
    return PTO_OK;
}

static enum pto_status check_records(const struct pto_image *image, struct pto_csr_node *nodes,
                                     struct pto_error *err)
{
    const struct pto_image_header *header = image->header;
    const struct pto_task_record *records = (const void *)(image->bytes + header->record_offset);
    const uint32_t *ready = (const void *)(image->bytes + header->ready_offset);
    uint64_t edge_count = 0;
    uint64_t spill_count = 0;
    for (uint32_t task = 0; task < header->task_count; task++) {
        enum pto_status status = check_record(image, task, nodes, &edge_count, &spill_count, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    if (edge_count != header->edge_count) {
        return fail_image(err, "the sum of the successor counts", header->edge_count, edge_count);
    }
    if (spill_count != header->spill_count) {
        return fail_image(err, "the sum of the spilled arguments", header->spill_count,
                          spill_count);
    }
    uint32_t ready_count = 0;
    for (uint32_t task = 0; task < header->task_count; task++) {
        if (records[task].predecessor_count != nodes[task].predecessor_count) {
            return fail_image(err, "a predecessor count", nodes[task].predecessor_count,
                              records[task].predecessor_count);
        }
        if (records[task].predecessor_count == 0) {
            if (ready_count == header->ready_count || ready[ready_count] != task) {
                return fail_image(err, "the task at its place in the ready list", task,
                                  ready_count == header->ready_count ? PTO_NO_TASK
                                                                     : ready[ready_count]);
            }
            ready_count++;
        }
    }
    if (ready_count != header->ready_count) {
        return fail_image(err, "the ready count", ready_count, header->ready_count);
    }
    return PTO_OK;
}

enum pto_status pto__image_check(const struct pto_image *image, struct pto_error *err)
{
    enum pto_status status = check_header(image, err);
    if (status != PTO_OK) {
        return status;
    }
    size_t node_count = (size_t)image->header->task_count + 1;
    struct pto_csr_node *nodes = calloc(node_count, sizeof(*nodes));
    if (nodes == NULL) {
        return pto_fail_no_host_memory(err, "checking the graph image",
                                       node_count * sizeof(*nodes));
    }
    status = check_records(image, nodes, err);
    free(nodes);
    return status;
}
