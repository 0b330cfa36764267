// SPDX-License-Identifier: Apache-2.0
// Copies a program that was built for this machine and writes another processor's number into the
// copy's ELF header. The library under test then sees what it would see on an NPU, and the stand-in
// knows how to run it.
//
//     mark_machine <from> <to> <number>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ELF_MACHINE_OFFSET 18

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    FILE *from = fopen(argv[1], "rb");
    FILE *to = fopen(argv[2], "wb");
    if (from == NULL || to == NULL) {
        perror(from == NULL ? argv[1] : argv[2]);
        return 1;
    }
    char buffer[4096];
    size_t size;
    while ((size = fread(buffer, 1, sizeof(buffer), from)) != 0) {
        if (fwrite(buffer, 1, size, to) != size) {
            return 1;
        }
    }
    unsigned long number = strtoul(argv[3], NULL, 0);
    uint8_t machine[2] = {(uint8_t)number, (uint8_t)(number >> 8)};
    if (ferror(from) || fseek(to, ELF_MACHINE_OFFSET, SEEK_SET) != 0 ||
        fwrite(machine, 1, 2, to) != 2 || fclose(to) != 0) {
        return 1;
    }
    fclose(from);
    return 0;
}
