// SPDX-License-Identifier: Apache-2.0
// host/memory.c: what the ledger holds, what it says of pointers, and random operations against a
// model that is a plain list. The seed is printed; PTO_TEST_SEED in the environment sets it. Needs
// no linker wraps.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "host/memory.h"

#define MODEL_BLOCK_MAX 3000u
#define SLOT_SIZE 256u

static struct pto_ledger *create(void)
{
    struct pto_ledger *ledger = NULL;
    assert_int_equal(pto__ledger_create(&ledger, NULL), PTO_OK);
    assert_non_null(ledger);
    return ledger;
}

static void add(struct pto_ledger *ledger, uint64_t address, uint64_t size_bytes)
{
    assert_int_equal(pto__ledger_reserve(ledger, NULL), PTO_OK);
    pto__ledger_add(ledger, address, size_bytes);
}

static void assert_says(const struct pto_error *err, const char *text)
{
    if (strstr(err->message, text) == NULL) {
        fail_msg("'%s' does not say '%s'", err->message, text);
    }
}

static void assert_check_fails(const struct pto_ledger *ledger, uint64_t pointer,
                               uint64_t size_bytes, const char *text)
{
    struct pto_error err;
    assert_int_equal(pto__ledger_check(ledger, pointer, size_bytes, "here", &err), PTO_E_POINTER);
    assert_int_equal(err.status, PTO_E_POINTER);
    assert_memory_equal(err.message, "here: ", 6);
    assert_says(&err, text);
    assert_int_equal(pto__ledger_check(ledger, pointer, size_bytes, "here", NULL), PTO_E_POINTER);
}

static void assert_remove_fails(struct pto_ledger *ledger, uint64_t pointer, const char *text)
{
    struct pto_error err;
    uint64_t size_bytes = 77;
    uint64_t generation = pto__ledger_generation(ledger);
    assert_int_equal(pto__ledger_remove(ledger, pointer, &size_bytes, &err), PTO_E_POINTER);
    assert_says(&err, text);
    assert_int_equal(size_bytes, 77);
    assert_int_equal(pto__ledger_generation(ledger), generation);
}

static void test_empty(void **state)
{
    (void)state;
    struct pto_ledger *ledger = create();
    uint64_t address = 0;
    uint64_t size_bytes = 0;
    struct pto_ledger_block block;
    assert_int_equal(pto__ledger_block_count(ledger), 0);
    assert_int_equal(pto__ledger_block_bytes(ledger), 0);
    assert_int_equal(pto__ledger_pop(ledger, &address, &size_bytes), 0);
    assert_int_equal(pto__ledger_find(ledger, 0x1000, &block), 0);
    assert_check_fails(ledger, 0, 4, "pointer is 0");
    assert_check_fails(ledger, 0, 0, "pointer is 0");
    assert_check_fails(ledger, 0x1000, 4, "0x1000 is unknown: it lies in none of the 0 live");
    assert_remove_fails(ledger, 0, "pointer is 0");
    assert_remove_fails(ledger, 0x1000, "is unknown");
    pto__ledger_destroy(ledger);
    pto__ledger_destroy(NULL);
}

static void test_check(void **state)
{
    (void)state;
    struct pto_ledger *ledger = create();
    add(ledger, 0x10000, 4000);
    add(ledger, 0x20000, 64);
    add(ledger, 0x20040, 64); // directly behind
    assert_int_equal(pto__ledger_check(ledger, 0x10000, 4000, "w", NULL), PTO_OK);
    assert_int_equal(pto__ledger_check(ledger, 0x10000 + 3999, 1, "w", NULL), PTO_OK);
    assert_int_equal(pto__ledger_check(ledger, 0x10000, 0, "w", NULL), PTO_OK);
    assert_int_equal(pto__ledger_check(ledger, 0x10000 + 4000, 0, "w", NULL), PTO_OK);
    assert_int_equal(pto__ledger_check(ledger, 0x20040, 64, "w", NULL), PTO_OK);
    assert_check_fails(ledger, 0x10000, 4096,
                       "4096 bytes from 0x10000 run 96 bytes past the end of the block of 4000 "
                       "bytes at 0x10000; 4000 bytes are left from there");
    assert_check_fails(ledger, 0x10000 + 100, 3901, "run 1 bytes past");
    assert_check_fails(ledger, 0x10000 + 100, UINT64_MAX, "past the end of the block of 4000");
    assert_check_fails(ledger, 0x20000, 65, "run 1 bytes past the end of the block of 64");
    assert_check_fails(ledger, 0x10000 + 4000, 1, "lies 0 bytes past the end of the block of 4000");
    assert_check_fails(ledger, 0x10000 + 4001, 0, "lies 1 bytes past the end of the block of 4000");
    assert_check_fails(ledger, 0xffff, 1, "0xffff is unknown: it lies in none of the 3 live");
    assert_check_fails(ledger, 0x90000000, 1, "is unknown");
    assert_check_fails(ledger, UINT64_MAX, UINT64_MAX, "is unknown");
    assert_check_fails(ledger, 0, 4, "pointer is 0");
    pto__ledger_destroy(ledger);
}

static void test_remove(void **state)
{
    (void)state;
    struct pto_ledger *ledger = create();
    uint64_t size_bytes = 0;
    add(ledger, 0x10000, 4000);
    assert_remove_fails(ledger, 0x10004, "lies 4 bytes into the block of 4000 bytes at 0x10000");
    assert_remove_fails(ledger, 0x10000 + 4000, "lies 0 bytes past the end");
    assert_int_equal(pto__ledger_remove(ledger, 0x10000, &size_bytes, NULL), PTO_OK);
    assert_int_equal(size_bytes, 4000);
    assert_remove_fails(ledger, 0x10000, "was freed before (a block of 4000 bytes)");
    assert_remove_fails(ledger, 0x10008, "was freed: it lies 8 bytes into a block of 4000 bytes");
    assert_check_fails(ledger, 0x10000, 16, "was freed: it lies 0 bytes into a block of 4000");
    assert_check_fails(ledger, 0x10000 + 4000, 16, "is unknown");
    // Memory that is allocated once more is live, and the newest story is told when it is not.
    add(ledger, 0x10000, 128);
    assert_int_equal(pto__ledger_check(ledger, 0x10000, 128, "w", NULL), PTO_OK);
    assert_check_fails(ledger, 0x10000 + 128, 1, "was freed: it lies 128 bytes into a block of 40");
    assert_int_equal(pto__ledger_remove(ledger, 0x10000, &size_bytes, NULL), PTO_OK);
    assert_int_equal(size_bytes, 128);
    assert_check_fails(ledger, 0x10000, 1, "a block of 128 bytes");
    // The memory of freed blocks is bounded; what fell out of it is unknown.
    for (uint64_t i = 0; i < 300; i++) {
        add(ledger, 0x100000 + i * 0x100000, 64);
    }
    for (uint64_t i = 0; i < 300; i++) {
        assert_int_equal(pto__ledger_remove(ledger, 0x100000 + i * 0x100000, &size_bytes, NULL),
                         PTO_OK);
    }
    assert_check_fails(ledger, 0x10000, 1, "is unknown");
    assert_check_fails(ledger, 0x100000 + 299 * 0x100000, 1, "was freed");
    pto__ledger_destroy(ledger);
}

static void test_pop(void **state)
{
    (void)state;
    struct pto_ledger *ledger = create();
    uint64_t address = 0;
    uint64_t size_bytes = 0;
    add(ledger, 0x3000, 3);
    add(ledger, 0x1000, 1);
    add(ledger, 0x4000, 4);
    add(ledger, 0x2000, 2);
    assert_int_equal(pto__ledger_remove(ledger, 0x1000, &size_bytes, NULL), PTO_OK);
    add(ledger, 0x1000, 5); // the newest, although an older addition had its address
    static const uint64_t order[] = {0x1000, 0x2000, 0x4000, 0x3000};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pto__ledger_block_count(ledger), 4 - i);
        assert_int_equal(pto__ledger_pop(ledger, &address, &size_bytes), 1);
        assert_int_equal(address, order[i]);
        assert_int_equal(size_bytes, i == 0 ? 5 : order[i] / 0x1000);
    }
    assert_int_equal(pto__ledger_pop(ledger, &address, &size_bytes), 0);
    assert_int_equal(pto__ledger_block_bytes(ledger), 0);
    assert_remove_fails(ledger, 0x4000, "was freed before");
    pto__ledger_destroy(ledger);
}

static void test_top_of_address_space(void **state)
{
    (void)state;
    struct pto_ledger *ledger = create();
    uint64_t start = UINT64_MAX - 64;
    add(ledger, start, 64);
    assert_int_equal(pto__ledger_check(ledger, start, 64, "w", NULL), PTO_OK);
    assert_int_equal(pto__ledger_check(ledger, UINT64_MAX, 0, "w", NULL), PTO_OK);
    assert_check_fails(ledger, start, 65, "run 1 bytes past");
    assert_check_fails(ledger, start + 1, UINT64_MAX, "past the end");
    pto__ledger_destroy(ledger);
}

// The model: blocks in the order of their addition.
struct model {
    struct pto_ledger_block blocks[MODEL_BLOCK_MAX];
    uint32_t count;
    uint64_t bytes;
};

static uint64_t random_state;

static uint64_t random_below(uint64_t bound)
{
    random_state ^= random_state << 13; // xorshift64
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % bound;
}

static int model_overlaps(const struct model *model, uint64_t address, uint64_t size_bytes)
{
    for (uint32_t i = 0; i < model->count; i++) {
        const struct pto_ledger_block *block = &model->blocks[i];
        if (address < block->address + block->size_bytes && block->address < address + size_bytes) {
            return 1;
        }
    }
    return 0;
}

static void model_drop(struct model *model, uint32_t index)
{
    model->bytes -= model->blocks[index].size_bytes;
    model->count--;
    memmove(&model->blocks[index], &model->blocks[index + 1],
            (model->count - index) * sizeof(model->blocks[0]));
}

static int model_allows(const struct model *model, uint64_t pointer, uint64_t size_bytes)
{
    for (uint32_t i = 0; i < model->count; i++) {
        const struct pto_ledger_block *block = &model->blocks[i];
        if (pointer >= block->address && pointer - block->address <= block->size_bytes &&
            size_bytes <= block->size_bytes - (pointer - block->address)) {
            return 1;
        }
    }
    return 0;
}

static void random_add(struct pto_ledger *ledger, struct model *model, uint64_t slot_count)
{
    uint64_t address = SLOT_SIZE * (1 + random_below(slot_count)) + random_below(4) * 64;
    uint64_t size_bytes = 1 + random_below(2 * SLOT_SIZE);
    if (model->count == MODEL_BLOCK_MAX || model_overlaps(model, address, size_bytes)) {
        return;
    }
    add(ledger, address, size_bytes);
    model->blocks[model->count] =
        (struct pto_ledger_block){.address = address, .size_bytes = size_bytes};
    model->count++;
    model->bytes += size_bytes;
}

static void random_remove(struct pto_ledger *ledger, struct model *model, uint64_t slot_count)
{
    uint64_t pointer = SLOT_SIZE * (1 + random_below(slot_count)) + random_below(4) * 64;
    if (model->count > 0 && random_below(4) > 0) {
        pointer = model->blocks[random_below(model->count)].address;
    }
    uint32_t index = 0;
    while (index < model->count && model->blocks[index].address != pointer) {
        index++;
    }
    uint64_t size_bytes = 0;
    enum pto_status status = pto__ledger_remove(ledger, pointer, &size_bytes, NULL);
    if (index == model->count) {
        assert_int_equal(status, PTO_E_POINTER);
        return;
    }
    assert_int_equal(status, PTO_OK);
    assert_int_equal(size_bytes, model->blocks[index].size_bytes);
    model_drop(model, index);
}

static void random_pop(struct pto_ledger *ledger, struct model *model)
{
    uint64_t address = 0;
    uint64_t size_bytes = 0;
    assert_int_equal(pto__ledger_pop(ledger, &address, &size_bytes), model->count > 0);
    if (model->count > 0) {
        assert_int_equal(address, model->blocks[model->count - 1].address);
        assert_int_equal(size_bytes, model->blocks[model->count - 1].size_bytes);
        model_drop(model, model->count - 1);
    }
}

static void random_check(const struct pto_ledger *ledger, const struct model *model,
                         uint64_t slot_count)
{
    uint64_t pointer = random_below(SLOT_SIZE * (slot_count + 3));
    uint64_t size_bytes = random_below(SLOT_SIZE);
    struct pto_ledger_block block;
    assert_int_equal(pto__ledger_check(ledger, pointer, size_bytes, "w", NULL) == PTO_OK,
                     model_allows(model, pointer, size_bytes));
    assert_int_equal(pto__ledger_find(ledger, pointer, &block), model_allows(model, pointer, 1));
}

// `grow` of 100 operations that change the ledger add.
static void run_random(struct pto_ledger *ledger, struct model *model, uint32_t operation_count,
                       uint64_t grow, uint64_t slot_count)
{
    for (uint32_t i = 0; i < operation_count; i++) {
        uint64_t generation = pto__ledger_generation(ledger);
        uint32_t count = model->count;
        if (random_below(100) < grow) {
            random_add(ledger, model, slot_count);
        } else if (random_below(3) > 0) {
            random_remove(ledger, model, slot_count);
        } else {
            random_pop(ledger, model);
        }
        assert_int_equal(pto__ledger_generation(ledger) != generation, model->count != count);
        random_check(ledger, model, slot_count);
        assert_int_equal(pto__ledger_block_count(ledger), model->count);
        assert_int_equal(pto__ledger_block_bytes(ledger), model->bytes);
    }
}

static void test_random(void **state)
{
    (void)state;
    const char *text = getenv("PTO_TEST_SEED");
    random_state = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    random_state |= 1;
    printf("PTO_TEST_SEED=%" PRIu64 "\n", random_state);
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    for (uint32_t round = 0; round < 4; round++) {
        struct pto_ledger *ledger = create();
        model->count = 0;
        model->bytes = 0;
        uint64_t slot_count = round % 2 == 0 ? 20 : 4000;
        run_random(ledger, model, 6000, 90, slot_count);
        run_random(ledger, model, 4000, 50, slot_count);
        run_random(ledger, model, 6000, 15, slot_count);
        while (model->count > 0) {
            random_pop(ledger, model);
        }
        random_pop(ledger, model);
        pto__ledger_destroy(ledger);
    }
    free(model);
}

// With a cost per operation that grows with the number of blocks this would not end in time.
static void test_many(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    struct pto_ledger *ledger = create();
    uint64_t size_bytes = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        add(ledger, ((i * 7919) % COUNT + 1) * 4096, 4096); // scattered, each address once
    }
    assert_int_equal(pto__ledger_block_bytes(ledger), (uint64_t)COUNT * 4096);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(pto__ledger_check(ledger, (i + 1) * 4096 + 4095, 1, "w", NULL), PTO_OK);
    }
    for (uint64_t i = 0; i < COUNT; i += 2) {
        assert_int_equal(pto__ledger_remove(ledger, (i + 1) * 4096, &size_bytes, NULL), PTO_OK);
    }
    uint64_t address = 0;
    uint64_t popped = 0;
    while (pto__ledger_pop(ledger, &address, &size_bytes)) {
        popped++;
    }
    assert_int_equal(popped, COUNT / 2);
    pto__ledger_destroy(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_pop),
        cmocka_unit_test(test_top_of_address_space),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
