// `vnet plug`: what is refused before anything is done, with the right exit code.
#include "vnet/plug/plug.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "tempdir.h"
#include "vnet/plug/netns.h"

#define MAC "52:cc:cc:cc:cc:01"

static int plug(struct tempdir *t, const char *first, const char *second)
{
    char listen[100];
    snprintf(listen, sizeof listen, "--listen=%s/net", t->path);
    const char *argv[] = {"plug", listen, first, second, NULL};
    return plug_main(second ? 4 : 3, argv);
}

static void the_command_line(void **state)
{
    struct tempdir *t = *state;
    assert_int_equal(plug(t, "--detach", NULL), ERR_USAGE);
    assert_int_equal(plug(t, "--mac=zz", NULL), ERR_USAGE);
    assert_int_equal(plug(t, "--mac=" MAC, "--tap=a b"), ERR_USAGE);
    assert_int_equal(plug(t, "--mac=" MAC, "--name=\xff"), ERR_USAGE);
    assert_int_equal(plug(t, "--mac=" MAC, "--network=\xff"), ERR_USAGE);
    assert_int_equal(plug(t, "--mac=" MAC, "more"), ERR_USAGE);
    assert_int_equal(plug(t, "--mac=" MAC, NULL), ERR_NOT_RUNNING);
    assert_int_equal(plug(t, "--mac=" MAC, "--control=/nowhere/ctl"), ERR_NOT_RUNNING);
}

static void assert_no_namespace(const char *which, enum err_code code, const char *part)
{
    struct err e = {0};
    assert_int_equal(netns_enter(which, &e), -1);
    if (strcmp(os_name, "linux") != 0) {
        assert_int_equal(e.code, ERR_HOST_CANNOT);
        return;
    }
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.msg, part));
}

static void what_is_no_namespace(void **state)
{
    struct tempdir *t = *state;
    assert_no_namespace("tailmac-nowhere", ERR_FAILED, "/run/netns/tailmac-nowhere");
    assert_no_namespace("/nowhere", ERR_FAILED, "(/nowhere)");
    assert_no_namespace("4194304", ERR_FAILED, "/proc/4194304/ns/net");
    assert_no_namespace("4194305", ERR_FAILED, "/run/netns/4194305");
    assert_no_namespace("0", ERR_FAILED, "/run/netns/0");
    assert_no_namespace(t->path, ERR_USAGE, "is no network namespace");
    assert_no_namespace("/proc/self/ns/mnt", ERR_USAGE, "is no network namespace");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(the_command_line), TEST(what_is_no_namespace)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
