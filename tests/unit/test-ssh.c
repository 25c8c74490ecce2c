// What ssh is told, with its quotes; keys made and read; what counts as a host key.
#include "cli/ssh-config.h"
#include "cli/ssh-key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tempdir.h"

static void values_are_quoted(void **state)
{
    (void)state;
    const char *const proxy[] = {"/a b/tailmac", "it's", "100%", NULL};
    AUTO_FREE char *text = ssh_stanza(&(struct ssh_target){"box", "joe", "/h \"1\"/50%", proxy});
    assert_int_equal(strncmp(text, "Host box\n    User joe\n", 22), 0);
    assert_non_null(strstr(text, "    IdentityFile \"/h \\\"1\\\"/50%%/ssh_key\"\n"));
    assert_non_null(strstr(text, "    ProxyCommand '/a b/tailmac' 'it'\\''s' '100%%'\n"));
    assert_non_null(strstr(text, "    StrictHostKeyChecking yes\n"));
}

static void the_command_line_says_what_the_configuration_says(void **state)
{
    (void)state;
    const char *const proxy[] = {"p", NULL};
    const struct ssh_target target = {"box", "root", "/d", proxy};
    AUTO_FREE char *text = ssh_stanza(&target);
    struct argv words = {0};
    ssh_words(&target, &words);
    assert_string_equal(words.v[0], "ssh");
    for (int i = 5; i < words.n; i += 2) { // after -F, its file, and an option of its own
        assert_string_equal(words.v[i], "-o");
        assert_non_null(strstr(text, words.v[i + 1]));
    }
    argv_free(&words);
}

static void host_keys_are_what_looks_like_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text, *known;
    } cases[] = {
        {"ssh-ed25519 AAAA root@a\n", "box ssh-ed25519 AAAA\n"},
        {"ssh-ed25519 AA+/==\necdsa-sha2-nistp256 BB\n",
         "box ssh-ed25519 AA+/==\nbox ecdsa-sha2-nistp256 BB\n"},
        {"\n\nno key here at all!\nssh-rsa CC", "box no key\nbox ssh-rsa CC\n"},
        {"@cert-authority * ssh-rsa AA\n", NULL},
        {"ssh-rsa A\x01\n", NULL},
        {"ssh-rsa", NULL},
        {"ssh-rsa \n", NULL},
        {" ssh-rsa AA\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO_FREE char *known = ssh_known_hosts("box", cases[i].text);
        if (cases[i].known)
            assert_string_equal(known, cases[i].known);
        else
            assert_null(known);
    }
}

static void a_key_is_made_once(void **state)
{
    struct tempdir *t = *state;
    struct err e = {0};
    struct stat st;
    AUTO_FREE char *first = ssh_key(t->fd, &e);
    if (!first && e.code == ERR_HOST_CANNOT)
        skip();
    AUTO_FREE char *again = ssh_key(t->fd, &e);
    assert_non_null(again);
    if (!first || !again)
        return; // for the analyser
    assert_string_equal(first, again);
    assert_int_equal(strncmp(again, "ssh-ed25519 AAAA", 16), 0);
    assert_non_null(strstr(again, " tailmac"));
    assert_int_equal(fstatat(t->fd, "ssh_key", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(unlinkat(t->fd, "ssh_key", 0), 0);
    assert_int_equal(rmdir(t->path), 0); // nothing else was left
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_quoted),
        cmocka_unit_test(the_command_line_says_what_the_configuration_says),
        cmocka_unit_test(host_keys_are_what_looks_like_keys),
        cmocka_unit_test_setup_teardown(a_key_is_made_once, tempdir_make, tempdir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
