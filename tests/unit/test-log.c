// The log does not stop the program that writes it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

enum { LINES = 2000, PATIENCE_S = 20 };

// Returns the reader's end of standard error; *before is to be put back.
static int catch_errors(int *before)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    *before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

static void a_log_that_nobody_reads_stops_nobody(void **state)
{
    static char text[1 << 20];
    int before;
    int reader = catch_errors(&before);
    alarm(PATIENCE_S);
    for (int i = 0; i < LINES; i++)
        log_line("line %d, and what makes it long: %0100d", i, i);
    alarm(0);
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = read(reader, text, sizeof text - 1);
    close(reader);
    assert_in_range(n, 4096, LINES * 100);
    assert_int_equal(text[n - 1], '\n');
    assert_non_null(strstr(text, "Z line 0, "));
    assert_non_null(strstr(text, "Z line 10, "));
    assert_null(strstr(text, "Z line 1999, "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_that_nobody_reads_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
