// Text from outside: what may be shown stays, the rest becomes '?'.
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void assert_cleaned(const char *text, const char *want)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text);
    text_clean(copy);
    assert_string_equal(copy, want);
}

static void what_may_be_shown_stays(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        " ~",
        "\xc2\xa0\xdf\xbf",                 // U+00A0, U+07FF
        "\xe0\xa0\x80\xed\x9f\xbf",         // U+0800, U+D7FF
        "\xee\x80\x80\xef\xbf\xbf",         // U+E000, U+FFFF
        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", // U+10000, U+10FFFF
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_cleaned(good[i], good[i]);
}

static void controls_go(void **state)
{
    (void)state;
    assert_cleaned("a\x1b[31mb\n\r\t\x7f\x01", "a?[31mb?????");
    assert_cleaned("\xc2\x9b"
                   "31m",
                   "??31m"); // U+009B is ESC [ too
}

static void what_is_no_character_goes(void **state)
{
    (void)state;
    assert_cleaned("\x80\xbf\xff\xfe", "????");
    assert_cleaned("\xc0\xaf\xc1\x81", "????");           // overlong
    assert_cleaned("\xe0\x9f\xbf", "???");                // overlong
    assert_cleaned("\xf0\x8f\xbf\xbf", "????");           // overlong
    assert_cleaned("\xed\xa0\x80\xed\xbf\xbf", "??????"); // surrogates
    assert_cleaned("\xf4\x90\x80\x80", "????");           // beyond U+10FFFF
    assert_cleaned("\xf8\x88\x80\x80\x80", "?????");
    assert_cleaned("\xc3", "?"); // cut
    assert_cleaned("a\xe2\x82", "a??");
    assert_cleaned("\xe2\x82z\xc3\xa4", "??z\xc3\xa4");
}

// A message may be cut in the middle of a character.
static void errors_are_clean(void **state)
{
    (void)state;
    struct err e;
    char text[1200];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = i % 2 ? '\xa4' : '\xc3';
    text[sizeof text - 1] = 0;
    err_set(&e, ERR_FAILED, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    assert_int_equal(e.msg[sizeof e.msg - 2], '?');
    assert_int_equal((unsigned char)e.msg[0], 0xc3);
    err_set(&e, ERR_FAILED, "two\nlines");
    err_wrap(&e, "\xff");
    assert_string_equal(e.msg, "?: two?lines");
    err_sys(&e, "\x1b");
    assert_int_equal(e.msg[0], '?');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_shown_stays),
        cmocka_unit_test(controls_go),
        cmocka_unit_test(what_is_no_character_goes),
        cmocka_unit_test(errors_are_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
