// SPDX-License-Identifier: Apache-2.0
// base/error.c: status names, and messages that are always whole UTF-8 characters.
// Needs no linker wraps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "pto/pto.h"

static void test_version(void **state)
{
    (void)state;
    assert_string_equal(pto_version(), PTO_VERSION);
}

static void test_status_names(void **state)
{
    (void)state;
    assert_string_equal(pto_status_name(PTO_OK), "PTO_OK");
    assert_string_equal(pto_status_name(PTO_E_INTERNAL), "PTO_E_INTERNAL");
    assert_string_equal(pto_status_name((enum pto_status)1), "PTO_E_UNKNOWN");
    for (int a = 0; a >= PTO_E_CHECK; a--) {
        assert_memory_equal(pto_status_name((enum pto_status)a), "PTO_", 4);
        assert_string_not_equal(pto_status_name((enum pto_status)a), "PTO_E_UNKNOWN");
        for (int b = 0; b > a; b--) {
            assert_string_not_equal(pto_status_name((enum pto_status)a),
                                    pto_status_name((enum pto_status)b));
        }
    }
    assert_string_equal(pto_status_name((enum pto_status)(PTO_E_CHECK - 1)), "PTO_E_UNKNOWN");
}

static void test_fields(void **state)
{
    (void)state;
    struct pto_error err;
    memset(&err, 0x5a, sizeof(err));
    assert_int_equal(pto_fail(&err, PTO_E_RANGE, "%d of %s", 3, "four"), PTO_E_RANGE);
    assert_int_equal(err.status, PTO_E_RANGE);
    assert_int_equal(err.vendor_code, 0);
    assert_int_equal(err.task, PTO_ERROR_NONE);
    assert_int_equal(err.func_id, PTO_ERROR_NONE);
    assert_int_equal(err.core, PTO_ERROR_NONE);
    assert_int_equal(err.task_code, 0);
    assert_string_equal(err.kernel, "");
    assert_string_equal(err.message, "3 of four");
    pto_error_clear(&err);
    assert_int_equal(err.status, PTO_OK);
    assert_string_equal(err.message, "");
    pto_error_clear(NULL);
    assert_int_equal(pto_fail(NULL, PTO_E_STATE, "not kept"), PTO_E_STATE);
    assert_int_equal(pto_fail_no_host_memory(NULL, "a test", 5), PTO_E_NO_MEMORY);
    assert_int_equal(pto_fail_no_host_memory(&err, "a test", 5), PTO_E_NO_MEMORY);
    assert_non_null(strstr(err.message, "a test: 5 bytes"));
}

static void test_message_made_of_itself(void **state)
{
    (void)state;
    struct pto_error err;
    (void)pto_fail(&err, PTO_E_FILE, "inner");
    (void)pto_fail(&err, PTO_E_FILE, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
}

// Every place at which a message can be cut, for characters of one to four bytes.
static void test_cut_at_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x9c\x93", "\xf0\x9f\x9a\x80"};
    for (size_t c = 0; c < 4; c++) {
        size_t size = c + 1;
        for (size_t lead = 0; lead < 8; lead++) {
            char text[2 * PTO_ERROR_MESSAGE_SIZE] = "--------";
            size_t used = lead;
            while (used + size < sizeof(text)) {
                memcpy(text + used, characters[c], size);
                used += size;
            }
            text[used] = '\0';
            struct pto_error err;
            (void)pto_fail(&err, PTO_E_FILE, "%s", text);
            size_t length = strlen(err.message);
            size_t room = PTO_ERROR_MESSAGE_SIZE - 1 - lead;
            assert_int_equal(length, lead + room / size * size);
            assert_memory_equal(err.message, text, length);
        }
    }
}

static void test_message_that_just_fits(void **state)
{
    (void)state;
    char text[PTO_ERROR_MESSAGE_SIZE];
    memset(text, 'x', sizeof(text));
    memcpy(text + sizeof(text) - 4, "\xe2\x9c\x93", 4);
    struct pto_error err;
    (void)pto_fail(&err, PTO_E_FILE, "%s", text);
    assert_string_equal(err.message, text);
}

static void test_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *kept;
    } cases[] = {
        {"a\xffz", "a?z"},
        {"\x80\xbf", "??"},
        {"\xc3", "?"},                            // ends too early
        {"\xc3(", "?("},                          // no continuation
        {"\xc0\xaf", "??"},                       // overlong slash
        {"\xe0\x80\xaf", "???"},                  // overlong slash, three bytes
        {"\xed\xa0\x80", "???"},                  // surrogate
        {"\xf0\x80\x80\x80", "????"},             // overlong
        {"\xf4\x90\x80\x80", "????"},             // past U+10FFFF
        {"\xf5\x80\x80\x80", "????"},             // no such lead
        {"\xf0\x9f\x9a", "???"},                  // ends too early
        {"\xed\x9f\xbf", "\xed\x9f\xbf"},         // last before the surrogates
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, // U+10FFFF
        {"\xe0\xa0\x80", "\xe0\xa0\x80"},         // U+0800
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pto_error err;
        (void)pto_fail(&err, PTO_E_FILE, "<%s>", cases[i].given);
        size_t length = strlen(err.message);
        assert_int_equal(length, strlen(cases[i].kept) + 2);
        assert_memory_equal(err.message + 1, cases[i].kept, length - 2);
        (void)pto_fail(&err, PTO_E_FILE, "%s", cases[i].given);
        assert_string_equal(err.message, cases[i].kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_message_made_of_itself),
        cmocka_unit_test(test_cut_at_characters),
        cmocka_unit_test(test_message_that_just_fits),
        cmocka_unit_test(test_bytes_that_are_not_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
