// SPDX-License-Identifier: Apache-2.0
// A graph as text. Numbers are formatted here rather than by snprintf: a graph of a million tasks
// has ten million of them.
#include <string.h>

#include "graph/graph.h"

#define PIECE_SIZE 4096u

// Longest number: 64 bits in decimal are 20 digits.
#define NUMBER_SIZE_MAX 24u

struct printer {
    pto_text_function *write;
    void *context;
    int ended; // nonzero once `write` asked for the end: nothing more is written
    size_t used;
    char piece[PIECE_SIZE];
};

static void flush(struct printer *printer)
{
    if (printer->used > 0 && !printer->ended) {
        printer->ended = printer->write(printer->context, printer->piece, printer->used) != 0;
    }
    printer->used = 0;
}

static void put_bytes(struct printer *printer, const char *text, size_t size_bytes)
{
    assert(size_bytes <= PIECE_SIZE);
    if (size_bytes > PIECE_SIZE - printer->used) {
        flush(printer);
    }
    memcpy(printer->piece + printer->used, text, size_bytes);
    printer->used += size_bytes;
}

static void put_text(struct printer *printer, const char *text)
{
    put_bytes(printer, text, strlen(text));
}

static void put_decimal(struct printer *printer, uint64_t value)
{
    char text[NUMBER_SIZE_MAX];
    size_t at = sizeof(text);
    do {
        at--;
        text[at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put_bytes(printer, text + at, sizeof(text) - at);
}

static void put_hexadecimal(struct printer *printer, uint64_t value)
{
    char text[NUMBER_SIZE_MAX];
    size_t at = sizeof(text);
    do {
        at--;
        text[at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value != 0);
    put_bytes(printer, text + at, sizeof(text) - at);
}

static void put_count(struct printer *printer, uint64_t count, const char *noun)
{
    put_decimal(printer, count);
    put_text(printer, noun);
    if (count != 1) {
        put_text(printer, "s");
    }
}

static void put_task(struct printer *printer, const struct pto_graph *graph,
                     const struct pto_csr *csr, uint32_t task)
{
    const struct pto_task_record *record = &graph->records[task];
    const uint64_t *args = pto__graph_task_args(graph, record);
    put_text(printer, "  task ");
    put_decimal(printer, task);
    put_text(printer, ": func_id=");
    put_decimal(printer, record->func_id);
    put_text(printer, " args=[");
    for (uint32_t i = 0; i < record->arg_count; i++) {
        put_text(printer, i == 0 ? "0x" : ", 0x");
        put_hexadecimal(printer, args[i]);
    }
    put_text(printer, "] -> [");
    for (uint32_t i = csr->begin[task]; i < csr->begin[task + 1] && !printer->ended; i++) {
        if (i > csr->begin[task]) {
            put_text(printer, ", ");
        }
        put_decimal(printer, csr->successors[i]);
    }
    put_text(printer, "]\n");
}

static enum pto_status print_pinned(const struct pto_graph *graph, pto_text_function *write,
                                    void *context, struct pto_error *err)
{
    struct pto_csr csr;
    enum pto_status status = pto__csr_init(&csr, graph, err);
    if (status != PTO_OK) {
        return status;
    }
    struct printer printer;
    printer.write = write;
    printer.context = context;
    printer.ended = 0;
    printer.used = 0;
    put_text(&printer, "Graph: ");
    put_count(&printer, csr.task_count, " task");
    put_text(&printer, ", ");
    put_count(&printer, csr.edge_count, " edge");
    if (graph->edge_count > csr.edge_count) {
        put_text(&printer, " (");
        put_count(&printer, graph->edge_count - csr.edge_count, " duplicate");
        put_text(&printer, " left out)");
    }
    put_text(&printer, "\n");
    for (uint32_t task = 0; task < csr.task_count && !printer.ended; task++) {
        put_task(&printer, graph, &csr, task);
    }
    flush(&printer);
    pto__csr_fini(&csr);
    if (printer.ended) {
        return pto_fail(err, PTO_E_INTERRUPTED,
                        "print: ended early because the function that receives the text asked for "
                        "it");
    }
    return PTO_OK;
}

enum pto_status pto_graph_print(struct pto_graph *graph, pto_text_function *write, void *context,
                                struct pto_error *err)
{
    if (graph == NULL || write == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "print: %s is NULL",
                        graph == NULL ? "graph" : "write");
    }
    enum pto_status status = pto__graph_pin(graph, err);
    if (status != PTO_OK) {
        return status;
    }
    status = print_pinned(graph, write, context, err);
    pto__graph_unpin(graph);
    return status;
}
