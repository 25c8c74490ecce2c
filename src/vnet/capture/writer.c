// Records in, whole blocks of a pcapng file out, in batches.
#include "vnet/capture/writer.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "vnet/capture/pcapng.h"
#include "vnet/capture/record.h"
#include "vnet/vnet.h"

static_assert(VNET_FRAME_MAX + 256 <= PCAPNG_BLOCK_MAX, "a frame fits in a block");

// The interface that stands for a plug now.
struct interface {
    bool there;
    uint32_t number;
    uint64_t received, lost;
};

struct writer {
    int fd;
    off_t end; // of what is written
    uint32_t interfaces;
    unsigned plug_count;
    struct interface *plugs;
    bool failed;
    struct err error;
    struct pcapng out;
    size_t in_count;
    uint8_t in[256 << 10];
};

static uint64_t wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// The disk does not take the rest of a batch: keeps the blocks that are whole, and no more come.
static int cut_back(struct writer *w, size_t written, struct err *e)
{
    err_sys(e, "cannot write it");
    e->code = ERR_HOST_CANNOT;
    w->end += (off_t)pcapng_whole(&w->out, written);
    if (ftruncate(w->fd, w->end) < 0)
        err_wrap(e, "its last block is not whole");
    w->failed = true;
    w->error = *e;
    return -1;
}

int writer_flush(struct writer *w, struct err *e)
{
    if (w->failed) {
        *e = w->error;
        return -1;
    }
    for (size_t done = 0; done < w->out.n;) {
        ssize_t n = pwrite(w->fd, w->out.data + done, w->out.n - done, w->end + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cut_back(w, done, e);
        done += (size_t)n;
    }
    w->end += (off_t)w->out.n;
    w->out.n = 0;
    return 0;
}

static int begin_section(struct writer *w, struct err *e)
{
    struct utsname u;
    char os[3 * sizeof u.sysname];
    uname(&u);
    snprintf(os, sizeof os, "%s %s %s", u.sysname, u.release, u.machine);
    pcapng_section(&w->out, os, "vnet " TAILMAC_VERSION);
    return writer_flush(w, e);
}

struct writer *writer_new(int fd, off_t end, struct err *e)
{
    struct writer *w = xcalloc(1, sizeof *w);
    w->fd = fd;
    w->end = end;
    if (ftruncate(fd, end) < 0)
        err_sys(e, "cannot cut off its torn end");
    else if (begin_section(w, e) == 0)
        return w;
    writer_free(w);
    return NULL;
}

void writer_free(struct writer *w)
{
    if (w)
        free(w->plugs);
    free(w);
}

static struct interface *interface_of(struct writer *w, unsigned plug)
{
    if (plug >= w->plug_count) {
        w->plugs = xrealloc(w->plugs, (plug + 1) * sizeof *w->plugs);
        memset(w->plugs + w->plug_count, 0, (plug + 1 - w->plug_count) * sizeof *w->plugs);
        w->plug_count = plug + 1;
    }
    return &w->plugs[plug];
}

static void put_sums(struct writer *w, const struct interface *i)
{
    pcapng_statistics(&w->out, wall_clock(), i->number, i->received + i->lost, i->lost);
}

static int make_room(struct writer *w, struct err *e)
{
    return pcapng_full(&w->out) ? writer_flush(w, e) : 0;
}

static int take_interface(struct writer *w, const struct record *r, const uint8_t *body,
                          struct err *e)
{
    char name[RECORD_NAME_MAX + 1];
    char description[32];
    struct interface *i = interface_of(w, r->plug);
    if (i->there)
        put_sums(w, i);
    if (make_room(w, e) < 0)
        return -1;
    snprintf(name, sizeof name, "%.*s", (int)r->size, (const char *)body);
    snprintf(description, sizeof description, "vnet plug %u", r->plug);
    pcapng_interface(&w->out, name, description, VNET_FRAME_MAX);
    *i = (struct interface){.there = true, .number = w->interfaces++};
    return 0;
}

static int take_packet(struct writer *w, const struct record *r, const uint8_t *body, struct err *e)
{
    char comment[64];
    struct interface *i = interface_of(w, r->plug);
    if (!i->there)
        return err_set(e, ERR_FAILED, "a packet of a plug that does not exist (%u)", r->plug);
    if (r->drop >= 0)
        snprintf(comment, sizeof comment, "dropped: %s", vnet_drop_name((enum vnet_drop)r->drop));
    i->received++;
    i->lost += r->lost;
    pcapng_packet(&w->out, &(struct pcapng_packet){.wall = r->wall,
                                                   .interface = i->number,
                                                   .lost = r->lost,
                                                   .outbound = r->direction == VNET_DOWN,
                                                   .comment = r->drop >= 0 ? comment : NULL,
                                                   .frame = body,
                                                   .size = r->size,
                                                   .length = r->length});
    return 0;
}

static int take_lost(struct writer *w, const struct record *r, const uint8_t *body, struct err *e)
{
    (void)body;
    (void)e;
    interface_of(w, r->plug)->lost += r->lost;
    return 0;
}

static int take(struct writer *w, const struct record *r, const uint8_t *body, struct err *e)
{
    static int (*const by_type[])(struct writer *, const struct record *, const uint8_t *,
                                  struct err *) = {
        [RECORD_INTERFACE] = take_interface,
        [RECORD_PACKET] = take_packet,
        [RECORD_LOST] = take_lost,
    };
    return make_room(w, e) < 0 ? -1 : by_type[r->type](w, r, body, e);
}

void *writer_space(struct writer *w, size_t *room)
{
    *room = sizeof w->in - w->in_count;
    return w->in + w->in_count;
}

int writer_added(struct writer *w, size_t n, struct err *e)
{
    size_t at = 0;
    ssize_t size;
    struct record r;
    w->in_count += n;
    while ((size = record_read(w->in + at, w->in_count - at, &r, e)) > 0) {
        if (take(w, &r, w->in + at + sizeof r, e) < 0)
            return -1;
        at += (size_t)size;
    }
    w->in_count -= at;
    memmove(w->in, w->in + at, w->in_count);
    return size < 0 ? -1 : 0;
}

int writer_finish(struct writer *w, struct err *e)
{
    for (unsigned plug = 0; plug < w->plug_count && !w->failed; plug++) {
        if (make_room(w, e) < 0)
            return -1;
        if (w->plugs[plug].there)
            put_sums(w, &w->plugs[plug]);
    }
    return writer_flush(w, e);
}
