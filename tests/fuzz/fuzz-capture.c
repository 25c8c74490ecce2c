// The capture's two readers. The first byte says whether the rest is records, and in what pieces
// they come, or a file that a capture finds. Whatever comes, the file then has whole blocks only.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "vnet/capture/pcapng.h"
#include "vnet/capture/writer.h"

static void assert_whole(int fd)
{
    struct err e;
    off_t size = lseek(fd, 0, SEEK_END);
    if (size <= 0 || pcapng_end(fd, &e) != size)
        abort();
}

static struct writer *begin(int fd, off_t end)
{
    struct err e;
    struct writer *w = writer_new(fd, end, &e);
    if (!w)
        abort();
    return w;
}

static void finish(struct writer *w, int fd)
{
    struct err e;
    if (writer_finish(w, &e) < 0)
        abort();
    writer_free(w);
    assert_whole(fd);
}

static void feed(struct writer *w, const uint8_t *data, size_t size, size_t piece)
{
    struct err e;
    while (size > 0) {
        size_t room;
        void *to = writer_space(w, &room);
        size_t n = size < piece ? size : piece;
        n = n < room ? n : room;
        if (n == 0)
            abort();
        memcpy(to, data, n);
        data += n;
        size -= n;
        if (writer_added(w, n, &e) < 0)
            return;
    }
}

static void find_file(int fd, const uint8_t *data, size_t size)
{
    struct err e;
    if (write(fd, data, size) != (ssize_t)size)
        abort();
    off_t end = pcapng_end(fd, &e);
    if (end > (off_t)size || end % 4 > 0)
        abort();
    if (end >= 0)
        finish(begin(fd, end), fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    int fd = os_memory_file("capture", 0);
    if (fd < 0)
        abort();
    if (data[0] == 0) {
        find_file(fd, data + 1, size - 1);
    } else {
        struct writer *w = begin(fd, 0);
        feed(w, data + 1, size - 1, data[0] == 255 ? SIZE_MAX : data[0]);
        finish(w, fd);
    }
    close(fd);
    return 0;
}
