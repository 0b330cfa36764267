// SPDX-License-Identifier: Apache-2.0
// Adds a section to a 64-bit little-endian ELF file, whatever processor it is for: binutils refuse
// processors that they do not know, and the AICore is one. Run by the build.
//
//     add_section <program> <section name> <file with its bytes>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
    uint8_t ident[16];
    uint16_t type;
    uint16_t machine;
    uint32_t version;
    uint64_t entry;
    uint64_t segment_offset;
    uint64_t section_offset;
    uint32_t flags;
    uint16_t sizes[3]; // header, segment, number of segments
    uint16_t section_size;
    uint16_t section_count;
    uint16_t names_index;
};

struct section {
    uint32_t name;
    uint32_t type;
    uint64_t flags;
    uint64_t address;
    uint64_t offset;
    uint64_t size;
    uint32_t link;
    uint32_t info;
    uint64_t alignment;
    uint64_t entry_size;
};

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    if (bytes == NULL || fread(bytes, 1, *size, file) != *size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

static uint64_t append(FILE *file, const void *bytes, size_t size)
{
    static const uint8_t zeros[64];
    long end = ftell(file);
    size_t padding = (64 - (size_t)end % 64) % 64;
    if (fwrite(zeros, 1, padding, file) != padding || fwrite(bytes, 1, size, file) != size) {
        perror("write");
        exit(1);
    }
    return (uint64_t)end + padding;
}

// The old names, section headers and all else stay where they are; grown copies of the first two go
// to the end of the file.
static void add(FILE *file, struct header *header, const uint8_t *old, const char *name,
                const uint8_t *bytes, size_t size)
{
    size_t count = header->section_count;
    struct section *sections = calloc(count + 1, sizeof(*sections));
    if (sections == NULL) {
        exit(1);
    }
    memcpy(sections, old + header->section_offset, count * sizeof(*sections));
    struct section *names = &sections[header->names_index];
    size_t name_size = strlen(name) + 1;
    char *grown = malloc(names->size + name_size);
    if (grown == NULL) {
        exit(1);
    }
    memcpy(grown, old + names->offset, names->size);
    memcpy(grown + names->size, name, name_size);
    sections[count] = (struct section){.name = (uint32_t)names->size,
                                       .type = 1, // PROGBITS, and in no segment
                                       .size = size,
                                       .alignment = 64};
    names->size += name_size;
    names->offset = append(file, grown, names->size);
    sections[count].offset = append(file, bytes, size);
    header->section_offset = append(file, sections, (count + 1) * sizeof(*sections));
    header->section_count++;
    free(grown);
    free(sections);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    size_t old_size;
    size_t size;
    uint8_t *old = read_file(argv[1], &old_size);
    uint8_t *bytes = read_file(argv[3], &size);
    struct header header;
    memcpy(&header, old, sizeof(header));
    if (old_size < sizeof(header) || memcmp(header.ident, "\177ELF\2\1", 6) != 0 ||
        header.section_size != sizeof(struct section) || header.section_offset > old_size ||
        header.section_count > (old_size - header.section_offset) / sizeof(struct section) ||
        header.names_index >= header.section_count) {
        fprintf(stderr, "%s is not a 64-bit ELF file with sections\n", argv[1]);
        return 1;
    }
    FILE *file = fopen(argv[1], "r+b");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(argv[1]);
        return 1;
    }
    add(file, &header, old, argv[2], bytes, size);
    rewind(file);
    int good = fwrite(&header, sizeof(header), 1, file) == 1 && fclose(file) == 0;
    free(old);
    free(bytes);
    return good ? 0 : 1;
}
