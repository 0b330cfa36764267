// SPDX-License-Identifier: Apache-2.0
// Device memory: which pointers and sizes are taken and which refused, and random operations
// against a model that keeps the contents of every block.
#include "tests/cts/cts.h"

static void copy_and_read_back(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    uint8_t host[300];
    uint8_t seen[300];
    uint64_t block = cts_allocate(runner, 300);
    for (uint32_t i = 0; i < 300; i++) {
        host[i] = (uint8_t)(i * 7);
    }
    cts_write(runner, block, host, 300);
    memset(seen, 0, sizeof(seen));
    cts_read(runner, seen, block, 300);
    assert_memory_equal(seen, host, 300);
    // Inside the block, at an odd place, up to its very end.
    cts_read(runner, seen, block + 101, 199);
    assert_memory_equal(seen, host + 101, 199);
    cts_write(runner, block + 299, "x", 1);
    cts_read(runner, seen, block, 300);
    assert_memory_equal(seen, host, 299);
    assert_int_equal(seen[299], 'x');
    cts_close(runner);
}

static void zero_bytes(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    uint64_t pointer = 77;
    char byte = 5;
    CTS_FAILS(pto_runner_allocate(runner, 0, &pointer, &cts_error), PTO_E_RANGE, "0 bytes");
    assert_true(pointer == 0);
    uint64_t block = cts_allocate(runner, 1);
    // Nothing is copied, but the pointer must be one.
    CTS_OK(pto_runner_copy_to_device(runner, block, NULL, 0, &cts_error));
    CTS_OK(pto_runner_copy_from_device(runner, NULL, block, 0, &cts_error));
    CTS_OK(pto_runner_copy_to_device(runner, block + 1, &byte, 0, &cts_error));
    CTS_FAILS(pto_runner_copy_to_device(runner, 0, &byte, 0, &cts_error), PTO_E_POINTER, "0");
    CTS_FAILS(pto_runner_copy_from_device(runner, &byte, 64, 0, &cts_error), PTO_E_POINTER, "0x40");
    CTS_FAILS(pto_runner_copy_to_device(runner, block, NULL, 1, &cts_error), PTO_E_ARGUMENT,
              "NULL");
    CTS_FAILS(pto_runner_copy_from_device(runner, NULL, block, 1, &cts_error), PTO_E_ARGUMENT,
              "NULL");
    assert_int_equal(byte, 5);
    cts_close(runner);
}

static void past_the_end(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    uint8_t host[256] = {0};
    uint64_t block = cts_allocate(runner, 100);
    CTS_OK(pto_runner_copy_to_device(runner, block, host, 100, &cts_error));
    CTS_FAILS(pto_runner_copy_to_device(runner, block, host, 101, &cts_error), PTO_E_POINTER,
              "100 bytes");
    CTS_FAILS(pto_runner_copy_from_device(runner, host, block, 101, &cts_error), PTO_E_POINTER,
              "100 bytes");
    CTS_FAILS(pto_runner_copy_to_device(runner, block + 100, host, 1, &cts_error), PTO_E_POINTER,
              "0x");
    CTS_FAILS(pto_runner_copy_from_device(runner, host, block + 99, 2, &cts_error), PTO_E_POINTER,
              "0x");
    CTS_FAILS(pto_runner_copy_from_device(runner, host, block - 1, 2, &cts_error), PTO_E_POINTER,
              "0x");
    // Sizes whose sum with the pointer wraps.
    static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 63, UINT64_C(1) << 63,
                                     UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CTS_FAILS(pto_runner_copy_to_device(runner, block, host, sizes[i], &cts_error),
                  PTO_E_POINTER, "0x");
        CTS_FAILS(pto_runner_copy_from_device(runner, host, block + 99, sizes[i], &cts_error),
                  PTO_E_POINTER, "0x");
        CTS_FAILS(pto_runner_copy_from_device(runner, host, block, UINT64_MAX - block + 1 + i,
                                              &cts_error),
                  PTO_E_POINTER, "0x");
    }
    CTS_FAILS(pto_runner_copy_to_device(runner, UINT64_MAX, host, 1, &cts_error), PTO_E_POINTER,
              "0xffffffffffffffff");
    cts_close(runner);
}

static void bad_frees(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    char byte = 0;
    uint64_t first = cts_allocate(runner, 1000);
    uint64_t second = cts_allocate(runner, 1000);
    CTS_FAILS(pto_runner_free(runner, 0, &cts_error), PTO_E_POINTER, "0");
    CTS_FAILS(pto_runner_free(runner, first + 64, &cts_error), PTO_E_POINTER, "0x");
    CTS_FAILS(pto_runner_free(runner, first + 1000, &cts_error), PTO_E_POINTER, "0x");
    CTS_FAILS(pto_runner_free(runner, first - 64, &cts_error), PTO_E_POINTER, "0x");
    CTS_FAILS(pto_runner_free(runner, (uint64_t)(uintptr_t)&byte, &cts_error), PTO_E_POINTER, "0x");
    CTS_FAILS(pto_runner_free(runner, UINT64_MAX, &cts_error), PTO_E_POINTER, "0x");
    assert_true(cts_info(runner).block_count == 2);
    CTS_OK(pto_runner_free(runner, first, &cts_error));
    CTS_FAILS(pto_runner_free(runner, first, &cts_error), PTO_E_POINTER, "freed");
    CTS_FAILS(pto_runner_copy_to_device(runner, first, &byte, 1, &cts_error), PTO_E_POINTER,
              "freed");
    CTS_FAILS(pto_runner_copy_from_device(runner, &byte, first + 999, 1, &cts_error), PTO_E_POINTER,
              "freed");
    CTS_OK(pto_runner_copy_to_device(runner, second, &byte, 1, &cts_error));
    CTS_OK(pto_runner_free(runner, second, &cts_error));
    assert_true(cts_info(runner).block_count == 0 && cts_info(runner).block_bytes == 0);
    cts_close(runner);
}

static void huge_sizes(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    static const uint64_t sizes[] = {UINT64_MAX,        UINT64_MAX - 1,    UINT64_MAX - 63,
                                     UINT64_MAX - 64,   UINT64_MAX - 8191, UINT64_C(1) << 63,
                                     UINT64_C(1) << 62, UINT64_C(1) << 48, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t pointer = 77;
        CTS_FAILS(pto_runner_allocate(runner, sizes[i], &pointer, &cts_error), PTO_E_NO_MEMORY,
                  "bytes");
        assert_true(pointer == 0);
    }
    assert_true(cts_info(runner).block_count == 0 && cts_info(runner).block_bytes == 0);
    uint64_t block = cts_allocate(runner, 1 << 20);
    CTS_OK(pto_runner_free(runner, block, &cts_error));
    cts_close(runner);
}

struct model_block {
    uint64_t pointer;
    uint64_t size_bytes;
    uint8_t *bytes;
};

#define MODEL_MAX 60u

static void model_allocate(struct pto_runner *runner, struct model_block *block, uint64_t *random)
{
    block->size_bytes = 1 + test_below(random, test_below(random, 4) == 0 ? 100000 : 300);
    block->pointer = cts_allocate(runner, block->size_bytes);
    block->bytes = malloc(block->size_bytes);
    assert_non_null(block->bytes);
    for (uint64_t i = 0; i < block->size_bytes; i++) {
        block->bytes[i] = (uint8_t)test_random(random);
    }
    cts_write(runner, block->pointer, block->bytes, block->size_bytes);
}

static void model_free(struct pto_runner *runner, struct model_block *block)
{
    uint8_t *seen = malloc(block->size_bytes);
    assert_non_null(seen);
    cts_read(runner, seen, block->pointer, block->size_bytes);
    assert_memory_equal(seen, block->bytes, block->size_bytes);
    CTS_OK(pto_runner_free(runner, block->pointer, &cts_error));
    CTS_FAILS(pto_runner_free(runner, block->pointer, &cts_error), PTO_E_POINTER, "freed");
    free(seen);
    free(block->bytes);
    *block = (struct model_block){0};
}

static void model_copy(struct pto_runner *runner, struct model_block *block, uint64_t *random)
{
    uint64_t offset = test_below(random, (uint32_t)block->size_bytes + 1);
    uint64_t size = test_below(random, (uint32_t)(block->size_bytes - offset) + 1);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    if (test_below(random, 2) == 0) {
        for (uint64_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)test_random(random);
        }
        cts_write(runner, block->pointer + offset, bytes, size);
        memcpy(block->bytes + offset, bytes, size);
    } else {
        cts_read(runner, bytes, block->pointer + offset, size);
        assert_memory_equal(bytes, block->bytes + offset, size);
        uint64_t over = block->size_bytes - offset + 1 + test_below(random, 1000);
        CTS_FAILS(
            pto_runner_copy_from_device(runner, bytes, block->pointer + offset, over, &cts_error),
            PTO_E_POINTER, "0x");
    }
    free(bytes);
}

static void random_operations(const struct cts_backend *backend)
{
    uint64_t seed = test_seed();
    uint64_t random = seed;
    struct pto_runner *runner = cts_open(backend, 1);
    struct model_block blocks[MODEL_MAX] = {{0}};
    printf("seed %" PRIu64 "\n", seed);
    for (uint64_t i = test_cases(20000); i != 0; i--) {
        struct model_block *block = &blocks[test_below(&random, MODEL_MAX)];
        if (block->pointer == 0) {
            model_allocate(runner, block, &random);
        } else if (test_below(&random, 4) == 0) {
            model_free(runner, block);
        } else {
            model_copy(runner, block, &random);
        }
        uint64_t count = 0;
        uint64_t bytes = 0;
        for (uint32_t k = 0; k < MODEL_MAX; k++) {
            count += blocks[k].pointer != 0;
            bytes += blocks[k].size_bytes;
        }
        assert_true(cts_info(runner).block_count == count);
        assert_true(cts_info(runner).block_bytes == bytes);
    }
    for (uint32_t k = 0; k < MODEL_MAX; k++) {
        if (blocks[k].pointer != 0) {
            model_free(runner, &blocks[k]);
        }
    }
    cts_close(runner);
}

static const struct cts_case cases[] = {
    CTS_CASE(copy_and_read_back), CTS_CASE(zero_bytes), CTS_CASE(past_the_end),
    CTS_CASE(bad_frees),          CTS_CASE(huge_sizes), CTS_CASE(random_operations),
};

CTS_MAIN(cases)
