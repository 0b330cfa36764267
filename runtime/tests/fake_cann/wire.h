// SPDX-License-Identifier: Apache-2.0
// Between the stand-in's libraries, in the process of the program under test, and its device, a
// process of its own.
//
// Device memory is a memory file. The device maps it at its device addresses. The program's process
// has the same addresses reserved without access, so that touching a device pointer crashes, and a
// second mapping elsewhere, which only the stand-in's copies use.
#ifndef PTO_TESTS_FAKE_WIRE_H
#define PTO_TESTS_FAKE_WIRE_H

#include <stdint.h>

#define FAKE_MEMORY_BYTES (UINT64_C(64) << 30)
#define FAKE_MEMORY_FD 3
#define FAKE_SOCKET_FD 4
#define FAKE_EXIT_TAKEN 99 // something else lies at the device's addresses

// What an AICore program's ELF header says. No number is documented; this one is no processor's.
#define FAKE_MACHINE_AICORE 0x1029u
#define FAKE_MACHINE_AARCH64 183u
#if defined(__aarch64__)
#define FAKE_MACHINE_NATIVE 183u
#else
#define FAKE_MACHINE_NATIVE 62u
#endif
#define FAKE_ELF_MACHINE_OFFSET 18

#define FAKE_AICPU_COUNT 6u

enum fake_kind {
    FAKE_LOAD_AICORE, // path -> handle
    FAKE_UNLOAD_AICORE,
    FAKE_RUN_AICORE, // handle, blocks, args
    FAKE_INIT_AICPU, // args
    FAKE_RUN_AICPU,  // blocks, args
};

#define FAKE_ARGS_MAX 256u

// A command, and, with the same job number, its answer.
struct fake_message {
    uint32_t kind;
    uint32_t job;
    uint32_t blocks;
    uint32_t args_size;
    uint64_t handle;
    int32_t code;
    uint32_t reserved;
    uint8_t args[FAKE_ARGS_MAX];
    char path[256];
};

#endif // PTO_TESTS_FAKE_WIRE_H
