// The capture: records to blocks, a file that is found there, a process that is slow, full or dead.
// This program is also the process: `test-capture capture FILE`.
#include "vnet/capture/capture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"
#include "loop.h"
#include "tempdir.h"
#include "vnet/capture/record.h"

enum { WALL = 1700000000, FILE_LIMIT = 64 << 20 };

static char exe[512];

struct world {
    struct tempdir *dir;
    struct event_base *base;
    char path[80];
    struct err why; // code 0: has not failed
    struct err e;
};

static void on_failed(void *arg, const struct err *why)
{
    ((struct world *)arg)->why = *why;
}

static int make_world(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    if (tempdir_make((void **)&w->dir) < 0)
        return -1;
    snprintf(w->path, sizeof w->path, "%s/lab.pcapng", w->dir->path);
    w->base = event_base_new();
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    event_base_free(w->base);
    int result = tempdir_remove((void **)&w->dir);
    free(w);
    return result;
}

static struct capture *try_start(struct world *w)
{
    const struct capture_hooks hooks = {.failed = on_failed, .arg = w};
    return capture_start(w->base, exe, w->path, &hooks, &w->e);
}

static struct capture *start(struct world *w)
{
    struct capture *c = try_start(w);
    if (!c)
        fail_msg("%s", w->e.msg);
    return c;
}

static void stop(struct world *w, struct capture *c)
{
    if (capture_stop(c, &w->e) < 0)
        fail_msg("%s", w->e.msg);
}

static void put_file(struct world *w, const void *data, size_t n)
{
    struct err e;
    assert_int_equal(file_write_atomic(w->dir->fd, "lab.pcapng", data, n, false, &e), 0);
}

static char *get_file(struct world *w, size_t *n)
{
    struct err e;
    char *data = file_read(w->dir->fd, "lab.pcapng", FILE_LIMIT, n, &e);
    assert_non_null(data);
    return data;
}

// --- reading pcapng ---

struct seen {
    int sections, interfaces, packets, statistics;
    int inbound, outbound, dropped, cut;
    uint64_t bytes, lost, received, missed, wall;
    char names[8][32];
    char comment[32], application[64];
};

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t get_number(const uint8_t *at, size_t n)
{
    uint64_t value = 0;
    memcpy(&value, at, n);
    return value;
}

// What an option of a block says to whom.
static void see_option(struct seen *s, uint32_t type, unsigned code, const uint8_t *value, size_t n)
{
    const uint64_t number = n <= 8 ? get_number(value, n) : 0;
    if (type == 0x0A0D0D0A && code == 4)
        snprintf(s->application, sizeof s->application, "%.*s", (int)n, (const char *)value);
    if (type == 1 && code == 2)
        snprintf(s->names[(s->interfaces - 1) % 8], 32, "%.*s", (int)n, (const char *)value);
    if (type == 1 && code == 9)
        assert_int_equal(number, 9);
    if (type == 5 && code == 4)
        s->received += number;
    if (type == 5 && code == 5)
        s->missed += number;
    if (type == 6 && code == 2)
        *(number == 1 ? &s->inbound : &s->outbound) += 1;
    if (type == 6 && code == 4)
        s->lost += number;
    if (type == 6 && code == 1) {
        s->dropped++;
        snprintf(s->comment, sizeof s->comment, "%.*s", (int)n, (const char *)value);
    }
}

static void see_options(struct seen *s, uint32_t type, const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 4) {
        const unsigned code = (unsigned)get_number(at, 2);
        const size_t n = get_number(at + 2, 2);
        at += 4;
        assert_true(n <= (size_t)(end - at));
        see_option(s, type, code, at, n);
        at += (n + 3) & ~3UL;
        if (code == 0)
            break;
    }
    assert_ptr_equal(at, end);
}

// Fills in what a block's fixed part says; returns its size.
static size_t see_fixed(struct seen *s, uint32_t type, const uint8_t *body)
{
    if (type == 0x0A0D0D0A) {
        assert_int_equal(get32(body), 0x1A2B3C4D);
        s->sections++;
        return 16;
    }
    if (type == 1) {
        s->interfaces++;
        assert_int_equal(get32(body), 1);
        return 8;
    }
    if (type == 5) {
        s->statistics++;
        return 12;
    }
    assert_int_equal(type, 6);
    assert_true(get32(body) < (unsigned)s->interfaces);
    s->packets++;
    s->wall = (uint64_t)get32(body + 4) << 32 | get32(body + 8);
    s->bytes += get32(body + 12);
    s->cut += get32(body + 12) < get32(body + 16);
    return 20 + ((get32(body + 12) + 3) & ~3U);
}

// Every block of the file must be whole.
static struct seen see(struct world *w)
{
    struct seen s = {0};
    size_t n;
    AUTO_FREE char *data = get_file(w, &n);
    for (const uint8_t *at = (const uint8_t *)data, *end = at + n; at < end;) {
        assert_true(end - at >= 12);
        const uint32_t type = get32(at);
        const uint32_t length = get32(at + 4);
        assert_true(length % 4 == 0 && length <= (size_t)(end - at));
        assert_int_equal(get32(at + length - 4), length);
        const size_t fixed = see_fixed(&s, type, at + 8);
        assert_true(fixed + 12 <= length);
        see_options(&s, type, at + 8 + fixed, at + length - 4);
        at += length;
    }
    return s;
}

static void send_frames(struct capture *c, unsigned plug, int count, size_t size)
{
    static const uint8_t frame[70000] = {0x52, 0xcc};
    for (int i = 0; i < count; i++)
        capture_packet(c, WALL * 1000000000ULL + 123456789, plug, i & 1 ? VNET_DOWN : VNET_UP, -1,
                       frame, size);
}

// --- tests ---

static void frames_become_blocks(void **state)
{
    struct world *w = *state;
    struct capture_stats stats;
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    capture_interface(c, 3, "home/b");
    send_frames(c, 0, 3, 61);
    send_frames(c, 3, 1, 1514);
    capture_packet(c, WALL * 1000000000ULL + 123456789, 3, VNET_UP, VNET_DROP_STOLEN_MAC,
                   (const uint8_t *)"", 0);
    capture_get_stats(c, &stats);
    assert_int_equal(stats.packets, 5);
    assert_int_equal(stats.bytes, 3 * 61 + 1514);
    assert_int_equal(stats.lost, 0);
    assert_null(stats.error);
    stop(w, c);
    struct seen s = see(w);
    assert_int_equal(s.sections, 1);
    assert_string_equal(s.application, "vnet " TAILMAC_VERSION);
    assert_int_equal(s.interfaces, 2);
    assert_string_equal(s.names[0], "home/a");
    assert_string_equal(s.names[1], "home/b");
    assert_int_equal(s.packets, 5);
    assert_int_equal(s.bytes, stats.bytes);
    assert_int_equal(s.inbound, 4);
    assert_int_equal(s.outbound, 1);
    assert_int_equal(s.dropped, 1);
    assert_string_equal(s.comment, "dropped: stolen-mac");
    assert_int_equal(s.wall, WALL * 1000000000ULL + 123456789);
    assert_int_equal(s.statistics, 2);
    assert_int_equal(s.received, 5);
    assert_int_equal(w->why.code, 0);
}

static bool has_grown(struct world *w, off_t to)
{
    struct stat st;
    return stat(w->path, &st) == 0 && st.st_size >= to;
}

static void a_live_file_has_all_that_happened(void **state)
{
    struct world *w = *state;
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    send_frames(c, 0, 1, 1514);
    capture_flush(c);
    LOOP_UNTIL(w->base, has_grown(w, 1514));
    assert_int_equal(see(w).packets, 1);
    stop(w, c);
}

static void a_plugs_number_is_used_again(void **state)
{
    struct world *w = *state;
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    send_frames(c, 0, 1, 60);
    capture_interface(c, 0, "office/b");
    send_frames(c, 0, 1, 60);
    stop(w, c);
    struct seen s = see(w);
    assert_int_equal(s.interfaces, 2);
    assert_string_equal(s.names[1], "office/b");
    assert_int_equal(s.statistics, 2);
}

static void of_long_frames_the_beginning_is_kept(void **state)
{
    struct world *w = *state;
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    send_frames(c, 0, 1, 70000);
    send_frames(c, 0, 1, VNET_FRAME_MAX);
    stop(w, c);
    struct seen s = see(w);
    assert_int_equal(s.cut, 1);
    assert_int_equal(s.bytes, 2 * VNET_FRAME_MAX);
}

static void a_plug_nobody_told_of_is_lost(void **state)
{
    struct world *w = *state;
    struct capture_stats stats;
    struct capture *c = start(w);
    send_frames(c, 7, 1, 60);
    capture_get_stats(c, &stats);
    assert_int_equal(stats.lost, 1);
    stop(w, c);
    assert_int_equal(see(w).packets, 0);
}

// One life of the daemon.
static void capture_one(struct world *w)
{
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    send_frames(c, 0, 1, 100);
    stop(w, c);
}

static void a_second_life_is_a_second_section(void **state)
{
    struct world *w = *state;
    capture_one(w);
    capture_one(w);
    struct seen s = see(w);
    assert_int_equal(s.sections, 2);
    assert_int_equal(s.interfaces, 2);
    assert_int_equal(s.packets, 2);
}

static void a_torn_end_is_cut_off(void **state)
{
    struct world *w = *state;
    size_t n;
    capture_one(w);
    AUTO_FREE char *whole = get_file(w, &n);
    AUTO_FREE char *torn = xcalloc(1, 3 * n);
    memcpy(torn, whole, n);
    memcpy(torn + n, whole, n);
    for (size_t rest = 1; rest < 28; rest++) { // of a section header
        put_file(w, torn, n + rest);
        capture_one(w);
        struct seen s = see(w);
        assert_int_equal(s.sections, 2);
        assert_int_equal(s.packets, 2);
    }
    memset(torn + n, 0, n); // reserved when the power was cut
    put_file(w, torn, 2 * n);
    capture_one(w);
    assert_int_equal(see(w).packets, 2);
}

static void assert_refused(struct world *w, enum err_code code, const char *why)
{
    assert_null(try_start(w));
    assert_int_equal(w->e.code, code);
    assert_non_null(strstr(w->e.msg, w->path));
    if (!strstr(w->e.msg, why))
        fail_msg("'%s' does not say '%s'", w->e.msg, why);
}

static void assert_kept(struct world *w, const void *data, size_t n)
{
    size_t now;
    AUTO_FREE char *kept = get_file(w, &now);
    assert_int_equal(now, n);
    assert_memory_equal(kept, data, n);
}

static void what_is_no_pcapng_stays_as_it_is(void **state)
{
    static const char text[] = "network: home, and more than twenty-eight bytes of it\n";
    struct world *w = *state;
    put_file(w, text, sizeof text);
    assert_refused(w, ERR_USAGE, "no pcapng");
    assert_kept(w, text, sizeof text);
    put_file(w, text, 3);
    assert_refused(w, ERR_USAGE, "no pcapng");
    assert_kept(w, text, 3);
    const uint32_t other[8] = {0x0A0D0D0A, 0x1C000000, 0x4D3C2B1A};
    put_file(w, other, sizeof other);
    assert_refused(w, ERR_USAGE, "byte order");
    assert_kept(w, other, sizeof other);
}

static void damage_is_not_cut_off(void **state)
{
    struct world *w = *state;
    size_t n;
    capture_one(w);
    capture_one(w);
    AUTO_FREE char *data = get_file(w, &n);
    uint32_t first;
    memcpy(&first, data + 4, sizeof first);
    data[first - 4] ^= 4; // its second length
    put_file(w, data, n);
    assert_refused(w, ERR_FAILED, "damaged at byte 0");
    assert_kept(w, data, n);
    data[first - 4] ^= 4;
    data[first + 4] ^= 1; // the next one's first
    put_file(w, data, n);
    assert_refused(w, ERR_FAILED, "damaged");
    assert_kept(w, data, n);
}

static void bad_paths_are_refused(void **state)
{
    struct world *w = *state;
    snprintf(w->path, sizeof w->path, "%s", w->dir->path);
    assert_refused(w, ERR_FAILED, "Is a directory");
    snprintf(w->path, sizeof w->path, "%s/none/a", w->dir->path);
    assert_refused(w, ERR_FAILED, "No such file");
    snprintf(w->path, sizeof w->path, "/dev/null");
    assert_refused(w, ERR_USAGE, "no regular file");
    const struct capture_hooks hooks = {.failed = on_failed, .arg = w};
    assert_null(capture_start(w->base, "/none/vnet", w->path, &hooks, &w->e));
    assert_int_equal(w->e.code, ERR_HOST_CANNOT);
}

static void a_file_has_one_writer(void **state)
{
    struct world *w = *state;
    struct capture *c = start(w);
    assert_refused(w, ERR_BUSY, "another capture");
    stop(w, c);
    capture_one(w);
}

// The size at which the process's files end: a full disk.
static void limit_files(rlim_t n)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_leaves_whole_blocks(void **state)
{
    struct world *w = *state;
    struct capture_stats stats;
    limit_files(100001);
    struct capture *c = start(w);
    limit_files(RLIM_INFINITY);
    capture_interface(c, 0, "home/a");
    send_frames(c, 0, 200, 1514);
    capture_flush(c);
    LOOP_UNTIL(w->base, w->why.code != 0);
    assert_int_equal(w->why.code, ERR_HOST_CANNOT);
    assert_non_null(strstr(w->why.msg, w->path));
    send_frames(c, 0, 2, 1514);
    capture_flush(c);
    capture_get_stats(c, &stats);
    assert_string_equal(stats.error, w->why.msg);
    assert_int_equal(stats.lost, 2);
    assert_int_equal(capture_stop(c, &w->e), -1);
    assert_int_equal(w->e.code, ERR_HOST_CANNOT);
    assert_int_equal(see(w).packets, 64); // 1556 bytes each
}

static void a_disk_full_at_the_end_is_told(void **state)
{
    struct world *w = *state;
    limit_files(1000);
    struct capture *c = start(w);
    limit_files(RLIM_INFINITY);
    capture_interface(c, 0, "home/a");
    send_frames(c, 0, 1, 1514);
    assert_int_equal(capture_stop(c, &w->e), -1);
    assert_int_equal(w->e.code, ERR_HOST_CANNOT);
    assert_int_equal(see(w).packets, 0);
}

// The one child of this program.
static pid_t child_of(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    int pid = 0;
    if (!f || fscanf(f, "%d", &pid) != 1)
        skip();
    return pid;
}

static void signals_do_not_end_it_but_one(void **state)
{
    struct world *w = *state;
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    pid_t pid = child_of();
    kill(pid, SIGINT);
    kill(pid, SIGTERM);
    kill(pid, SIGHUP);
    send_frames(c, 0, 1, 1514);
    capture_flush(c);
    LOOP_UNTIL(w->base, has_grown(w, 1514));
    assert_int_equal(w->why.code, 0);
    kill(pid, SIGKILL);
    LOOP_UNTIL(w->base, w->why.code != 0);
    assert_non_null(strstr(w->why.msg, "killed by signal 9"));
    assert_int_equal(capture_stop(c, &w->e), -1);
    assert_int_equal(see(w).packets, 1);
}

static bool all_written(struct capture *c, struct world *w, off_t to)
{
    capture_flush(c);
    return has_grown(w, to);
}

static void a_stalled_process_loses_whole_packets(void **state)
{
    enum { COUNT = 10000, SIZE = 1514, BLOCK = 1556 };
    struct world *w = *state;
    struct capture_stats stats;
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    pid_t pid = child_of();
    kill(pid, SIGSTOP);
    send_frames(c, 0, COUNT, SIZE); // 15 MB
    capture_interface(c, 1, "home/late");
    capture_get_stats(c, &stats);
    assert_true(stats.lost > COUNT / 10 && stats.packets > COUNT / 10);
    assert_int_equal(stats.lost + stats.packets, COUNT);
    kill(pid, SIGCONT);
    LOOP_UNTIL(w->base, all_written(c, w, (off_t)stats.packets * BLOCK));
    send_frames(c, 0, 1, SIZE);
    send_frames(c, 1, 1, SIZE);
    stop(w, c);
    struct seen s = see(w);
    assert_int_equal(s.packets, stats.packets + 2);
    assert_int_equal(s.lost, stats.lost);
    assert_int_equal(s.missed, stats.lost);
    assert_int_equal(s.received, COUNT + 2);
    assert_string_equal(s.names[1], "home/late");
}

static void what_is_lost_last_is_in_the_sums(void **state)
{
    enum { COUNT = 10000 };
    struct world *w = *state;
    struct capture_stats stats;
    struct capture *c = start(w);
    capture_interface(c, 0, "home/a");
    pid_t pid = child_of();
    kill(pid, SIGSTOP);
    send_frames(c, 0, COUNT, 1514);
    capture_get_stats(c, &stats);
    assert_true(stats.lost > 0);
    kill(pid, SIGCONT);
    stop(w, c);
    struct seen s = see(w);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.missed, stats.lost);
    assert_int_equal(s.received, COUNT);
}

// In a daemon of its own.
__attribute__((noreturn)) static void capture_and_be_killed(struct world *w)
{
    event_reinit(w->base);
    struct capture *c = try_start(w);
    if (!c)
        _exit(1);
    capture_interface(c, 0, "home/a");
    send_frames(c, 0, 1000, 1514);
    capture_flush(c);
    kill(getpid(), SIGKILL);
    _exit(1);
}

static void a_daemon_is_killed_and_starts_again(void **state)
{
    struct world *w = *state;
    int status;
    for (int life = 1; life <= 5; life++) {
        pid_t pid = fork();
        if (pid == 0)
            capture_and_be_killed(w);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
    }
    capture_one(w); // its process waits for the one before
    struct seen s = see(w);
    assert_int_equal(s.sections, 6);
    assert_int_equal(s.interfaces, 6);
    assert_int_equal(s.statistics, 6);
    assert_true(s.packets > 100);
}

static bool no_child_is_left(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == pid;
}

// What a daemon leaves that was killed: records, the last one cut short.
static void half_a_record_is_dropped(void **state)
{
    struct world *w = *state;
    int ends[2];
    const struct record interface = {.type = RECORD_INTERFACE, .size = 1, .drop = -1};
    const struct record packet = {.type = RECORD_PACKET, .size = 60, .length = 60, .drop = -1};
    uint8_t sent[4 * sizeof packet + 200] = {0};
    uint8_t *at = sent;
    memcpy(at, &interface, sizeof interface);
    at[sizeof interface] = 'a';
    at += sizeof interface + 1;
    memcpy(at, &packet, sizeof packet);
    at += sizeof packet + packet.size;
    memcpy(at, &packet, sizeof packet);
    at += sizeof packet + 59;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], sent, (size_t)(at - sent)), at - sent);
    close(ends[1]);
    pid_t pid = fork();
    if (pid == 0)
        _exit(capture_main(w->path, ends[0]));
    close(ends[0]);
    LOOP_UNTIL(w->base, no_child_is_left(pid));
    struct seen s = see(w);
    assert_int_equal(s.packets, 1);
    assert_int_equal(s.statistics, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "capture") == 0)
        return capture_main(argv[2], STDIN_FILENO);
    char dir[400];
    signal(SIGPIPE, SIG_IGN); // as the daemon does
    if (os_exe_dir(dir, sizeof dir) < 0)
        return 1;
    snprintf(exe, sizeof exe, "%s/test-capture", dir);
    const struct CMUnitTest tests[] = {
        TEST(frames_become_blocks),
        TEST(a_live_file_has_all_that_happened),
        TEST(a_plugs_number_is_used_again),
        TEST(of_long_frames_the_beginning_is_kept),
        TEST(a_plug_nobody_told_of_is_lost),
        TEST(a_second_life_is_a_second_section),
        TEST(a_torn_end_is_cut_off),
        TEST(what_is_no_pcapng_stays_as_it_is),
        TEST(damage_is_not_cut_off),
        TEST(bad_paths_are_refused),
        TEST(a_file_has_one_writer),
        TEST(a_full_disk_leaves_whole_blocks),
        TEST(a_disk_full_at_the_end_is_told),
        TEST(signals_do_not_end_it_but_one),
        TEST(a_stalled_process_loses_whole_packets),
        TEST(what_is_lost_last_is_in_the_sums),
        TEST(a_daemon_is_killed_and_starts_again),
        TEST(half_a_record_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
