// Copies of big sparse files: disks (block sharing, holes kept) and guest RAM (zero pages skipped).
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"

enum {
    RANGE = 16 << 20,   // bytes between two progress reports
    BUFFER = 256 << 10, // fits a CPU's cache: faster than copy_file_range(2) on ext4
    CHUNK = 1 << 20,
    PAGE = 4096,
};

// Finds the next run of data at or after *at: [*at, *end). 0 when there is none before `size`.
static int next_data(int fd, off_t *at, off_t *end, off_t size)
{
    off_t start = lseek(fd, *at, SEEK_DATA);
    if (start < 0 || start >= size) {
        if (start < 0 && errno != ENXIO && errno != EINVAL)
            return -1;
        if (start < 0 && errno == EINVAL) { // no SEEK_DATA here: all is data
            *end = size;
            return *at < size;
        }
        return 0;
    }
    off_t stop = lseek(fd, start, SEEK_HOLE);
    *at = start;
    *end = stop < 0 || stop > size ? size : stop;
    return 1;
}

static int write_at(int dst, const char *data, size_t n, off_t at, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(dst, data + done, n - done, at + (off_t)done);
        if (w < 0 && errno != EINTR)
            return err_sys(e, "cannot write");
        done += w > 0 ? (size_t)w : 0;
    }
    return 0;
}

static int copy_run(int src, int dst, off_t at, off_t end, char *buffer, struct err *e)
{
    while (at < end) {
        size_t want = end - at < BUFFER ? (size_t)(end - at) : BUFFER;
        ssize_t got = pread(src, buffer, want, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, "cannot read");
        if (got == 0)
            break; // the source ended early
        if (write_at(dst, buffer, (size_t)got, at, e) < 0)
            return -1;
        at += got;
    }
    return 0;
}

int file_copy(int src, int dst, bool *shared, file_progress *progress, void *arg, struct err *e)
{
    struct stat st;
    if (fstat(src, &st) < 0)
        return err_sys(e, "cannot copy");
    bool linked = os_reflink(src, dst) == 0;
    if (shared)
        *shared = linked;
    if (linked)
        return 0;
    if (ftruncate(dst, st.st_size) < 0)
        return err_sys(e, "cannot copy");
    AUTO_FREE char *buffer = xcalloc(1, BUFFER);
    uint64_t total = (uint64_t)st.st_blocks * 512;
    uint64_t done = 0;
    off_t at = 0;
    off_t end = 0;
    int more;
    while ((more = next_data(src, &at, &end, st.st_size)) > 0) {
        off_t stop = end - at > RANGE ? at + RANGE : end;
        if (copy_run(src, dst, at, stop, buffer, e) < 0)
            return -1;
        done += (uint64_t)(stop - at);
        at = stop;
        if (progress && progress(arg, done, total > done ? total : done, e) < 0)
            return -1;
    }
    return more < 0 ? err_sys(e, "cannot copy") : 0;
}

static bool is_zero(const char *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

struct page_copy {
    int src, dst;
    bool durable;
    XXH3_state_t *hash;
    char chunk[CHUNK];
};

// Writes the pages of one chunk that are not zero, neighbours together.
static int write_nonzero(struct page_copy *c, size_t n, off_t at, struct err *e)
{
    const char *chunk = c->chunk;
    for (size_t i = 0; i < n; i += PAGE) {
        size_t start = i;
        while (i < n && !is_zero(chunk + i, n - i < PAGE ? n - i : PAGE))
            i += PAGE;
        if (i == start)
            continue;
        size_t end = i < n ? i : n;
        for (size_t page = start; page < end; page += PAGE) {
            uint64_t number = (uint64_t)(at + (off_t)page) / PAGE;
            XXH3_64bits_update(c->hash, &number, sizeof number);
            XXH3_64bits_update(c->hash, chunk + page, end - page < PAGE ? end - page : PAGE);
        }
        if (c->dst >= 0 && write_at(c->dst, chunk + start, end - start, at + (off_t)start, e) < 0)
            return -1;
    }
    return 0;
}

// Reads all of it, as zeros what lies beyond the end of the file.
static int read_at(int src, char *chunk, size_t n, off_t at, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(src, chunk + done, n - done, at + (off_t)done);
        if (got < 0 && errno != EINTR)
            return err_sys(e, "cannot read memory");
        if (got == 0)
            memset(chunk + done, 0, n - done);
        done += got > 0 ? (size_t)got : got == 0 ? n - done : 0;
    }
    return 0;
}

static int copy_pages(struct page_copy *c, off_t at, off_t end, struct err *e)
{
    for (; at < end; at += CHUNK) {
        size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        if (read_at(c->src, c->chunk, n, at, e) < 0 || write_nonzero(c, n, at, e) < 0)
            return -1;
        if (c->durable)
            os_start_writing(c->dst, at, (off_t)n);
    }
    return 0;
}

static int copy_all_pages(struct page_copy *c, off_t size, struct err *e)
{
    off_t at = 0;
    off_t end = 0;
    int more;
    while ((more = next_data(c->src, &at, &end, size)) > 0) {
        at -= at % PAGE; // some file systems have holes at other places than pages
        end += (PAGE - end % PAGE) % PAGE;
        end = end > size ? size : end;
        if (copy_pages(c, at, end, e) < 0)
            return -1;
        at = end;
    }
    return more < 0 ? err_sys(e, "cannot read memory") : 0;
}

int file_copy_nonzero(int src, int dst, uint64_t size, bool durable, uint64_t *digest,
                      struct err *e)
{
    if (dst >= 0 && ftruncate(dst, (off_t)size) < 0)
        return err_sys(e, "cannot set the size of memory");
    AUTO_FREE struct page_copy *c = xcalloc(1, sizeof *c);
    c->src = src;
    c->dst = dst;
    c->durable = durable;
    c->hash = XXH3_createState();
    XXH3_64bits_reset(c->hash);
    int result = copy_all_pages(c, (off_t)size, e);
    *digest = XXH3_64bits_digest(c->hash);
    XXH3_freeState(c->hash);
    if (result == 0 && durable && fsync(dst) < 0)
        return err_sys(e, "cannot sync");
    return result;
}
