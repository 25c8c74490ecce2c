// The accelerator's choice: every outcome of the probe, and the cache that must not be believed.
#include "engine/qemu/accel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/os.h"

static const struct accel_host linux_pc = {.arch = "x86_64", .native = ACCEL_KVM};
static const struct accel_host mac = {.arch = "aarch64", .native = ACCEL_HVF};

static const struct kvm_loop fast = {.state = KVM_LOOP_RAN, .ms = 0.1};
static const struct kvm_loop slow = {.state = KVM_LOOP_RAN, .ms = 118};
static const struct kvm_loop wrong = {.state = KVM_LOOP_WRONG, .ms = 0.1};
static const struct kvm_loop hung = {.state = KVM_LOOP_TIMED_OUT};
static const struct kvm_loop refused = {.state = KVM_LOOP_FAILED, .why = "no permission"};
static const struct kvm_loop unmeasured = {.state = KVM_LOOP_UNMEASURED};

static void names_go_both_ways(void **state)
{
    (void)state;
    struct err e;
    for (enum accel a = ACCEL_AUTO; a <= ACCEL_TCG; a++) {
        enum accel back;
        assert_int_equal(accel_parse(accel_name(a), &back, &e), 0);
        assert_int_equal(back, a);
    }
}

static void unknown_names_are_usage_errors(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "KVM", "kvm ", "xen"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        enum accel a = ACCEL_HVF;
        assert_int_equal(accel_parse(bad[i], &a, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        assert_int_equal(a, ACCEL_HVF);
    }
}

// What each row's measurement must lead to; `refused` is for the accelerator asked for by name.
static void decision_follows_the_measurement(void **state)
{
    (void)state;
    static const struct {
        const struct kvm_loop *loop;
        bool usable;
        const char *says;
    } rows[] = {
        {&fast, true, "0.10 ms"},        {&slow, false, "118 ms"},
        {&wrong, false, "wrong"},        {&hung, false, "within 500"},
        {&refused, false, "permission"}, {&unmeasured, true, "not mea"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct accel_choice c;
        struct err e = {0};
        assert_int_equal(accel_decide(ACCEL_AUTO, "x86_64", &linux_pc, rows[i].loop, &c, &e), 0);
        assert_int_equal(c.accel, rows[i].usable ? ACCEL_KVM : ACCEL_TCG);
        assert_non_null(strstr(c.why, rows[i].says));

        int by_name = accel_decide(ACCEL_KVM, "x86_64", &linux_pc, rows[i].loop, &c, &e);
        assert_int_equal(by_name, rows[i].usable ? 0 : -1);
        if (!rows[i].usable) {
            assert_int_equal(e.code, ERR_HOST_CANNOT);
            assert_non_null(strstr(e.msg, rows[i].says));
        }
    }
}

static void limit_is_the_last_good_value(void **state)
{
    (void)state;
    struct accel_choice c;
    struct err e;
    struct kvm_loop at = {.state = KVM_LOOP_RAN, .ms = KVM_LOOP_LIMIT_MS};
    struct kvm_loop over = {.state = KVM_LOOP_RAN, .ms = KVM_LOOP_LIMIT_MS + 0.001};
    assert_int_equal(accel_decide(ACCEL_AUTO, "x86_64", &linux_pc, &at, &c, &e), 0);
    assert_int_equal(c.accel, ACCEL_KVM);
    assert_int_equal(accel_decide(ACCEL_AUTO, "x86_64", &linux_pc, &over, &c, &e), 0);
    assert_int_equal(c.accel, ACCEL_TCG);
}

static void foreign_architecture_is_emulated(void **state)
{
    (void)state;
    struct accel_choice c;
    struct err e = {0};
    assert_int_equal(accel_decide(ACCEL_AUTO, "aarch64", &linux_pc, &fast, &c, &e), 0);
    assert_int_equal(c.accel, ACCEL_TCG);
    assert_string_equal(c.why, "the guest is aarch64 and this host x86_64");
    assert_true(c.loop_ms == 0);
    assert_int_equal(accel_decide(ACCEL_KVM, "aarch64", &linux_pc, &fast, &c, &e), -1);
    assert_int_equal(e.code, ERR_HOST_CANNOT);
}

static void accelerator_of_another_system_is_refused(void **state)
{
    (void)state;
    struct accel_choice c;
    struct err e = {0};
    assert_int_equal(accel_decide(ACCEL_HVF, "x86_64", &linux_pc, &fast, &c, &e), -1);
    assert_int_equal(e.code, ERR_HOST_CANNOT);
    assert_string_equal(e.msg, "cannot use hvf: this system's accelerator is kvm");
    assert_int_equal(accel_decide(ACCEL_AUTO, "aarch64", &mac, &unmeasured, &c, &e), 0);
    assert_int_equal(c.accel, ACCEL_HVF);
}

static void tcg_needs_no_measurement(void **state)
{
    (void)state;
    struct accel_choice c;
    struct err e;
    assert_int_equal(accel_choose(ACCEL_TCG, "x86_64", NULL, &c, &e), 0);
    assert_int_equal(c.accel, ACCEL_TCG);
    assert_false(c.cached);
}

static int make_dir(void **state)
{
    char dir[] = "/tmp/tailmac-test-accel-XXXXXX";
    *state = mkdtemp(dir) ? strdup(dir) : NULL;
    return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct err e;
    int done = tree_remove(AT_FDCWD, *state, &e);
    free(*state);
    return done;
}

static void cache_is_honoured_in_its_boot_only(void **state)
{
    struct kvm_loop got = {0};
    assert_false(accel_cache_load(*state, "boot-1", &got));
    accel_cache_store(*state, "boot-1", &slow);
    assert_false(accel_cache_load(*state, "boot-2", &got));
    assert_int_equal(got.state, KVM_LOOP_FAILED);
    assert_true(accel_cache_load(*state, "boot-1", &got));
    assert_int_equal(got.state, KVM_LOOP_RAN);
    assert_true(got.ms > 117.9 && got.ms < 118.1);

    accel_cache_store(*state, "boot-1", &hung);
    assert_true(accel_cache_load(*state, "boot-1", &got));
    assert_int_equal(got.state, KVM_LOOP_TIMED_OUT);
}

static void cheap_answers_are_not_cached(void **state)
{
    struct kvm_loop got;
    accel_cache_store(*state, "boot-1", &refused);
    accel_cache_store(*state, "boot-1", &unmeasured);
    assert_false(accel_cache_load(*state, "boot-1", &got));
}

static void corrupt_cache_is_ignored(void **state)
{
#define GOOD "\"version\":1,\"accel\":\"kvm\",\"boot\":\"b\""
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{" GOOD "}",
        "{" GOOD ",\"loop\":\"ran\"}",
        "{" GOOD ",\"loop\":\"ran\",\"ms\":\"1\"}",
        "{" GOOD ",\"loop\":\"ran\",\"ms\":-1}",
        "{" GOOD ",\"loop\":\"failed\",\"ms\":1}",
        "{" GOOD ",\"loop\":7,\"ms\":1}",
        "{" GOOD ",\"loop\":\"ran\",\"ms\":1,\"more\":1}",
        "{\"version\":2,\"accel\":\"kvm\",\"boot\":\"b\",\"loop\":\"ran\",\"ms\":1}",
        "{\"version\":1,\"accel\":\"xen\",\"boot\":\"b\",\"loop\":\"ran\",\"ms\":1}",
    };
    struct err e;
    int dir = dir_open(AT_FDCWD, *state, &e);
    assert_true(dir >= 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct kvm_loop got;
        const char *text = bad[i];
        assert_int_equal(file_write_atomic(dir, "accel.json", text, strlen(text), false, &e), 0);
        assert_false(accel_cache_load(*state, "b", &got));
    }
    // It is those faults that were refused: the same text without one is believed.
    char good[128];
    struct kvm_loop got;
    int n = snprintf(good, sizeof good,
                     "{\"version\":1,\"accel\":\"%s\",\"boot\":\"b\",\"loop\":\"ran\",\"ms\":1}",
                     kvm_loop_accel);
    assert_int_equal(file_write_atomic(dir, "accel.json", good, (size_t)n, false, &e), 0);
    assert_true(accel_cache_load(*state, "b", &got));
    close(dir);
}

static void cache_that_cannot_be_kept_is_no_error(void **state)
{
    (void)state;
    struct kvm_loop got;
    accel_cache_store("/nonexistent/tailmac", "boot-1", &fast);
    assert_false(accel_cache_load("/nonexistent/tailmac", "boot-1", &got));
}

// On whatever this host is: the answer comes soon, and what was measured is measured once. Another
// boot's cache stands in the way and must not be believed.
static void this_host_is_measured_once(void **state)
{
    struct utsname u;
    assert_int_equal(uname(&u), 0);
    const char *arch = strcmp(u.machine, "arm64") == 0 ? "aarch64" : u.machine;
    accel_cache_store(*state, "another boot", &(struct kvm_loop){.state = KVM_LOOP_WRONG});

    struct accel_choice first, second;
    struct err e;
    double start = kvm_loop_clock_ms();
    assert_int_equal(accel_choose(ACCEL_AUTO, arch, *state, &first, &e), 0);
    double took = kvm_loop_clock_ms() - start;
    assert_true(took < 5000);
    assert_false(first.cached);
    assert_int_equal(accel_choose(ACCEL_AUTO, arch, *state, &second, &e), 0);
    assert_int_equal(second.accel, first.accel);
    assert_string_equal(second.why, first.why);

    char boot[128];
    os_boot_id(boot, sizeof boot);
    struct kvm_loop kept;
    assert_int_equal(second.cached, accel_cache_load(*state, boot, &kept));
    print_message("# %s: %s (%.0f ms)\n", accel_name(first.accel), first.why, took);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(unknown_names_are_usage_errors),
        cmocka_unit_test(decision_follows_the_measurement),
        cmocka_unit_test(limit_is_the_last_good_value),
        cmocka_unit_test(foreign_architecture_is_emulated),
        cmocka_unit_test(accelerator_of_another_system_is_refused),
        cmocka_unit_test(tcg_needs_no_measurement),
        cmocka_unit_test_setup_teardown(cache_is_honoured_in_its_boot_only, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(cheap_answers_are_not_cached, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(corrupt_cache_is_ignored, make_dir, remove_dir),
        cmocka_unit_test(cache_that_cannot_be_kept_is_no_error),
        cmocka_unit_test_setup_teardown(this_host_is_measured_once, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
