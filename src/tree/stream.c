// The stream's buffers. Who receives trusts nothing: texts are bounded and hold no NUL.
#include "tree/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// --- out ---

int tree_out_flush(struct tree_out *o, struct err *e)
{
    size_t n = o->held;
    o->held = 0;
    return n == 0 ? 0 : o->io->write(o->io->arg, o->bytes, n, e);
}

static int need(struct tree_out *o, size_t n, struct err *e)
{
    return sizeof o->bytes - o->held < n ? tree_out_flush(o, e) : 0;
}

static int put_bytes(struct tree_out *o, const void *data, size_t n, struct err *e)
{
    if (need(o, n, e) < 0)
        return -1;
    memcpy(o->bytes + o->held, data, n);
    o->held += n;
    return 0;
}

int tree_put_magic(struct tree_out *o, struct err *e)
{
    return put_bytes(o, TREE_MAGIC, strlen(TREE_MAGIC), e);
}

int tree_put_kind(struct tree_out *o, enum tree_kind kind, struct err *e)
{
    unsigned char byte = (unsigned char)kind;
    return put_bytes(o, &byte, 1, e);
}

static void write_number(unsigned char *to, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(n >> 8 * i);
}

int tree_put_number(struct tree_out *o, uint64_t n, int bytes, struct err *e)
{
    unsigned char text[8];
    write_number(text, n, bytes);
    return put_bytes(o, text, (size_t)bytes, e);
}

int tree_put_text(struct tree_out *o, const char *text, struct err *e)
{
    size_t n = strlen(text);
    return tree_put_number(o, n, 2, e) < 0 || put_bytes(o, text, n, e) < 0 ? -1 : 0;
}

int tree_put_head(struct tree_out *o, enum tree_kind kind, const struct tree_head *h, struct err *e)
{
    bool failed = tree_put_kind(o, kind, e) < 0 || tree_put_number(o, h->mode, 4, e) < 0 ||
                  tree_put_number(o, (uint64_t)h->mtime.tv_sec, 8, e) < 0 ||
                  tree_put_number(o, (uint64_t)h->mtime.tv_nsec, 4, e) < 0 ||
                  tree_put_text(o, h->name, e) < 0;
    return failed ? -1 : 0;
}

ssize_t tree_put_data(struct tree_out *o, int fd, off_t at, uint64_t n, bool *unread, struct err *e)
{
    enum { LEAST = 4096 }; // a page at once, but for the end of a file
    if (need(o, TREE_DATA_HEAD + LEAST, e) < 0)
        return -1;
    unsigned char *head = o->bytes + o->held;
    size_t room = sizeof o->bytes - o->held - TREE_DATA_HEAD;
    ssize_t got;
    while ((got = pread(fd, head + TREE_DATA_HEAD, n < room ? (size_t)n : room, at)) < 0)
        if (errno != EINTR)
            break;
    *unread = got < 0;
    if (got <= 0)
        return got;
    head[0] = TREE_DATA;
    write_number(head + 1, (uint64_t)at, 8);
    write_number(head + 9, (uint64_t)got, 4);
    o->held += TREE_DATA_HEAD + (size_t)got;
    return got;
}

// --- in ---

int tree_broken(struct err *e)
{
    return err_set(e, ERR_FAILED, "what came from the other side makes no sense");
}

ssize_t tree_get_some(struct tree_in *i, const unsigned char **data, size_t n, struct err *e)
{
    if (i->at == i->held) {
        ssize_t got = i->io->read(i->io->arg, i->bytes, sizeof i->bytes, e);
        if (got <= 0)
            return got < 0 ? -1 : err_set(e, ERR_FAILED, "the other side ended too early");
        i->at = 0;
        i->held = (size_t)got;
    }
    n = n < i->held - i->at ? n : i->held - i->at;
    *data = i->bytes + i->at;
    i->at += n;
    return (ssize_t)n;
}

static int get_bytes(struct tree_in *i, void *to, size_t n, struct err *e)
{
    unsigned char *p = to;
    while (n > 0) {
        const unsigned char *data;
        ssize_t got = tree_get_some(i, &data, n, e);
        if (got < 0)
            return -1;
        memcpy(p, data, (size_t)got);
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

int tree_get_magic(struct tree_in *i, struct err *e)
{
    char magic[sizeof TREE_MAGIC - 1];
    if (get_bytes(i, magic, sizeof magic, e) < 0)
        return -1;
    if (memcmp(magic, TREE_MAGIC, sizeof magic) != 0)
        return err_set(e, ERR_FAILED,
                       "the other side copies in another way: is it as new as this?");
    return 0;
}

int tree_get_kind(struct tree_in *i, struct err *e)
{
    unsigned char byte;
    return get_bytes(i, &byte, 1, e) < 0 ? -1 : byte;
}

int tree_get_number(struct tree_in *i, uint64_t *n, int bytes, struct err *e)
{
    unsigned char text[8];
    if (get_bytes(i, text, (size_t)bytes, e) < 0)
        return -1;
    *n = 0;
    for (int k = 0; k < bytes; k++)
        *n |= (uint64_t)text[k] << 8 * k;
    return 0;
}

int tree_get_text(struct tree_in *i, char *text, size_t max, struct err *e)
{
    uint64_t n;
    if (tree_get_number(i, &n, 2, e) < 0)
        return -1;
    if (n > max)
        return tree_broken(e);
    text[n] = 0;
    if (get_bytes(i, text, (size_t)n, e) < 0)
        return -1;
    return strlen(text) == n ? 0 : tree_broken(e);
}

int tree_get_head(struct tree_in *i, struct tree_head *h, struct err *e)
{
    uint64_t mode;
    uint64_t seconds;
    uint64_t nanoseconds;
    if (tree_get_number(i, &mode, 4, e) < 0 || tree_get_number(i, &seconds, 8, e) < 0 ||
        tree_get_number(i, &nanoseconds, 4, e) < 0 ||
        tree_get_text(i, h->name, TREE_NAME_MAX, e) < 0)
        return -1;
    if (nanoseconds >= 1000000000) // futimens(2) takes some of these for orders
        return tree_broken(e);
    h->mode = (mode_t)mode;
    h->mtime = (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)nanoseconds};
    return 0;
}

// --- where a walk is ---

size_t tree_path_push(struct tree_path *p, const char *name)
{
    size_t was = p->n;
    int n = snprintf(p->text + was, sizeof p->text - was, "%s%s", was ? "/" : "", name);
    size_t room = sizeof p->text - was - 1;
    p->n += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    return was;
}

void tree_path_pop(struct tree_path *p, size_t was)
{
    p->n = was;
    p->text[was] = 0;
}
