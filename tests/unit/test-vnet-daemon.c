// What the daemon reads from outside: lengths in a stream, lines of the lease file.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "proto/framing.h"
#include "vnet/daemon/lateness.h"
#include "vnet/daemon/lease-lines.h"

static void lengths(void **state)
{
    (void)state;
    struct err e;
    uint8_t data[FRAMING_HEADER + 60] = {0, 0, 0, 60};
    for (size_t n = 0; n < sizeof data; n++)
        assert_int_equal(framing_take(data, n, &e), 0);
    assert_int_equal(framing_take(data, sizeof data, &e), sizeof data);
    framing_put(data, 0);
    assert_int_equal(framing_take(data, sizeof data, &e), FRAMING_HEADER);
    framing_put(data, FRAMING_MAX);
    assert_int_equal(framing_take(data, sizeof data, &e), 0);
    framing_put(data, FRAMING_MAX + 1);
    assert_int_equal(framing_take(data, FRAMING_HEADER, &e), -1);
    assert_string_equal(e.msg, "a frame of 69633 bytes");
    framing_put(data, 0x01020304);
    assert_memory_equal(data, "\1\2\3\4", FRAMING_HEADER);
}

static void a_lease_and_its_line(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "home 192.168.0.17 52:54:00:12:34:56 1790000000 ff0102 laptop",
        "net 10.0.0.1 52:54:00:12:34:56 0 - -",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct lease_line l;
        struct err e;
        AUTO_FREE char *text = NULL;
        size_t n;
        assert_int_equal(lease_line_parse(lines[i], &l, &e), 0);
        FILE *out = open_memstream(&text, &n);
        lease_line_put(out, &l);
        fclose(out);
        assert_int_equal(text[n - 1], '\n');
        text[n - 1] = 0;
        assert_string_equal(text, lines[i]);
    }
}

static void what_is_no_lease(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "home",
        "home 192.168.0.17 52:54:00:12:34:56 1790000000 ff",
        "home 192.168.0.17 52:54:00:12:34:56 1790000000 ff host more",
        "home  192.168.0.17 52:54:00:12:34:56 1790000000 ff host",
        ".home 192.168.0.17 52:54:00:12:34:56 1790000000 ff host",
        "home 192.168.0 52:54:00:12:34:56 1790000000 ff host",
        "home 192.168.0.17 53:54:00:12:34:56 1790000000 ff host",
        "home 192.168.0.17 52:54:00:12:34:56 -1 ff host",
        "home 192.168.0.17 52:54:00:12:34:56 99999999999999999999 ff host",
        "home 192.168.0.17 52:54:00:12:34:56 1790000000 f host",
        "home 192.168.0.17 52:54:00:12:34:56 1790000000 FF host",
        "home 192.168.0.17 52:54:00:12:34:56 1790000000 ff ho\tst",
        "home 192.168.0.17 52:54:00:12:34:56 1790000000  host",
    };
    struct lease_line l;
    struct err e;
    for (size_t i = 0; i + 1 < sizeof lines / sizeof *lines; i++)
        assert_int_equal(lease_line_parse(lines[i], &l, &e), -1);
    AUTO_FREE char *name = xcalloc(1, VNET_LABEL_MAX + 2);
    memset(name, 'x', VNET_LABEL_MAX + 1);
    AUTO_FREE char *line = xasprintf("net 10.0.0.1 52:54:00:12:34:56 0 - %s", name);
    assert_int_equal(lease_line_parse(line, &l, &e), -1);
    *strrchr(line, 'x') = 0;
    assert_int_equal(lease_line_parse(line, &l, &e), 0);
}

static void count_one(void *arg, const struct lease_line *l)
{
    (void)l;
    ++*(int *)arg;
}

static int parse(const char *text, int *count, struct err *e)
{
    AUTO_FREE char *copy = xstrdup(text);
    *count = 0;
    return lease_lines_parse(copy, count_one, count, e);
}

static void a_whole_file(void **state)
{
    (void)state;
    struct err e;
    int count;
    assert_int_equal(parse(LEASE_LINES_HEAD, &count, &e), 0);
    assert_int_equal(parse("", &count, &e), -1);
    assert_string_equal(e.msg, "line 1: this is no lease file");
    assert_int_equal(parse(LEASE_LINES_HEAD "n 10.0.0.1 52:54:00:12:34:56 0 - -\n"
                                            "n 10.0.0.2 52:54:00:12:34:57 0 - -\n",
                           &count, &e),
                     0);
    assert_int_equal(count, 2);
    assert_int_equal(parse(LEASE_LINES_HEAD "n 10.0.0.1 52:54:00:12:34:56 0 - -", &count, &e), -1);
    assert_string_equal(e.msg, "line 2: it is cut");
    assert_int_equal(parse(LEASE_LINES_HEAD "x\n", &count, &e), -1);
    assert_string_equal(e.msg, "line 2: it has not 6 fields");
}

static json_int_t count_at(const struct lateness *l, size_t bucket)
{
    json_t *doc = lateness_document(l);
    json_int_t count = json_integer_value(json_object_get(json_array_get(doc, bucket), "count"));
    assert_int_equal(json_array_size(doc), LATENESS_BUCKETS);
    json_decref(doc);
    return count;
}

static void buckets_of_lateness(void **state)
{
    (void)state;
    struct lateness l = {0};
    lateness_add(&l, 0);
    lateness_add(&l, 10000);
    lateness_add(&l, 10001);
    lateness_add(&l, UINT64_MAX);
    assert_int_equal(count_at(&l, 0), 2);
    assert_int_equal(count_at(&l, 1), 1);
    assert_int_equal(count_at(&l, LATENESS_BUCKETS - 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(a_lease_and_its_line),
        cmocka_unit_test(what_is_no_lease),
        cmocka_unit_test(a_whole_file),
        cmocka_unit_test(buckets_of_lateness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
