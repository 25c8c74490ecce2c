// The console between a guest that writes and clients that come, go, type and do not read.
#include "host/console.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "loop.h"
#include "proto/unix.h"
#include "tempdir.h"

enum { RECENT = 16 << 10 };

struct world {
    struct tempdir *dir;
    struct event_base *base;
    struct console *console;
    char path[80];
    int guest; // the engine's end
    int panics, silences, returns;
    char panic[600];
};

static void on_panic(void *arg, const char *line)
{
    struct world *w = arg;
    w->panics++;
    snprintf(w->panic, sizeof w->panic, "%s", line);
}

static void on_silent(void *arg, const char *line)
{
    struct world *w = arg;
    w->silences++;
    assert_string_equal(line, w->panic);
}

static void on_went_on(void *arg)
{
    ((struct world *)arg)->returns++;
}

static int make_world(void **state)
{
    int ends[2];
    struct err e;
    struct world *w = xcalloc(1, sizeof *w);
    if (tempdir_make((void **)&w->dir) < 0 || unix_pair(ends, &e) < 0)
        return -1;
    snprintf(w->path, sizeof w->path, "%s/a.console", w->dir->path);
    w->base = event_base_new();
    w->guest = ends[1];
    const struct console_hooks hooks = {
        .panic = on_panic, .silent = on_silent, .went_on = on_went_on, .arg = w};
    w->console = console_new(w->base, ends[0], w->path, w->dir->fd, &hooks, &e);
    *state = w;
    return w->console ? 0 : -1;
}

static int free_world(void **state)
{
    struct world *w = *state;
    console_free(w->console);
    event_base_free(w->base);
    if (w->guest >= 0)
        close(w->guest);
    int left = access(w->path, F_OK) == 0;
    int result = tempdir_remove((void **)&w->dir);
    free(w);
    return left || result;
}

static void say(struct world *w, int fd, const char *text)
{
    size_t n = strlen(text);
    for (size_t at = 0; at < n;) {
        ssize_t sent = 0;
        LOOP_UNTIL(w->base, (sent = send(fd, text + at, n - at, MSG_DONTWAIT)) > 0);
        at += (size_t)sent;
    }
}

static int join(struct world *w)
{
    struct err e;
    int fd = unix_connect(w->path, NULL, &e);
    assert_true(fd >= 0);
    return fd;
}

static bool got(int fd, char *out, size_t *have, size_t want)
{
    ssize_t n = recv(fd, out + *have, want - *have, MSG_DONTWAIT);
    *have += n > 0 ? (size_t)n : 0;
    return *have == want;
}

static void assert_reads(struct world *w, int fd, const char *want)
{
    size_t n = strlen(want);
    size_t have = 0;
    AUTO_FREE char *text = xcalloc(1, n + 1);
    LOOP_UNTIL(w->base, got(fd, text, &have, n));
    assert_string_equal(text, want);
}

static void who_comes_late_sees_what_was(void **state)
{
    struct world *w = *state;
    int early = join(w);
    say(w, w->guest, "one\r\ntwo\r\n");
    assert_reads(w, early, "one\r\ntwo\r\n");
    int late = join(w);
    assert_reads(w, late, "one\r\ntwo\r\n");
    say(w, w->guest, "login: ");
    assert_reads(w, early, "login: ");
    assert_reads(w, late, "login: ");
    close(early);
    close(late);
}

static void the_past_has_a_limit(void **state)
{
    struct world *w = *state;
    AUTO_FREE char *text = xcalloc(1, 3 * RECENT + 1);
    for (size_t i = 0; i < 3 * RECENT; i++)
        text[i] = (char)('a' + i / 100 % 26);
    int early = join(w);
    say(w, w->guest, text);
    assert_reads(w, early, text);
    int late = join(w);
    assert_reads(w, late, text + 2 * RECENT);
    say(w, w->guest, "!");
    assert_reads(w, late, "!"); // nothing more came before it
    close(early);
    close(late);
}

static void everybody_may_type(void **state)
{
    struct world *w = *state;
    int one = join(w);
    int two = join(w);
    say(w, one, "root\r");
    assert_reads(w, w->guest, "root\r");
    say(w, two, "exit\r");
    assert_reads(w, w->guest, "exit\r");
    close(one);
    say(w, two, "still\r");
    assert_reads(w, w->guest, "still\r");
    close(two);
}

static void all_is_logged(void **state)
{
    struct world *w = *state;
    struct err e;
    size_t n;
    static const char bytes[] = "a\0b\xff\x1b[0m\r\n";
    int client = join(w);
    assert_int_equal(write(w->guest, bytes, sizeof bytes), sizeof bytes);
    say(w, client, "typed, not logged");
    size_t have = 0;
    char got_bytes[sizeof bytes];
    LOOP_UNTIL(w->base, got(client, got_bytes, &have, sizeof bytes));
    assert_memory_equal(got_bytes, bytes, sizeof bytes);
    AUTO_FREE char *log = file_read(w->dir->fd, "console.log", 1 << 20, &n, &e);
    assert_int_equal(n, sizeof bytes);
    assert_memory_equal(log, bytes, n);
    close(client);
}

#define PANIC "Kernel panic - not syncing: Attempted to kill init!"

// Each chunk is read before the next is written.
static void hear(struct world *w, int client, const char *chunk)
{
    say(w, w->guest, chunk);
    assert_reads(w, client, chunk);
}

static void a_panic_is_the_last_thing_said(void **state)
{
    struct world *w = *state;
    int client = join(w);
    hear(w, client, "[    1.0] Kernel pan");
    hear(w, client, "ic - not syncing: Attempted to kill init!");
    assert_int_equal(w->panics, 0); // the line is not whole
    hear(w, client, "\r\n");
    assert_int_equal(w->panics, 1);
    assert_string_equal(w->panic, PANIC);
    assert_string_equal(console_panic(w->console), PANIC);
    hear(w, client, "[    1.1] CPU: 0 PID: 1\r\n");
    assert_int_equal(w->silences, 0);
    hear(w, client, "[    1.2] ---[ end " PANIC " ]---\r\n");
    assert_int_equal(w->silences, 1);
    assert_int_equal(w->returns, 0);
    hear(w, client, "#");
    assert_int_equal(w->returns, 1); // somebody lives who printed it
    assert_string_equal(console_panic(w->console), "");
    hear(w, client, " \r\n---[ end " PANIC " ]---\r\n");
    assert_int_equal(w->silences, 1);
    close(client);
}

static void talk_of_a_panic_is_none(void **state)
{
    struct world *w = *state;
    int client = join(w);
    hear(w, client, "# echo '" PANIC "'\r\n[x " PANIC "\r\n");
    hear(w, client, "a [1] " PANIC "\r\n# echo '---[ end " PANIC " ]---'\r\n");
    assert_int_equal(w->panics + w->silences, 0);
    close(client);
}

static void a_reboot_begins_a_new_line(void **state)
{
    struct world *w = *state;
    int client = join(w);
    hear(w, client, "Kernel panic - not ");
    console_reset(w->console);
    hear(w, client, "syncing: no\n");
    assert_int_equal(w->panics, 0);
    assert_string_equal(console_last(w->console), "syncing: no");
    close(client);
}

static void what_is_told_may_be_shown(void **state)
{
    struct world *w = *state;
    int client = join(w);
    assert_string_equal(console_last(w->console), "");
    hear(w, client, "Kernel panic - not syncing: \xff\x1b[31m\xc3\xa4\n\r\n");
    assert_string_equal(w->panic, "Kernel panic - not syncing: ??[31m??");
    assert_string_equal(console_last(w->console), w->panic);
    close(client);
}

static void long_lines_are_cut(void **state)
{
    struct world *w = *state;
    int client = join(w);
    AUTO_FREE char *text = xcalloc(1, 100001);
    memset(text, 'x', 100000);
    memcpy(text, PANIC, strlen(PANIC));
    say(w, w->guest, text);
    assert_reads(w, client, text);
    hear(w, client, "\n");
    assert_int_equal(w->panics, 1);
    assert_int_equal(strlen(w->panic), 511);
    close(client);
}

static void who_does_not_read_is_let_go(void **state)
{
    struct world *w = *state;
    int deaf = join(w);
    int reader = join(w);
    AUTO_FREE char *text = xcalloc(1, 65536);
    memset(text, 'x', 65535);
    for (int i = 0; i < 64; i++) { // 4 MiB
        say(w, w->guest, text);
        assert_reads(w, reader, text);
    }
    size_t all = 0;
    ssize_t n = -1;
    do {
        LOOP_UNTIL(w->base, (n = recv(deaf, text, 65535, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
        all += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    assert_true(all < 2 << 20);
    close(deaf);
    close(reader);
}

static void the_guests_end_keeps_the_past(void **state)
{
    struct world *w = *state;
    int client = join(w);
    hear(w, client, "Power down.\n");
    close(w->guest);
    w->guest = -1;
    say(w, client, "anybody there?");
    int late = join(w);
    assert_reads(w, late, "Power down.\n");
    close(client);
    close(late);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    signal(SIGPIPE, SIG_IGN); // as Host does
    const struct CMUnitTest tests[] = {
        TEST(who_comes_late_sees_what_was),
        TEST(the_past_has_a_limit),
        TEST(everybody_may_type),
        TEST(all_is_logged),
        TEST(a_panic_is_the_last_thing_said),
        TEST(talk_of_a_panic_is_none),
        TEST(a_reboot_begins_a_new_line),
        TEST(what_is_told_may_be_shown),
        TEST(long_lines_are_cut),
        TEST(who_does_not_read_is_let_go),
        TEST(the_guests_end_keeps_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
