// SPDX-License-Identifier: Apache-2.0
// Reads the description of AICPU functions that CANN takes: an object of objects of objects of
// strings, {"<name>": {"opInfo": {"<key>": "<value>", ...}}, ...}.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tests/fake_cann/state.h"

struct json {
    const char *at;
    int failed;
};

static int take(struct json *json, char character)
{
    while (isspace((unsigned char)*json->at)) {
        json->at++;
    }
    if (json->failed || *json->at != character) {
        return 0;
    }
    json->at++;
    return 1;
}

static void need(struct json *json, char character)
{
    json->failed = !take(json, character) || json->failed;
}

static void read_string(struct json *json, char *text, size_t size)
{
    size_t used = 0;
    need(json, '"');
    while (!json->failed && *json->at != '"') {
        if (*json->at == '\0' || *json->at == '\\' || used + 1 == size) {
            json->failed = 1;
            return;
        }
        text[used++] = *json->at++;
    }
    text[used] = '\0';
    need(json, '"');
}

static int is_known_flag(const char *key)
{
    static const char *const keys[] = {"computeCost", "engine", "flagAsync", "flagPartial"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(key, keys[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void read_info(struct json *json, struct fake_function *function)
{
    char key[64];
    char value[64];
    int seen = 0;
    need(json, '{');
    do {
        read_string(json, key, sizeof(key));
        need(json, ':');
        read_string(json, value, sizeof(value));
        if (strcmp(key, "functionName") == 0) {
            function->kind =
                strcmp(value, PTO_CANN_LOADER_INIT) == 0 ? FAKE_FUNCTION_INIT : FAKE_FUNCTION_RUN;
            seen +=
                strcmp(value, PTO_CANN_LOADER_INIT) == 0 || strcmp(value, PTO_CANN_LOADER_RUN) == 0;
        } else if (strcmp(key, "kernelSo") == 0) {
            seen += strcmp(value, PTO_CANN_LOADER_SO) == 0;
        } else if (strcmp(key, "opKernelLib") == 0) {
            seen += strcmp(value, "KFCKernel") == 0;
        } else if (strcmp(key, "userDefined") == 0) {
            seen += strcmp(value, "False") == 0;
        } else if (!is_known_flag(key)) {
            json->failed = 1;
        }
    } while (take(json, ','));
    need(json, '}');
    json->failed |= seen != 4;
}

uint32_t fake_json_functions(const char *text, struct fake_function functions[2])
{
    struct json json = {.at = text};
    uint32_t count = 0;
    char key[64];
    need(&json, '{');
    do {
        if (count == 2) {
            return 0;
        }
        read_string(&json, functions[count].name, sizeof(functions[count].name));
        need(&json, ':');
        need(&json, '{');
        read_string(&json, key, sizeof(key));
        json.failed |= strcmp(key, "opInfo") != 0;
        need(&json, ':');
        read_info(&json, &functions[count]);
        need(&json, '}');
        count++;
    } while (take(&json, ','));
    need(&json, '}');
    return json.failed ? 0 : count;
}
