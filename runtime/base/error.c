// SPDX-License-Identifier: Apache-2.0
// Status names, the version, and messages that are valid UTF-8 whatever text went into them.
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pto/pto.h"

const char *pto_version(void)
{
    return PTO_VERSION;
}

const char *pto_status_name(enum pto_status status)
{
    switch (status) {
    case PTO_OK: return "PTO_OK";
    case PTO_E_ARGUMENT: return "PTO_E_ARGUMENT";
    case PTO_E_RANGE: return "PTO_E_RANGE";
    case PTO_E_LIMIT: return "PTO_E_LIMIT";
    case PTO_E_STATE: return "PTO_E_STATE";
    case PTO_E_BUSY: return "PTO_E_BUSY";
    case PTO_E_FORKED: return "PTO_E_FORKED";
    case PTO_E_NO_MEMORY: return "PTO_E_NO_MEMORY";
    case PTO_E_POINTER: return "PTO_E_POINTER";
    case PTO_E_CYCLE: return "PTO_E_CYCLE";
    case PTO_E_FILE: return "PTO_E_FILE";
    case PTO_E_PROGRAM: return "PTO_E_PROGRAM";
    case PTO_E_BACKEND: return "PTO_E_BACKEND";
    case PTO_E_KERNEL: return "PTO_E_KERNEL";
    case PTO_E_TASK: return "PTO_E_TASK";
    case PTO_E_FAULT: return "PTO_E_FAULT";
    case PTO_E_TIMEOUT: return "PTO_E_TIMEOUT";
    case PTO_E_INTERRUPTED: return "PTO_E_INTERRUPTED";
    case PTO_E_FAILED: return "PTO_E_FAILED";
    case PTO_E_DEVICE: return "PTO_E_DEVICE";
    case PTO_E_INTERNAL: return "PTO_E_INTERNAL";
    case PTO_E_ORDER: return "PTO_E_ORDER";
    case PTO_E_CHECK: return "PTO_E_CHECK";
    }
    return "PTO_E_UNKNOWN";
}

// How many bytes the character has that starts with this byte, 0 when none does.
static size_t declared_size(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        return 4;
    }
    return 0;
}

// The size of the UTF-8 character at `text`, 0 when there is none within `size_bytes`. Refuses
// overlong forms, surrogates and numbers past U+10FFFF, as Python's decoder does.
static size_t character_size(const unsigned char *text, size_t size_bytes)
{
    size_t size = declared_size(text[0]);
    if (size > size_bytes) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f)) {
        return 0;
    }
    return size;
}

// The length of a text that was cut at `length` bytes, without the part of a character at its end.
static size_t whole_characters(const unsigned char *text, size_t length)
{
    size_t start = length;
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        start = length - back;
        if ((text[start] & 0xc0) != 0x80) {
            return declared_size(text[start]) > back ? start : length;
        }
    }
    return length;
}

void pto_error_clear(struct pto_error *err)
{
    if (err == NULL) {
        return;
    }
    *err = (struct pto_error){
        .status = PTO_OK,
        .task = PTO_ERROR_NONE,
        .func_id = PTO_ERROR_NONE,
        .core = PTO_ERROR_NONE,
    };
}

enum pto_status pto_fail(struct pto_error *err, enum pto_status status, const char *format, ...)
{
    if (err == NULL) {
        return status;
    }
    // Formatted beside *err, because an argument may be the very message that is replaced.
    char text[PTO_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (written < 0) {
        written = snprintf(text, sizeof(text), "%s", pto_status_name(status));
    }
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = strlen(text);
    if ((size_t)written >= sizeof(text)) {
        length = whole_characters(bytes, length);
    }
    pto_error_clear(err);
    err->status = status;
    // File names are any bytes: what is not UTF-8 shows as a question mark.
    size_t at = 0;
    while (at < length) {
        size_t size = character_size(bytes + at, length - at);
        if (size == 0) {
            err->message[at] = '?';
            at++;
        } else {
            memcpy(err->message + at, text + at, size);
            at += size;
        }
    }
    err->message[at] = '\0';
    return status;
}

enum pto_status pto_fail_no_host_memory(struct pto_error *err, const char *purpose,
                                        uint64_t size_bytes)
{
    return pto_fail(err, PTO_E_NO_MEMORY,
                    "no host memory for %s: %llu bytes could not be allocated; free memory, or "
                    "raise the process's memory limit",
                    purpose, (unsigned long long)size_bytes);
}
