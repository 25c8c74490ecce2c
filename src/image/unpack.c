// Unpacking archives that may be hostile, keeping holes.
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/parse.h"
#include "image/image.h"

enum {
    BLOCK = 256 << 10, // read at once
    PAGE = 4096,       // a run of zeros this long becomes a hole
    FILES_MAX = 256,
    CONFIG_LIMIT = 1 << 20,
};
#define TOTAL_MAX (1LL << 40)

struct unpack {
    struct archive *archive;
    int dirfd;
    char *config;
    int files;
    int64_t total; // logical bytes so far
    uint64_t image_size;
    file_progress *progress;
    void *arg;
};

// What tailmac makes for each VM by itself, and a saved state, which belongs to one disk's content.
static const char *const refused[] = {
    "lock", "run.json", "console.log", "host.log", "engine.log", "SaveFile.vzvmsave",
};

// libarchive's text may quote names of the archive.
static int archive_failed(struct archive *a, struct err *e)
{
    const char *why = archive_error_string(a);
    int number = archive_errno(a);
    if (number == ENOSPC || number == EDQUOT || number == ENOMEM)
        return err_set(e, ERR_HOST_CANNOT, "%s", strerror(number));
    err_set(e, ERR_FAILED, "not a whole archive: %s", why ? why : "unknown error");
    for (char *p = e->msg; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = '?';
    return -1;
}

static struct archive *open_archive(int fd, struct err *e)
{
    struct archive *a = archive_read_new();
    // By name, never _all: the other formats and filters (some start programs) are not for us.
    // Concatenated archives are read so that the input is read to its end and its checksum with it.
    if (!a || archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
        archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
        archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_set_options(a, "tar:read_concatenated_archives") != ARCHIVE_OK ||
        archive_read_open_fd(a, fd, BLOCK) != ARCHIVE_OK) {
        archive_failed(a, e);
        archive_read_free(a);
        return NULL;
    }
    return a;
}

static int check_name(const char *name, struct err *e)
{
    bool ok = id_valid(name);
    for (size_t i = 0; ok && i < sizeof refused / sizeof *refused; i++)
        ok = strcasecmp(name, refused[i]) != 0; // macOS ignores case
    if (ok)
        return 0;
    AUTO_FREE char *shown = xstrdup(name);
    for (char *p = shown; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
    return err_set(e, ERR_FAILED, "the archive has '%.80s', which an image must not have", shown);
}

// `tar -C dir -c .` writes "./" and "./Disk.img".
static const char *plain_name(const char *path)
{
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    return path;
}

static bool all_zero(const char *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int write_at(int fd, const char *data, size_t n, off_t at, struct err *e)
{
    while (n > 0) {
        ssize_t w = pwrite(fd, data, n, at);
        if (w < 0 && errno != EINTR)
            return err_sys(e, "cannot write");
        w = w < 0 ? 0 : w;
        data += w;
        n -= (size_t)w;
        at += w;
    }
    return 0;
}

// Writes the pages that are not zero, neighbours together.
static int write_sparse(int fd, const char *data, size_t n, off_t at, struct err *e)
{
    size_t start = 0; // of what waits to be written
    for (size_t i = 0; i < n;) {
        size_t len = n - i < PAGE ? n - i : PAGE;
        if (!all_zero(data + i, len)) {
            i += len;
            continue;
        }
        if (write_at(fd, data + start, i - start, at + (off_t)start, e) < 0)
            return -1;
        i += len;
        start = i;
    }
    return write_at(fd, data + start, n - start, at + (off_t)start, e);
}

static int report(const struct unpack *u, struct err *e)
{
    int64_t done = archive_filter_bytes(u->archive, -1); // of the compressed input
    if (interrupt_check(e) < 0)
        return -1;
    return u->progress ? u->progress(u->arg, (uint64_t)done, u->image_size, e) : 0;
}

static int unpack_data(const struct unpack *u, int fd, int64_t size, struct err *e)
{
    const void *data;
    size_t n;
    la_int64_t at;
    int r;
    while ((r = archive_read_data_block(u->archive, &data, &n, &at)) == ARCHIVE_OK) {
        if (at < 0 || at > size || n > (uint64_t)(size - at))
            return err_set(e, ERR_FAILED, "the archive is damaged: data beyond the file's size");
        if (write_sparse(fd, data, n, at, e) < 0 || report(u, e) < 0)
            return -1;
    }
    if (r != ARCHIVE_EOF)
        return archive_failed(u->archive, e);
    return ftruncate(fd, size) < 0 ? err_sys(e, "cannot set the size") : 0;
}

static int unpack_file(struct unpack *u, const char *name, int64_t size, struct err *e)
{
    AUTO_CLOSE int fd = openat(u->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(e, ERR_FAILED, "the archive has '%s' twice", name);
    if (fd < 0)
        return err_sys(e, "cannot create %s", name);
    return unpack_data(u, fd, size, e) < 0 ? err_wrap(e, "%s", name) : 0;
}

// The image's configuration is no file of the new VM: it is read, and one is written from it.
static int take_config(struct unpack *u, struct err *e)
{
    size_t n;
    u->config = file_read(u->dirfd, "config.json", CONFIG_LIMIT, &n, e);
    if (!u->config)
        return -1;
    if (strlen(u->config) != n)
        return err_set(e, ERR_FAILED, "config.json: it has a NUL byte");
    return unlinkat(u->dirfd, "config.json", 0) < 0 ? err_sys(e, "config.json") : 0;
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry, struct err *e)
{
    const char *path = archive_entry_pathname(entry);
    const char *name = plain_name(path ? path : "");
    if (archive_entry_filetype(entry) == AE_IFDIR && (!*name || strcmp(name, ".") == 0))
        return 0;
    if (check_name(name, e) < 0)
        return -1;
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
        return err_set(e, ERR_FAILED, "the archive's '%s' is not a regular file", name);
    int64_t size = archive_entry_size(entry);
    if (size < 0 || size > TOTAL_MAX - u->total || ++u->files > FILES_MAX)
        return err_set(e, ERR_FAILED, "the archive has more than %d files or a terabyte",
                       FILES_MAX);
    u->total += size;
    if (unpack_file(u, name, size, e) < 0)
        return -1;
    return strcmp(name, "config.json") == 0 ? take_config(u, e) : 0;
}

static int unpack_all(struct unpack *u, struct err *e)
{
    struct archive_entry *entry;
    int r;
    while ((r = archive_read_next_header(u->archive, &entry)) == ARCHIVE_OK)
        if (unpack_entry(u, entry, e) < 0)
            return -1;
    if (r != ARCHIVE_EOF)
        return archive_failed(u->archive, e);
    return u->files > 0 ? 0 : err_set(e, ERR_FAILED, "the archive is empty");
}

int image_unpack(int fd, int dirfd, char **config, file_progress *progress, void *arg,
                 struct err *e)
{
    struct stat st;
    *config = NULL;
    if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(e, "cannot read the archive");
    struct archive *a = open_archive(fd, e);
    if (!a)
        return -1;
    struct unpack u = {.archive = a,
                       .dirfd = dirfd,
                       .image_size = (uint64_t)st.st_size,
                       .progress = progress,
                       .arg = arg};
    int result = unpack_all(&u, e);
    archive_read_free(a);
    if (result == 0)
        *config = TAKE_PTR(u.config);
    free(u.config);
    return result;
}
