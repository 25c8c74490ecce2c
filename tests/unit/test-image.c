// Archives: what is taken, and everything that is not.
#include "image/image.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cmocka.h>

#include "tempdir.h"

struct writer {
    struct archive *a;
    const struct tempdir *dir;
};

static struct writer begin(const struct tempdir *t, bool zstd)
{
    struct writer w = {archive_write_new(), t};
    char path[128];
    snprintf(path, sizeof path, "%s/image", t->path);
    archive_write_set_format_pax(w.a);
    if (zstd)
        archive_write_add_filter_zstd(w.a);
    assert_int_equal(archive_write_open_filename(w.a, path), ARCHIVE_OK);
    return w;
}

static struct archive_entry *entry(const char *name, mode_t type, int64_t size)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_mode(entry, type | 0644);
    archive_entry_set_size(entry, size);
    return entry;
}

static void add(struct writer *w, const char *name, const char *text)
{
    struct archive_entry *file = entry(name, AE_IFREG, (int64_t)strlen(text));
    assert_int_equal(archive_write_header(w->a, file), ARCHIVE_OK);
    assert_int_equal(archive_write_data(w->a, text, strlen(text)), strlen(text));
    archive_entry_free(file);
}

static void end(struct writer *w)
{
    assert_int_equal(archive_write_close(w->a), ARCHIVE_OK);
    archive_write_free(w->a);
}

// Unpacks the image into "out"; the configuration's text is freed unless asked for.
static int unpack(const struct tempdir *t, char **config, struct err *e)
{
    char *text = NULL;
    mkdirat(t->fd, "out", 0700);
    int out = dir_open(t->fd, "out", e);
    int image = openat(t->fd, "image", O_RDONLY | O_CLOEXEC);
    int result = image_unpack(image, out, &text, NULL, NULL, e);
    close(image);
    close(out);
    if (config)
        *config = text;
    else
        free(text);
    return result;
}

static bool there(const struct tempdir *t, const char *name)
{
    struct stat st;
    return fstatat(t->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void files_and_configuration_come_out(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    char *config;
    for (int zstd = 0; zstd < 2; zstd++) {
        struct writer w = begin(t, zstd);
        struct archive_entry *top = entry("./", AE_IFDIR, 0);
        assert_int_equal(archive_write_header(w.a, top), ARCHIVE_OK);
        archive_entry_free(top);
        add(&w, "./config.json", "{}");
        add(&w, "Kernel", "kernel");
        end(&w);
        assert_int_equal(unpack(t, &config, &e), 0);
        assert_string_equal(config, "{}");
        free(config);
        int out = dir_open(t->fd, "out", &e);
        char *kernel = file_read(out, "Kernel", 100, NULL, &e);
        close(out);
        assert_string_equal(kernel, "kernel");
        free(kernel);
        assert_false(there(t, "out/config.json"));
        assert_int_equal(tree_remove(t->fd, "out", &e), 0);
    }
}

static void zeros_become_holes(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    struct stat st;
    enum { SIZE = 16 << 20 };
    char *disk = calloc(1, SIZE);
    memcpy(disk + (8 << 20) + 100, "data", 4);
    struct writer w = begin(t, true);
    struct archive_entry *file = entry("Disk.img", AE_IFREG, SIZE);
    assert_int_equal(archive_write_header(w.a, file), ARCHIVE_OK);
    assert_int_equal(archive_write_data(w.a, disk, SIZE), SIZE);
    archive_entry_free(file);
    end(&w);
    assert_int_equal(unpack(t, NULL, &e), 0);
    char word[4];
    int fd = openat(t->fd, "out/Disk.img", O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, SIZE);
    assert_true(st.st_blocks * 512 < 1 << 20);
    assert_int_equal(pread(fd, word, 4, (8 << 20) + 100), 4);
    assert_memory_equal(word, "data", 4);
    close(fd);
    free(disk);
}

static void refuse_entry(const struct tempdir *t, const char *name, mode_t type, const char *link,
                         const char *says)
{
    struct err e = {0};
    struct writer w = begin(t, false);
    struct archive_entry *bad = entry(name, type, 0);
    if (link && type == AE_IFLNK)
        archive_entry_set_symlink(bad, link);
    else if (link)
        archive_entry_set_hardlink(bad, link);
    assert_int_equal(archive_write_header(w.a, bad), ARCHIVE_OK);
    archive_entry_free(bad);
    end(&w);
    assert_int_equal(unpack(t, NULL, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
    if (!strstr(e.msg, says))
        fail_msg("%s gives: %s", name, e.msg);
    assert_int_equal(tree_remove(t->fd, "out", &e), 0);
}

static void hostile_entries_are_refused(void **state)
{
    static const char *const names[] = {
        "../escape", "/tmp/absolute", "a/b",      "./a/b",       "..",
        "lock",      "LOCK",          "run.json", "host.log",    "SaveFile.vzvmsave",
        ".hidden",   "a b",           "./../x",   "a\n\x1b[31m",
    };
    struct tempdir *t = *state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refuse_entry(t, names[i], AE_IFREG, NULL, "must not have");
    refuse_entry(t, "Disk.img", AE_IFLNK, "/etc/passwd", "not a regular file");
    refuse_entry(t, "Disk.img", AE_IFREG, "/etc/passwd", "not a regular file");
    refuse_entry(t, "Disk.img", AE_IFCHR, NULL, "not a regular file");
    refuse_entry(t, "Disk.img", AE_IFIFO, NULL, "not a regular file");
    refuse_entry(t, "Disk.img", AE_IFDIR, NULL, "must not have");
    assert_false(there(t, "escape"));
}

static void nothing_comes_twice(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    struct writer w = begin(t, false);
    add(&w, "Kernel", "one");
    add(&w, "Kernel", "two");
    end(&w);
    assert_int_equal(unpack(t, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "twice"));
}

static void too_much_is_refused(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    char name[16];
    struct writer w = begin(t, true);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "f%d", i);
        add(&w, name, "");
    }
    end(&w);
    assert_int_equal(unpack(t, NULL, &e), -1);
    assert_non_null(strstr(e.msg, "256 files"));
    assert_int_equal(tree_remove(t->fd, "out", &e), 0);
    // A sparse file of 2 TiB takes 1 KiB in the archive.
    w = begin(t, false);
    struct archive_entry *huge = entry("Disk.img", AE_IFREG, 2LL << 40);
    archive_entry_sparse_add_entry(huge, 0, 0);
    archive_write_header(w.a, huge);
    archive_entry_free(huge);
    archive_write_close(w.a);
    archive_write_free(w.a);
    assert_int_equal(unpack(t, NULL, &e), -1);
    assert_int_equal(e.code, ERR_FAILED);
}

static void overwrite_byte(const struct tempdir *t, off_t at)
{
    char byte;
    int fd = openat(t->fd, "image", O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)~byte;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

// Makes the image one zstd frame (RFC 8878, 3.1.1) of one raw block with a content checksum, as the
// zstd program writes by default and libarchive does not.
static void frame_with_checksum(const struct tempdir *t)
{
    struct err e;
    size_t n;
    char *tar = file_read(t->fd, "image", 65536, &n, &e);
    assert_non_null(tar);
    uint64_t sum = XXH64(tar, n, 0);
    // Checksum, single segment, content size in two bytes (less 256); last block, raw.
    const uint32_t block = 1 | (uint32_t)n << 3;
    const uint8_t head[] = {0x28,
                            0xb5,
                            0x2f,
                            0xfd,
                            0x64,
                            (uint8_t)(n - 256),
                            (uint8_t)((n - 256) >> 8),
                            (uint8_t)block,
                            (uint8_t)(block >> 8),
                            (uint8_t)(block >> 16)};
    const uint8_t tail[] = {(uint8_t)sum, (uint8_t)(sum >> 8), (uint8_t)(sum >> 16),
                            (uint8_t)(sum >> 24)};
    int fd = openat(t->fd, "image", O_WRONLY | O_TRUNC);
    assert_int_equal(fd_write_all(fd, head, sizeof head, &e), 0);
    assert_int_equal(fd_write_all(fd, tar, n, &e), 0);
    assert_int_equal(fd_write_all(fd, tail, sizeof tail, &e), 0);
    close(fd);
    free(tar);
}

// Cut anywhere or with any byte changed, an image is refused or gives the same content: the
// compressed data has a checksum, and it is read to its end.
static void damage_is_noticed(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    struct stat st;
    char text[4096];
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)('a' + i * i % 26);
    text[sizeof text - 1] = 0;
    struct writer w = begin(t, false);
    add(&w, "Kernel", text);
    end(&w);
    frame_with_checksum(t);
    char path[128];
    snprintf(path, sizeof path, "%s/image", t->path);
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 3) {
        overwrite_byte(t, at);
        if (unpack(t, NULL, &e) == 0) {
            int out = dir_open(t->fd, "out", &e);
            char *kernel = file_read(out, "Kernel", sizeof text, NULL, &e);
            close(out);
            assert_string_equal(kernel, text);
            free(kernel);
        }
        overwrite_byte(t, at);
        assert_int_equal(tree_remove(t->fd, "out", &e), 0);
    }
    for (off_t size = st.st_size - 1; size >= 0; size -= 7) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(unpack(t, NULL, &e), -1);
        assert_int_equal(e.code, ERR_FAILED);
        assert_int_equal(tree_remove(t->fd, "out", &e), 0);
    }
}

static void kinds_are_recognised_by_content(void **state)
{
    static const struct {
        const char *head;
        size_t n;
        int result;
        enum image_kind kind;
    } heads[] = {
        {"\x28\xb5\x2f\xfd", 4, 0, IMAGE_ARCHIVE},
        {"\x1f\x8b\x08", 3, 0, IMAGE_ARCHIVE},
        {"QFI\xfb", 4, 0, IMAGE_DISK},
        {"anything", 8, 0, IMAGE_DISK},
        {"\xfd"
         "7zXZ",
         5, -1, 0},
        {"PK\x03\x04", 4, -1, 0},
        {"", 0, -1, 0},
    };
    struct tempdir *t = *state;
    struct err e;
    enum image_kind kind;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        assert_int_equal(file_write_atomic(t->fd, "image", heads[i].head, heads[i].n, false, &e),
                         0);
        int fd = openat(t->fd, "image", O_RDONLY);
        assert_int_equal(image_recognise(fd, &kind, &e), heads[i].result);
        if (heads[i].result == 0)
            assert_int_equal(kind, heads[i].kind);
        close(fd);
    }
    struct writer w = begin(t, false);
    add(&w, "Kernel", "k");
    end(&w);
    int fd = openat(t->fd, "image", O_RDONLY);
    assert_int_equal(image_recognise(fd, &kind, &e), 0);
    assert_int_equal(kind, IMAGE_ARCHIVE);
    close(fd);
}

static int stop(void *arg, uint64_t done, uint64_t total, struct err *e)
{
    return err_set(e, ERR_INTERRUPTED, "interrupted");
}

static void unpacking_can_be_stopped(void **state)
{
    struct tempdir *t = *state;
    struct err e;
    char *config;
    struct writer w = begin(t, true);
    add(&w, "Kernel", "kernel");
    end(&w);
    int image = openat(t->fd, "image", O_RDONLY);
    assert_int_equal(image_unpack(image, t->fd, &config, stop, NULL, &e), -1);
    assert_int_equal(e.code, ERR_INTERRUPTED);
    assert_null(config);
    close(image);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_and_configuration_come_out),
        TEST(zeros_become_holes),
        TEST(hostile_entries_are_refused),
        TEST(nothing_comes_twice),
        TEST(too_much_is_refused),
        TEST(damage_is_noticed),
        TEST(kinds_are_recognised_by_content),
        TEST(unpacking_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
