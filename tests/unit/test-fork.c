// Forks' directories: made whole, found by their id, theirs as long as the lock is held, swept.
#include "vm/fork.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tempstore.h"

static int make(struct tempstore *f, const char *id, const char *base, struct vm *out,
                bool *of_fork, struct err *e)
{
    struct vm_config c;
    config_init(&c, id);
    json_t *facts = json_pack("{s:s, s:s}", "base", base, "group", "g");
    int result = fork_make(&f->store, &c, facts, out, of_fork, e);
    json_decref(facts);
    config_free(&c);
    return result;
}

static int count(char **ids)
{
    int n = 0;
    while (ids[n])
        n++;
    store_list_free(ids);
    return n;
}

static void test_found_while_locked(void **state)
{
    struct tempstore *f = *state;
    struct err e;
    struct vm one;
    struct vm two;
    struct vm found;
    bool of_fork;
    assert_int_equal(make(f, "a-1", "a", &one, &of_fork, &e), 0);
    assert_int_equal(make(f, "b-1", "b", &two, &of_fork, &e), 0);
    assert_int_equal(count(forks_list(&f->store, NULL)), 2);
    assert_int_equal(count(forks_list(&f->store, "a")), 1);
    assert_int_equal(count(store_list(&f->store, &e)), 2);
    assert_true(fork_exists(&f->store, "a-1"));
    assert_int_equal(vm_open(&f->store, "a-1", LOCK_NONE, &found, &e), 0);
    assert_true(found.fork);
    json_t *facts = fork_facts(&found, &e);
    assert_string_equal(json_string_value(json_object_get(facts, "base")), "a");
    json_decref(facts);
    vm_close(&found);
    assert_int_equal(vm_open(&f->store, "a-1", LOCK_SHARED, &found, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    fork_remove(&one);
    vm_close(&one);
    assert_false(fork_exists(&f->store, "a-1"));
    assert_int_equal(count(forks_list(&f->store, NULL)), 1);
    fork_remove(&two);
    vm_close(&two);
}

static void test_swept_when_let_go(void **state)
{
    struct tempstore *f = *state;
    struct err e;
    struct vm fork;
    struct vm found;
    bool of_fork;
    char *path = NULL;
    assert_int_equal(make(f, "a-1", "a", &fork, &of_fork, &e), 0);
    assert_int_equal(runtime_path(&f->store, "a-1", RUNTIME_CONTROL, &path, &e), 0);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    forks_sweep(&f->store);
    assert_int_equal(vm_open(&f->store, "a-1", LOCK_NONE, &found, &e), 0);
    vm_close(&found);
    vm_close(&fork); // as when its Host is killed
    assert_int_equal(count(forks_list(&f->store, NULL)), 0);
    assert_int_equal(vm_open(&f->store, "a-1", LOCK_EXCLUSIVE, &found, &e), -1);
    assert_int_equal(e.code, ERR_NO_VM);
    store_sweep(&f->store);
    assert_false(fork_exists(&f->store, "a-1"));
    assert_int_equal(access(path, F_OK), -1);
    free(path);
}

static void test_names_are_taken(void **state)
{
    struct tempstore *f = *state;
    struct err e;
    struct vm fork;
    struct vm other;
    struct new_vm draft;
    bool of_fork;
    assert_int_equal(make(f, "a-1", "a", &fork, &of_fork, &e), 0);
    assert_int_equal(make(f, "a-1", "a", &other, &of_fork, &e), -1);
    assert_int_equal(e.code, ERR_EXISTS);
    assert_true(of_fork);
    assert_int_equal(new_vm_begin(&f->store, "a-1", &draft, &e), -1);
    assert_int_equal(e.code, ERR_EXISTS);
    fork_remove(&fork);
    vm_close(&fork);
    assert_int_equal(mkdirat(f->store.fd, "a-1", 0700), 0);
    assert_int_equal(make(f, "a-1", "a", &fork, &of_fork, &e), -1);
    assert_int_equal(e.code, ERR_EXISTS);
    assert_false(of_fork);
    assert_false(fork_exists(&f->store, "a-1"));
}

static void test_damaged_facts(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{\"base\": 1, \"group\": \"g\"}",
                                        "{\"base\": \"a\"}"};
    struct tempstore *f = *state;
    struct err e;
    struct vm fork;
    bool of_fork;
    assert_int_equal(make(f, "a-1", "a", &fork, &of_fork, &e), 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int fd = openat(fork.fd, VM_FORK, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        close(fd);
        assert_null(fork_facts(&fork, &e));
        assert_int_equal(e.code, ERR_FAILED);
    }
    fork_remove(&fork);
    vm_close(&fork);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_while_locked, tempstore_make, tempstore_remove),
        cmocka_unit_test_setup_teardown(test_swept_when_let_go, tempstore_make, tempstore_remove),
        cmocka_unit_test_setup_teardown(test_names_are_taken, tempstore_make, tempstore_remove),
        cmocka_unit_test_setup_teardown(test_damaged_facts, tempstore_make, tempstore_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
