// What people type: each form that is taken, each that is not.
#include "base/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void ids(void **state)
{
    static const char *const good[] = {"a", "A-1", "vm.2_x", "0"};
    static const char *const bad[] = {"", ".a", "-a", "a b", "a/b", "ä", "..", "a\n"};
    struct err e;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(id_check(good[i], &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(id_check(bad[i], &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
    }
    char id[66];
    memset(id, 'a', sizeof id);
    id[64] = 0;
    assert_true(id_valid(id));
    id[64] = 'a';
    id[65] = 0;
    assert_false(id_valid(id));
}

static void macs(void **state)
{
    static const char *const bad[] = {
        "",
        "5",
        "52",
        "52:",
        "52:cc:cc:cc:cc",
        "52:cc:cc:cc:cc:0",
        "52:cc:cc:cc:cc:01:",
        "52:cc:cc-cc:cc:01",
        "52.cc.cc.cc.cc.01",
        "52cccccccc01",
        "5x:cc:cc:cc:cc:01",
        "53:cc:cc:cc:cc:01", // multicast
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        " 52:cc:cc:cc:cc:01",
    };
    struct mac mac;
    struct err e;
    char text[MAC_TEXT];
    assert_int_equal(mac_parse("52:CC:cc:cc:cc:0A", &mac, &e), 0);
    mac_format(&mac, text);
    assert_string_equal(text, "52:cc:cc:cc:cc:0a");
    assert_int_equal(mac_parse("52-cc-cc-cc-cc-0a", &mac, &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *exact = xstrdup(bad[i]); // so that a sanitizer sees a read past its end
        assert_int_equal(mac_parse(exact, &mac, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        free(exact);
    }
    assert_int_equal(mac.octet[5], 0x0a); // a failure changes nothing
}

static void random_macs_are_local_and_unicast(void **state)
{
    struct mac a;
    struct mac b;
    mac_random(&a);
    mac_random(&b);
    assert_int_equal(a.octet[0] & 3, 2);
    assert_memory_not_equal(&a, &b, sizeof a);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},           {"268435456", 268435456}, {"512M", 512ULL << 20}, {"8G", 8ULL << 30},
        {"8g", 8ULL << 30}, {"1.5G", 3ULL << 29},     {"8GiB", 8ULL << 30},   {"8GB", 8ULL << 30},
        {"100B", 100},      {"1T", 1ULL << 40},       {"4K", 4096},
    };
    static const char *const bad[] = {"",    "G",   "-1",   "1.5", "0x10", "8X",
                                      "8Gi", "8 G", "1e99", "8GG", "inf",  "9999999999G"};
    uint64_t bytes = 7;
    struct err e;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(size_parse(good[i].text, &bytes, &e), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(size_parse(bad[i], &bytes, &e), -1);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"30", 30000},   {"1.5s", 1500},      {"250ms", 250}, {"2m", 120000},
                {"1h", 3600000}, {"168h", 604800000}, {"0", 0},       {"0.1ms", 1}};
    static const char *const bad[] = {"", "s", "-1", "1d", "169h", "1 s", "nan", "1s2"};
    int64_t ms = 0;
    struct err e;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(duration_parse(good[i].text, &ms, &e), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(duration_parse(bad[i], &ms, &e), -1);
}

static void numbers(void **state)
{
    static const char *const bad[] = {"",   "0",  "11", "-1",  "+5",
                                      " 5", "5 ", "5x", "0x5", "99999999999999999999"};
    uint64_t n = 0;
    struct err e;
    assert_int_equal(number_parse("10", "count", 1, 10, &n, &e), 0);
    assert_int_equal(n, 10);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(number_parse(bad[i], "count", 1, 10, &n, &e), -1);
    assert_non_null(strstr(e.msg, "count"));
}

static void interface_names(void **state)
{
    (void)state;
    struct err e = {0};
    static const char *const good[] = {"c0", "fifteen-letters", "eth0.5", "..."};
    static const char *const bad[] = {"",    ".",     "..",  "sixteen-letters!", "a b", "a/b",
                                      "a:1", "tap%d", "a\n", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(interface_name_check(good[i], &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(interface_name_check(bad[i], &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
    }
}

static void address_plans(void **state)
{
    (void)state;
    struct err e = {0};
    struct address_plan plan;
    static const char *const bad[] = {
        "",
        "10.0.0.5",
        "10.0.0.5/255.255.255.0",
        "10.0.0.5/255.255.255.0/10.0.0.1/",
        "10.0.0.5/255.255.255.0/10.0.0.1 ",
        "10.0.0.5/24/10.0.0.1",
        "10.0.0.5/255.0.255.0/10.0.0.1",
        "10.0.0/255.255.255.0/10.0.0.1",
        "10.0.0.256/255.255.255.0/10.0.0.1",
        "::1/255.255.255.0/10.0.0.1",
        "010.000.000.0005/255.255.255.0/10.0.0.1",
    };
    assert_int_equal(address_plan_parse("10.0.0.5/255.255.255.0/10.0.0.1", &plan, &e), 0);
    assert_string_equal(plan.ip, "10.0.0.5");
    assert_string_equal(plan.mask, "255.255.255.0");
    assert_string_equal(plan.gw, "10.0.0.1");
    assert_int_equal(address_plan_parse("10.0.0.5/255.255.255.255/10.0.0.5", &plan, &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(address_plan_parse(bad[i], &plan, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
    }
}

static void socket_paths(void **state)
{
    struct err e;
    char path[SOCKET_PATH_MAX + 2];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[SOCKET_PATH_MAX] = 0;
    assert_int_equal(socket_path_check(path, &e), 0);
    path[SOCKET_PATH_MAX] = 'a';
    path[SOCKET_PATH_MAX + 1] = 0;
    assert_int_equal(socket_path_check(path, &e), -1);
    assert_int_equal(socket_path_check("", &e), -1);
    assert_int_equal(socket_path_check("rel.sock", &e), -1);
    assert_int_equal(socket_path_check("/a\nb", &e), -1);
    assert_int_equal(e.code, ERR_USAGE);
}

static void choices(void **state)
{
    assert_true(choice_valid("ab|c", "ab"));
    assert_true(choice_valid("ab|c", "c"));
    assert_false(choice_valid("ab|c", "a"));
    assert_false(choice_valid("ab|c", "abc"));
    assert_false(choice_valid("ab|c", "ab|c"));
    assert_false(choice_valid("ab|c", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(macs),
        cmocka_unit_test(random_macs_are_local_and_unicast),
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(numbers),
        cmocka_unit_test(socket_paths),
        cmocka_unit_test(interface_names),
        cmocka_unit_test(address_plans),
        cmocka_unit_test(choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
