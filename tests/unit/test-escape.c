// Keys for us and keys for the guest, in every way that they can be cut into pieces.
#include "cli/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// In pieces of `step` keys, filtered in place as the relay does it.
static bool type(const char *keys, size_t step, char *guest)
{
    struct escape x = {0};
    bool leave = false;
    size_t n = strlen(keys);
    size_t len = 0;
    for (size_t at = 0; at < n && !leave; at += step) {
        char room[64];
        size_t part = n - at < step ? n - at : step;
        memcpy(room + 1, keys + at, part);
        size_t got = escape_filter(&x, room + 1, part, room, &leave);
        assert_true(got <= part + 1);
        memcpy(guest + len, room, got);
        len += got;
    }
    guest[len] = 0;
    return leave;
}

static void assert_typed(const char *keys, const char *want, bool leave)
{
    char guest[64];
    for (size_t step = 1; step <= strlen(keys); step++) {
        assert_int_equal(type(keys, step, guest), leave);
        assert_string_equal(guest, want);
    }
}

static void at_the_beginning_of_a_line_it_leaves(void **state)
{
    (void)state;
    assert_typed("~.", "", true);
    assert_typed("ls\r~.never", "ls\r", true);
    assert_typed("ls\n~.", "ls\n", true);
    assert_typed("~~\r~.", "~\r", true);
}

static void elsewhere_it_is_a_key(void **state)
{
    (void)state;
    assert_typed("cd ~.", "cd ~.", false);
    assert_typed("~/x\r~x.\r", "~/x\r~x.\r", false);
    assert_typed("~\r.", "~\r.", false);
    assert_typed("\r~~.\r", "\r~.\r", false);
    assert_typed("\x03~.", "\x03~.", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_the_beginning_of_a_line_it_leaves),
        cmocka_unit_test(elsewhere_it_is_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
