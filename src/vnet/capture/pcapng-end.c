// Where a pcapng file's last whole block ends. Nothing is believed of the file: what cannot be the
// beginning of one more block is damage, which is not ours to cut off.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vnet/capture/pcapng.h"

enum {
    FRAME = 12,             // of a block without a body: type, length, length
    SECTION_MIN = 28,       // 4.1
    BLOCK_LIMIT = 16 << 20, // what Wireshark takes for possible, too
};

// A file, of which a part is in memory.
struct window {
    int fd;
    off_t size, start;
    size_t n;
    uint8_t data[64 << 10];
};

// The n bytes at `at`, n at most FRAME; NULL with *e.
static const uint8_t *look(struct window *w, off_t at, size_t n, struct err *e)
{
    if (at < w->start || at + (off_t)n > w->start + (off_t)w->n) {
        ssize_t got = pread(w->fd, w->data, sizeof w->data, at);
        if (got < (ssize_t)n) {
            errno = got < 0 ? errno : EIO; // it became shorter meanwhile
            err_sys(e, "cannot read it");
            return NULL;
        }
        w->start = at;
        w->n = (size_t)got;
    }
    return w->data + (at - w->start);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

// What ends a file when the power does: room for blocks, reserved and not yet filled.
static int only_zeros(struct window *w, off_t at, struct err *e)
{
    for (; at < w->size; at++) {
        const uint8_t *byte = look(w, at, 1, e);
        if (!byte)
            return -1;
        if (*byte != 0)
            return 0;
    }
    return 1;
}

static int damaged(off_t at, struct err *e)
{
    return err_set(e, ERR_FAILED, "it is damaged at byte %" PRId64 ": move it away", (int64_t)at);
}

// What follows `at` is no whole block: 0 where that is how a write may be cut short.
static int check_tail(struct window *w, off_t at, uint32_t length, struct err *e)
{
    if (w->size - at < BLOCK_LIMIT && length >= FRAME && length % 4 == 0)
        return 0;
    int zeros = only_zeros(w, at, e);
    return zeros > 0 ? 0 : zeros < 0 ? -1 : damaged(at, e);
}

// The length of the block at `at`; 0: it is not whole, and the last; -1 with *e.
static int64_t block_length(struct window *w, off_t at, struct err *e)
{
    const off_t left = w->size - at;
    if (left < FRAME)
        return 0;
    const uint8_t *head = look(w, at, FRAME, e);
    if (!head)
        return -1;
    const uint32_t type = get32(head);
    const uint32_t length = get32(head + 4);
    if (type == PCAPNG_SECTION_HEADER && get32(head + 8) != PCAPNG_BYTE_ORDER)
        return err_set(e, ERR_USAGE, "it is no pcapng file of this machine's byte order");
    const bool whole = length >= FRAME && length % 4 == 0 && length <= left;
    if (!whole)
        return check_tail(w, at, length, e);
    const uint8_t *tail = look(w, at + length - 4, 4, e);
    if (!tail)
        return -1;
    if (get32(tail) != length)
        return damaged(at, e);
    return length;
}

static int check_begin(struct window *w, struct err *e)
{
    const uint8_t *head = w->size < SECTION_MIN ? NULL : look(w, 0, 4, e);
    if (!head && w->size >= SECTION_MIN)
        return -1;
    if (!head || get32(head) != PCAPNG_SECTION_HEADER)
        return err_set(e, ERR_USAGE, "it is there and no pcapng file");
    return 0;
}

off_t pcapng_end(int fd, struct err *e)
{
    struct window w = {.fd = fd};
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, "cannot look at it");
    w.size = st.st_size;
    if (w.size == 0)
        return 0;
    if (check_begin(&w, e) < 0)
        return -1;
    int64_t length;
    off_t at = 0;
    for (; (length = block_length(&w, at, e)) > 0; at += length)
        ;
    return length < 0 ? -1 : at;
}
