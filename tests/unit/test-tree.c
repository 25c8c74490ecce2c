// Trees as streams: what arrives is what was sent, where it was to go; and what a hostile sender
// may not have.
#include "tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/os.h"
#include "tempdir.h"
#include "tree-bytes.h"
#include "tree/janitor.h"

enum { MTIME = 1000000000 };

struct world {
    struct tempdir *dir;
    struct bytes stream;
    struct tree_count sent, got;
    struct err e;
    char path[128];
};

// --- making and looking ---

static const char *at(struct world *w, const char *path)
{
    snprintf(w->path, sizeof w->path, "%s/%s", w->dir->path, path);
    return w->path;
}

static void set_mtime(const struct world *w, const char *path, int seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = MTIME + seconds, .tv_nsec = 7}};
    assert_int_equal(utimensat(w->dir->fd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_file(const struct world *w, const char *path, const char *text, mode_t mode)
{
    AUTO_CLOSE int fd = openat(w->dir->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void make_directory(const struct world *w, const char *path)
{
    assert_int_equal(mkdirat(w->dir->fd, path, 0755), 0);
}

static struct stat look(const struct world *w, const char *path)
{
    struct stat st;
    if (fstatat(w->dir->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

static bool is_there(const struct world *w, const char *path)
{
    struct stat st;
    return fstatat(w->dir->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_text(struct world *w, const char *path, const char *text)
{
    AUTO_FREE char *got = file_read(w->dir->fd, path, 1 << 20, NULL, &w->e);
    assert_non_null(got);
    assert_string_equal(got, text);
}

static int count_entry(void *arg, const char *name, struct err *e)
{
    (void)name;
    (void)e;
    ++*(int *)arg;
    return 0;
}

static int entries(struct world *w, const char *path)
{
    int n = 0;
    AUTO_CLOSE int fd = openat(w->dir->fd, path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(dir_each(fd, count_entry, &n, &w->e), 0);
    return n;
}

// --- copying ---

static int receive(struct world *w, const char *to, const char *name)
{
    struct tree_place place;
    struct tree_io io = bytes_io(&w->stream);
    struct err ignored;
    w->stream.at = 0;
    int result = tree_place_open(&place, at(w, to), name, &w->e);
    if (result == 0) {
        result = tree_receive(&place, &io, &w->got, &w->e);
        assert_int_equal(tree_remove(place.dir, place.temporary, &ignored), 0);
    }
    tree_place_close(&place);
    return result;
}

static int send_tree(struct world *w, const char *from)
{
    struct tree_io io = bytes_io(&w->stream);
    w->stream.n = 0;
    return tree_send(at(w, from), &io, &w->sent, &w->e);
}

static int copy(struct world *w, const char *from, const char *to)
{
    char name[TREE_NAME_MAX + 1];
    tree_name(from, name);
    return send_tree(w, from) < 0 ? -1 : receive(w, to, name);
}

static void copies(struct world *w, const char *from, const char *to)
{
    if (copy(w, from, to) < 0)
        fail_msg("%s", w->e.msg);
    assert_memory_equal(&w->sent, &w->got, sizeof w->sent);
}

static void fails(struct world *w, const char *from, const char *to, const char *why)
{
    assert_int_equal(copy(w, from, to), -1);
    if (!strstr(w->e.msg, why))
        fail_msg("'%s' has no '%s'", w->e.msg, why);
}

// A tree "t" with something of everything.
static void make_tree(struct world *w)
{
    make_directory(w, "t");
    make_directory(w, "t/empty");
    make_directory(w, "t/d");
    make_file(w, "t/d/f", "text", 0640);
    make_file(w, "t/nothing", "", 0444);
    make_file(w, "t/\xff\n odd", "odd", 0755);
    assert_int_equal(symlinkat("/nowhere/../at all", w->dir->fd, "t/link"), 0);
    set_mtime(w, "t/link", 3);
    set_mtime(w, "t/d/f", 1);
    assert_int_equal(fchmodat(w->dir->fd, "t/d", 0550, 0), 0);
    set_mtime(w, "t/d", 2);
}

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w || tempdir_make((void **)&w->dir) < 0)
        return -1;
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    int result = tempdir_remove((void **)&w->dir);
    free(w->stream.data);
    free(w);
    return result;
}

// --- what arrives ---

static void a_tree_arrives_as_it_is(void **state)
{
    struct world *w = *state;
    char target[64] = "";
    make_tree(w);
    w->stream.most = 3;
    copies(w, "t", "u");
    assert_int_equal(w->got.files, 3);
    assert_int_equal(w->got.directories, 3);
    assert_int_equal(w->got.links, 1);
    assert_int_equal(w->got.bytes, 7);
    assert_text(w, "u/d/f", "text");
    assert_text(w, "u/nothing", "");
    assert_text(w, "u/\xff\n odd", "odd");
    assert_int_equal(look(w, "u/d/f").st_mode, S_IFREG | 0640);
    assert_int_equal(look(w, "u/nothing").st_mode, S_IFREG | 0444);
    assert_int_equal(look(w, "u/d").st_mode, S_IFDIR | 0550);
    struct stat st = look(w, "u/d/f");
    assert_int_equal(os_modified(&st).tv_sec, MTIME + 1);
    assert_int_equal(os_modified(&st).tv_nsec, 7);
    st = look(w, "u/d");
    assert_int_equal(os_modified(&st).tv_sec, MTIME + 2);
    st = look(w, "u/link");
    assert_int_equal(os_modified(&st).tv_sec, MTIME + 3);
    assert_int_equal(readlinkat(w->dir->fd, "u/link", target, sizeof target - 1), 18);
    assert_string_equal(target, "/nowhere/../at all");
    assert_int_equal(entries(w, "."), 2);
}

static void bits_that_make_somebody_else_stay_behind(void **state)
{
    struct world *w = *state;
    make_directory(w, "t");
    make_file(w, "t/s", "", 06755);
    assert_int_equal(fchmodat(w->dir->fd, "t", 03777, 0), 0);
    copies(w, "t", "u");
    assert_int_equal(look(w, "u/s").st_mode, S_IFREG | 0755);
    assert_int_equal(look(w, "u").st_mode, S_IFDIR | 01777);
}

static void holes_stay_holes(void **state)
{
    struct world *w = *state;
    enum { SIZE = 1 << 30 };
    make_file(w, "f", "begin", 0600);
    AUTO_CLOSE int fd = openat(w->dir->fd, "f", O_RDWR);
    assert_int_equal(pwrite(fd, "middle", 6, SIZE / 2), 6);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    copies(w, "f", "g");
    struct stat st = look(w, "g");
    assert_int_equal(st.st_size, SIZE);
    assert_in_range(st.st_blocks, 1, 1024);
    assert_in_range(w->got.bytes, 11, 1 << 17);
    char text[7] = "";
    AUTO_CLOSE int copy = openat(w->dir->fd, "g", O_RDONLY);
    assert_int_equal(pread(copy, text, 6, SIZE / 2), 6);
    assert_string_equal(text, "middle");
}

static void big_files_arrive_whole(void **state)
{
    struct world *w = *state;
    enum { SIZE = 1000003 };
    AUTO_FREE char *data = xcalloc(1, SIZE);
    os_random(data, SIZE);
    AUTO_CLOSE int fd = openat(w->dir->fd, "f", O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, data, SIZE), SIZE);
    w->stream.most = 1009;
    copies(w, "f", "g");
    size_t n;
    AUTO_FREE char *got = file_read(w->dir->fd, "g", SIZE, &n, &w->e);
    assert_int_equal(n, SIZE);
    assert_memory_equal(data, got, SIZE);
}

static void files_of_proc_have_no_size_but_content(void **state)
{
    struct world *w = *state;
    struct tree_io io = bytes_io(&w->stream);
    if (access("/proc/self/status", R_OK) < 0)
        skip();
    assert_int_equal(tree_send("/proc/self/status", &io, &w->sent, &w->e), 0);
    assert_int_equal(receive(w, "g", ""), 0);
    assert_true(look(w, "g").st_size > 100);
}

static void what_is_no_file_is_left_out(void **state)
{
    struct world *w = *state;
    make_directory(w, "t");
    assert_int_equal(mkfifoat(w->dir->fd, "t/fifo", 0600), 0);
    copies(w, "t", "u");
    assert_int_equal(w->got.skipped, 1);
    assert_int_equal(entries(w, "u"), 0);
    fails(w, "t/fifo", "x", "is neither a file nor a directory");
}

// --- where it goes ---

static void names_are_as_cp_has_them(void **state)
{
    struct world *w = *state;
    (void)state;
    static const char *const cases[][2] = {
        {"a", "a"},   {"/a/b", "b"}, {"a/b//", "b"}, {"/", ""},      {".", ""},
        {"a/..", ""}, {"a/.", ""},   {"...", "..."}, {"..a", "..a"}, {"", ""},
    };
    char name[TREE_NAME_MAX + 1];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tree_name(cases[i][0], name);
        assert_string_equal(name, cases[i][1]);
    }
    make_file(w, "f", "1", 0600);
    make_directory(w, "d");
    copies(w, "f", "d");
    assert_text(w, "d/f", "1");
    copies(w, "d", "e");
    assert_text(w, "e/f", "1");
    copies(w, "d/", "e/");
    assert_text(w, "e/d/f", "1");
    copies(w, "d/.", "e/d");
    assert_int_equal(entries(w, "e/d"), 1);
    fails(w, "f", "x/", "there is no directory x/");
    fails(w, "f", "x/y", "No such file or directory");
    fails(w, "f", "f/y", "Not a directory");
    fails(w, "none", "x", "No such file or directory");
}

static void the_first_link_is_followed_the_others_are_not(void **state)
{
    struct world *w = *state;
    make_directory(w, "t");
    make_file(w, "t/f", "1", 0600);
    assert_int_equal(symlinkat("t", w->dir->fd, "l"), 0);
    assert_int_equal(symlinkat("f", w->dir->fd, "t/l"), 0);
    copies(w, "l", "u");
    assert_true(S_ISDIR(look(w, "u").st_mode));
    assert_true(S_ISLNK(look(w, "u/l").st_mode));
    copies(w, "t/l", "g");
    assert_true(S_ISREG(look(w, "g").st_mode));
}

static void a_file_is_replaced_a_directory_added_to(void **state)
{
    struct world *w = *state;
    make_directory(w, "t");
    make_directory(w, "t/d");
    make_file(w, "t/f", "new", 0600);
    make_file(w, "t/d/f", "new", 0600);
    make_directory(w, "o");
    make_directory(w, "o/t");
    make_directory(w, "o/t/d");
    make_file(w, "o/t/f", "old", 0600);
    make_file(w, "o/t/d/other", "other", 0600);
    assert_int_equal(fchmodat(w->dir->fd, "t/d", 0750, 0), 0);
    set_mtime(w, "t/d", 5);
    copies(w, "t", "o");
    assert_text(w, "o/t/f", "new");
    assert_text(w, "o/t/d/f", "new");
    assert_text(w, "o/t/d/other", "other");
    struct stat st = look(w, "o/t/d");
    assert_int_equal(st.st_mode, S_IFDIR | 0750);
    assert_int_equal(os_modified(&st).tv_sec, MTIME + 5);
    assert_int_equal(entries(w, "o"), 1);
}

static void one_kind_does_not_replace_another(void **state)
{
    struct world *w = *state;
    make_directory(w, "t");
    make_file(w, "t/a", "new", 0600);
    make_file(w, "t/x", "new", 0600);
    make_file(w, "f", "f", 0600);
    fails(w, "t", "f", "f is there and is no directory");
    make_directory(w, "o");
    make_directory(w, "o/f");
    fails(w, "f", "o", "f is there and is a directory");
    make_directory(w, "o/t");
    make_directory(w, "o/t/x");
    make_file(w, "o/t/a", "old", 0600);
    fails(w, "t", "o", "x is there and is a directory");
    assert_text(w, "o/t/a", "old");
    assert_int_equal(unlinkat(w->dir->fd, "o/t/x", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("/tmp", w->dir->fd, "o/t/x"), 0);
    assert_int_equal(unlinkat(w->dir->fd, "t/x", 0), 0);
    make_directory(w, "t/x");
    fails(w, "t", "o", "x is there and is no directory");
    assert_int_equal(w->e.code, ERR_EXISTS);
}

static void a_stream_cut_short_anywhere_leaves_nothing(void **state)
{
    struct world *w = *state;
    make_tree(w);
    assert_int_equal(send_tree(w, "t"), 0);
    size_t whole = w->stream.n;
    for (w->stream.n = 0; w->stream.n < whole; w->stream.n++) {
        assert_int_equal(receive(w, "u", "t"), -1);
        assert_false(is_there(w, "u"));
    }
    assert_int_equal(receive(w, "u", "t"), 0);
}

static void too_deep_is_said_by_who_sends(void **state)
{
    struct world *w = *state;
    char path[2 * TREE_DEPTH_MAX + 4] = "d";
    make_directory(w, path);
    for (int i = 1; i < TREE_DEPTH_MAX; i++) {
        strcat(path, "/d");
        make_directory(w, path);
    }
    copies(w, "d", "u");
    copies(w, "d/.", "u"); // each level is merged
    strcat(path, "/d");
    make_directory(w, path);
    fails(w, "d", "v", "too deep");
}

// --- hostile senders ---

#define HEAD(mode, nanoseconds, length, name)                                                      \
    mode "\0\0\0\0\0\0\0\0\0\0" nanoseconds length "\0" name
#define DIRECTORY(length, name) "D" HEAD("\xff\x01", "\0\0\0\0", length, name)
#define FILE_OF(length, name) "F" HEAD("\xff\x01", "\0\0\0\0", length, name)
#define END "Z\0\0\0\0\0\0\0\0"
#define EMPTY "E\0\0\0\0\0\0\0\0"
#define CASE(text)                                                                                 \
    {                                                                                              \
        TREE_MAGIC text, sizeof(TREE_MAGIC text) - 1                                               \
    }

static void lies_are_found_out(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *text;
        size_t n;
    } cases[] = {
        CASE(DIRECTORY("\0", "") FILE_OF("\2", "..") EMPTY "U" END),
        CASE(DIRECTORY("\0", "") FILE_OF("\1", ".") EMPTY "U" END),
        CASE(DIRECTORY("\0", "") FILE_OF("\4", "../x") EMPTY "U" END),
        CASE(DIRECTORY("\0", "") FILE_OF("\2", "/x") EMPTY "U" END),
        CASE(DIRECTORY("\0", "") FILE_OF("\3", "a\0b") EMPTY "U" END),
        CASE(DIRECTORY("\0", "") FILE_OF("\0", "") EMPTY "U" END),
        CASE(DIRECTORY("\0", "") DIRECTORY("\2", "..") "UU" END),
        CASE(DIRECTORY("\0", "") FILE_OF("\1", "a") EMPTY FILE_OF("\1", "a") EMPTY "U" END),
        // a link, and through it
        CASE(DIRECTORY("\0", "") "L" HEAD("\xff\1", "\0\0\0\0", "\1", "a") "\4\0/tmp" //
             DIRECTORY("\1", "a") FILE_OF("\1", "x") EMPTY "UU" END),
        CASE(DIRECTORY("\0", "") "L" HEAD("\xff\1", "\0\0\0\0", "\1", "a") "\4\0/tmp" //
             FILE_OF("\1", "a") EMPTY "U" END),
        CASE("L" HEAD("\xff\1", "\0\0\0\0", "\0", "") "\0\0" END), // that leads nowhere
        CASE(FILE_OF("\1", "x") EMPTY END),                        // the top has no name
        CASE("U" END),
        CASE(END),
        CASE(FILE_OF("\0", "") EMPTY EMPTY END),
        CASE(FILE_OF("\0", "") "X\0\0\0\0\0\0\0\0\1\0\1\0"), // more than a chunk
        CASE(FILE_OF("\0", "") "X\xff\xff\xff\xff\xff\xff\xff\x7f\1\0\0\0z" EMPTY END),
        CASE(FILE_OF("\0", "") "X\1\0\0\0\0\0\0\0\1\0\0\0zX\0\0\0\0\0\0\0\0\1\0\0\0z" EMPTY END),
        CASE(FILE_OF("\0", "") "X\0\0\0\0\0\0\0\0\1\0\0\0z" EMPTY END), // ends before its data
        CASE(FILE_OF("\0", "") "E\xff\xff\xff\xff\xff\xff\xff\xff" END),
        CASE("F" HEAD("\xff\1", "\xff\xff\xff\x3f", "\0", "") EMPTY END), // UTIME_NOW
        CASE("Q"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        w->stream.n = 0;
        bytes_write(&w->stream, cases[i].text, cases[i].n, &w->e);
        if (receive(w, "u", "t") == 0)
            fail_msg("case %zu is taken", i);
        assert_int_equal(entries(w, "."), 0);
    }
    w->stream.n = 0;
    bytes_write(&w->stream, "tmtree2\n", 8, &w->e);
    assert_int_equal(receive(w, "u", "t"), -1);
    assert_non_null(strstr(w->e.msg, "as new as this"));
}

static void too_deep_is_refused_by_who_receives(void **state)
{
    struct world *w = *state;
    w->stream.n = 0;
    bytes_write(&w->stream, TREE_MAGIC DIRECTORY("\0", ""), 8 + sizeof DIRECTORY("\0", "") - 1,
                &w->e);
    for (int i = 0; i < 2 * TREE_DEPTH_MAX; i++)
        bytes_write(&w->stream, DIRECTORY("\1", "d"), sizeof DIRECTORY("\1", "d") - 1, &w->e);
    assert_int_equal(receive(w, "u", "t"), -1);
    assert_non_null(strstr(w->e.msg, "makes no sense"));
    assert_false(is_there(w, "u"));
}

// --- temporary names ---

static void names_of_another_boot_are_stale(void **state)
{
    struct world *w = *state;
    struct tree_place place;
    char boot[64];
    enum { MARK = sizeof ".tailmac-cp-" - 1 };
    assert_int_equal(tree_place_open(&place, at(w, "new"), "x", &w->e), 0);
    tree_place_close(&place);
    assert_false(tree_place_is_stale(place.temporary));
    os_boot_id(boot, sizeof boot);
    assert_memory_equal(place.temporary + MARK, boot, 8);
    place.temporary[MARK] ^= 1;
    assert_true(tree_place_is_stale(place.temporary));
    place.temporary[MARK + 8] = 'x';
    assert_false(tree_place_is_stale(place.temporary));
    assert_false(tree_place_is_stale(".tailmac-cp-0123456789abcdef"));
    assert_false(tree_place_is_stale(".tailmac-cp-"));
    assert_false(tree_place_is_stale("x"));
}

// --- the janitor ---

static void a_janitor_cleans_up_after_one_who_is_killed(void **state)
{
    struct world *w = *state;
    int ends[2];
    char byte;
    make_tree(w);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct janitor janitor;
        janitor_start(&janitor, w->dir->fd, "t", &w->e);
        raise(SIGKILL);
    }
    close(ends[1]);
    waitpid(pid, NULL, 0);
    assert_int_equal(read(ends[0], &byte, 1), 0); // the janitor has it open, too
    close(ends[0]);
    assert_false(is_there(w, "t"));
}

static void a_janitor_that_is_let_go_has_cleaned_up(void **state)
{
    struct world *w = *state;
    struct janitor janitor;
    make_tree(w);
    assert_int_equal(janitor_start(&janitor, w->dir->fd, "t", &w->e), 0);
    assert_true(is_there(w, "t"));
    janitor_end(&janitor);
    assert_false(is_there(w, "t"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tree_arrives_as_it_is),
        TEST(bits_that_make_somebody_else_stay_behind),
        TEST(holes_stay_holes),
        TEST(big_files_arrive_whole),
        TEST(files_of_proc_have_no_size_but_content),
        TEST(what_is_no_file_is_left_out),
        TEST(names_are_as_cp_has_them),
        TEST(the_first_link_is_followed_the_others_are_not),
        TEST(a_file_is_replaced_a_directory_added_to),
        TEST(one_kind_does_not_replace_another),
        TEST(a_stream_cut_short_anywhere_leaves_nothing),
        TEST(too_deep_is_said_by_who_sends),
        TEST(lies_are_found_out),
        TEST(too_deep_is_refused_by_who_receives),
        TEST(names_of_another_boot_are_stale),
        TEST(a_janitor_cleans_up_after_one_who_is_killed),
        TEST(a_janitor_that_is_let_go_has_cleaned_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
