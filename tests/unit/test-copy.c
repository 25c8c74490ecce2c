// Guest RAM copied without its zeros, and the digest that tells one memory from another.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"
#include "tempdir.h"

enum { PAGE = 4096, SIZE = 8 << 20 };

static int new_file(const struct tempdir *t, const char *name)
{
    int fd = openat(t->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void put(int fd, const char *text, off_t at)
{
    assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
}

// Copies into a new file, checks that it reads the same, and returns the digest.
static uint64_t copy(const struct tempdir *t, int src, uint64_t size)
{
    struct err e;
    struct stat st;
    uint64_t digest;
    uint64_t again;
    AUTO_CLOSE int dst = new_file(t, "copy");
    AUTO_CLOSE int third = new_file(t, "third");
    AUTO_FREE char *a = xcalloc(1, size + 1);
    AUTO_FREE char *b = xcalloc(1, size + 1);
    assert_int_equal(file_copy_nonzero(src, dst, size, false, &digest, &e), 0);
    fstat(dst, &st);
    assert_int_equal(st.st_size, size);
    assert_true(pread(src, a, size, 0) >= 0);
    assert_int_equal(pread(dst, b, size, 0), size);
    assert_memory_equal(a, b, size);
    // What was written tells the same when it is read back.
    assert_int_equal(file_copy_nonzero(dst, third, size, false, &again, &e), 0);
    assert_true(again == digest);
    return digest;
}

// Words at both ends, in the middle, over the border of two pages and of two chunks.
static int new_memory(const struct tempdir *t, const char *name)
{
    int fd = new_file(t, name);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    put(fd, "start", 0);
    put(fd, "border", 5 * PAGE - 3);
    put(fd, "border", (1 << 20) - 3);
    put(fd, "middle", SIZE / 2 + 17);
    put(fd, "end", SIZE - 3);
    return fd;
}

static void zeros_are_not_written(void **state)
{
    const struct tempdir *t = *state;
    struct err e;
    struct stat st;
    uint64_t digest;
    AUTO_FREE char *zeros = xcalloc(1, SIZE);
    AUTO_CLOSE int src = new_file(t, "src");
    AUTO_CLOSE int dst = new_file(t, "dst");
    assert_int_equal(pwrite(src, zeros, SIZE, 0), SIZE);
    put(src, "word", 3 * PAGE + 1);
    assert_int_equal(file_copy_nonzero(src, dst, SIZE, false, &digest, &e), 0);
    fstat(dst, &st);
    assert_true(st.st_size == SIZE && st.st_blocks * 512 <= 64 << 10);
}

static void holes_make_no_difference(void **state)
{
    const struct tempdir *t = *state;
    AUTO_FREE char *content = xcalloc(1, SIZE);
    AUTO_CLOSE int sparse = new_memory(t, "sparse");
    AUTO_CLOSE int full = new_file(t, "full");
    AUTO_CLOSE int memory = os_memory_file("test", SIZE);
    assert_int_equal(pread(sparse, content, SIZE, 0), SIZE);
    assert_int_equal(pwrite(full, content, SIZE, 0), SIZE);
    assert_int_equal(pwrite(memory, content, SIZE, 0), SIZE);
    uint64_t digest = copy(t, sparse, SIZE);
    assert_true(copy(t, full, SIZE) == digest);
    assert_true(copy(t, memory, SIZE) == digest);
    os_punch_hole(memory, 16 * PAGE, 64 * PAGE); // zeros before
    assert_true(copy(t, memory, SIZE) == digest);
}

static void every_difference_counts(void **state)
{
    const struct tempdir *t = *state;
    AUTO_CLOSE int src = new_memory(t, "src");
    uint64_t digest = copy(t, src, SIZE);
    put(src, "stare", 0); // one byte
    assert_true(copy(t, src, SIZE) != digest);
    put(src, "start", 0);
    assert_true(copy(t, src, SIZE) == digest);
    put(src, "new", 100 * PAGE); // a page more
    assert_true(copy(t, src, SIZE) != digest);
    assert_int_equal(pwrite(src, "\0\0\0", 3, 100 * PAGE), 3);
    assert_true(copy(t, src, SIZE) == digest);
    assert_int_equal(pwrite(src, "\0\0\0", 3, SIZE - 3), 3); // a page less
    assert_true(copy(t, src, SIZE) != digest);
}

static void places_count(void **state)
{
    const struct tempdir *t = *state;
    AUTO_CLOSE int one = new_file(t, "one");
    AUTO_CLOSE int two = new_file(t, "two");
    AUTO_CLOSE int three = new_file(t, "three");
    put(one, "a", 0);
    put(one, "b", PAGE);
    put(two, "b", 0); // swapped
    put(two, "a", PAGE);
    put(three, "a", PAGE); // moved
    put(three, "b", 2 * PAGE);
    uint64_t digests[] = {copy(t, one, SIZE), copy(t, two, SIZE), copy(t, three, SIZE)};
    assert_true(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
}

static void sizes_need_not_fit(void **state)
{
    const struct tempdir *t = *state;
    AUTO_CLOSE int src = new_file(t, "src");
    put(src, "text", 0);
    put(src, "last", 3 * PAGE + 100);
    copy(t, src, 3 * PAGE + 104); // ends within a page
    copy(t, src, SIZE);           // the source is shorter
    uint64_t cut = copy(t, src, 3 * PAGE);
    put(src, "LAST", 3 * PAGE + 100);
    assert_true(copy(t, src, 3 * PAGE) == cut); // what is beyond is not looked at
    copy(t, src, 0);
}

static void what_cannot_be_written_is_said(void **state)
{
    const struct tempdir *t = *state;
    struct err e = {0};
    uint64_t digest;
    AUTO_CLOSE int src = new_memory(t, "src");
    AUTO_CLOSE int dst = openat(t->fd, "src", O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_copy_nonzero(src, dst, SIZE, false, &digest, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(zeros_are_not_written),   TEST(holes_make_no_difference),
        TEST(every_difference_counts), TEST(places_count),
        TEST(sizes_need_not_fit),      TEST(what_cannot_be_written_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
