// Frames between Host and the guest agent: encoder, resynchronising decoder, key=value reader.
#include "agent/wire.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
    [WIRE_HELLO] = "hello",         [WIRE_READY] = "ready",   [WIRE_INFO] = "info",
    [WIRE_SET_MAC] = "set-mac",     [WIRE_OK] = "ok",         [WIRE_ERROR] = "error",
    [WIRE_SET_CLOCK] = "set-clock", [WIRE_EXEC] = "exec",     [WIRE_STDIN] = "stdin",
    [WIRE_STDOUT] = "stdout",       [WIRE_STDERR] = "stderr", [WIRE_CREDIT] = "credit",
    [WIRE_EXIT] = "exit",           [WIRE_KILL] = "kill",     [WIRE_SIGNAL] = "signal",
    [WIRE_RESIZE] = "resize",       [WIRE_SHUT] = "shut",     [WIRE_WAIT] = "wait",
    [WIRE_STARTED] = "started",     [WIRE_LOOK] = "look",     [WIRE_SET] = "set",
};
static_assert(sizeof type_names / sizeof *type_names == WIRE_TYPE_END, "name every type");

// See wire.h for why a header's fifth byte is no newline and its sixth is 0.
static bool type_is_fit(unsigned type)
{
    return type != 0 && type != '\n' && type <= 255;
}

const char *wire_type_name(unsigned type)
{
    if (type >= WIRE_TYPE_END || !type_names[type])
        return "unknown";
    return type_names[type];
}

static void put16(unsigned char *p, unsigned v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static void put32(unsigned char *p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}

static unsigned get16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t get32(const unsigned char *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint32_t fnv1a(const unsigned char *p, size_t n)
{
    uint32_t h = 2166136261u;

    while (n--)
        h = (h ^ *p++) * 16777619u;
    return h;
}

// --- writing ---

void wire_begin(struct wire_writer *w, void *buf, size_t cap, unsigned type, uint32_t nonce)
{
    *w = (struct wire_writer){.buf = buf, .cap = cap, .type = type, .nonce = nonce};
    w->len = WIRE_HEADER_SIZE;
    w->failed = cap < WIRE_HEADER_SIZE || !type_is_fit(type) || nonce == 0;
    if (w->cap > WIRE_FRAME_MAX)
        w->cap = WIRE_FRAME_MAX;
}

static bool key_is_fit(const char *key)
{
    return *key && !strpbrk(key, "=\n");
}

void wire_put(struct wire_writer *w, const char *key, const char *fmt, ...)
{
    size_t key_len = strlen(key);
    size_t room = w->failed ? 0 : w->cap - w->len;
    char *at = (char *)w->buf + w->len;
    va_list ap;
    int n;

    if (w->failed || !key_is_fit(key) || room < key_len + 2) {
        w->failed = true;
        return;
    }
    memcpy(at, key, key_len);
    at[key_len] = '=';
    at += key_len + 1;
    room -= key_len + 1;
    va_start(ap, fmt);
    n = vsnprintf(at, room, fmt, ap);
    va_end(ap);
    // vsnprintf's terminating NUL needs the very byte that the newline takes.
    if (n < 0 || (size_t)n >= room || memchr(at, '\n', (size_t)n) || memchr(at, 0, (size_t)n)) {
        w->failed = true;
        return;
    }
    at[n] = '\n';
    w->len += key_len + 1 + (size_t)n + 1;
}

// One group of the encoding: how many bytes of data it stands for, with the 0 behind them.
static size_t put_group(unsigned char *out, size_t *len, const unsigned char *data, size_t n)
{
    size_t most = n < 254 ? n : 254;
    const unsigned char *zero = memchr(data, 0, most);
    size_t run = zero ? (size_t)(zero - data) : most;

    out[(*len)++] = (unsigned char)(run + 1);
    memcpy(out + *len, data, run);
    *len += run;
    return zero ? run + 1 : run;
}

// A group for each 0, of which sparse data has many: without a call for each.
static size_t put_zeros(unsigned char *out, size_t *len, const unsigned char *data, size_t n)
{
    size_t count = 0;

    while (count < n && !data[count])
        out[*len + count++] = 1;
    *len += count;
    return count;
}

void wire_put_data(struct wire_writer *w, const void *data_, size_t n)
{
    static const char key[] = "data=";
    const unsigned char *data = data_;
    bool open = true; // the data so far ends in a 0, which only another group can tell

    if (w->failed || n > WIRE_PAYLOAD_MAX || w->cap - w->len < sizeof key + n + n / 254 + 2) {
        w->failed = true;
        return;
    }
    memcpy(w->buf + w->len, key, sizeof key - 1);
    w->len += sizeof key - 1;
    while (n || open) {
        size_t taken =
            n && !*data ? put_zeros(w->buf, &w->len, data, n) : put_group(w->buf, &w->len, data, n);

        open = taken && !data[taken - 1];
        data += taken;
        n -= taken;
    }
    w->buf[w->len++] = '\n';
}

size_t wire_end(struct wire_writer *w)
{
    if (w->failed)
        return 0;
    put32(w->buf, WIRE_MAGIC);
    put16(w->buf + 4, w->type);
    put16(w->buf + 6, WIRE_VERSION);
    put32(w->buf + 8, (uint32_t)(w->len - WIRE_HEADER_SIZE));
    put32(w->buf + 12, w->nonce);
    put32(w->buf + 16, fnv1a(w->buf, 16));
    return w->len;
}

// --- decoding ---

void wire_decoder_init(struct wire_decoder *d, void *buf, size_t cap)
{
    assert(cap >= WIRE_FRAME_MAX);
    *d = (struct wire_decoder){.buf = buf, .cap = cap};
}

void *wire_space(struct wire_decoder *d, size_t *n)
{
    if (d->pos) {
        memmove(d->buf, d->buf + d->pos, d->len - d->pos);
        d->len -= d->pos;
        d->pos = 0;
    }
    *n = d->cap - d->len;
    return d->buf + d->len;
}

void wire_added(struct wire_decoder *d, size_t n)
{
    assert(n <= d->cap - d->len);
    d->len += n;
}

size_t wire_feed(struct wire_decoder *d, const void *data, size_t n)
{
    size_t room;
    void *to = wire_space(d, &room);

    if (n > room)
        n = room;
    if (n)
        memcpy(to, data, n);
    wire_added(d, n);
    return n;
}

static void skip(struct wire_decoder *d, size_t n)
{
    d->pos += n;
    d->skipped += n;
    d->clean = 0;
}

// Moves pos to the next byte from which on everything held looks like a magic number.
static void seek_magic(struct wire_decoder *d)
{
    unsigned char magic[4];

    put32(magic, WIRE_MAGIC);
    while (d->pos < d->len) {
        const unsigned char *at = d->buf + d->pos;
        size_t held = d->len - d->pos;
        const unsigned char *hit = memchr(at, magic[0], held);

        if (!hit) {
            skip(d, held);
            return;
        }
        if (hit != at) {
            skip(d, (size_t)(hit - at));
            continue;
        }
        if (!memcmp(at, magic, held < sizeof magic ? held : sizeof magic))
            return;
        skip(d, 1);
    }
}

static bool header_is_sound(const unsigned char *h)
{
    return get32(h + 16) == fnv1a(h, 16) && get32(h + 8) <= WIRE_PAYLOAD_MAX &&
           type_is_fit(get16(h + 4)) && get32(h + 12) != 0;
}

// What has come of the payload holds what no payload does: see wire.h. Reads each byte once.
static bool payload_is_cut(struct wire_decoder *d, size_t length)
{
    size_t held = d->len - d->pos - WIRE_HEADER_SIZE;
    const unsigned char *payload = d->buf + d->pos + WIRE_HEADER_SIZE;

    if (held > length)
        held = length;
    if (memchr(payload + d->clean, 0, held - d->clean))
        return true;
    d->clean = held;
    return length && held == length && payload[length - 1] != '\n';
}

bool wire_next(struct wire_decoder *d, struct wire_frame *f)
{
    for (;;) {
        const unsigned char *h;
        size_t length;

        seek_magic(d);
        if (d->len - d->pos < WIRE_HEADER_SIZE)
            return false;
        h = d->buf + d->pos;
        length = get32(h + 8);
        if (!header_is_sound(h) || payload_is_cut(d, length)) {
            skip(d, 1);
            continue;
        }
        if (d->len - d->pos < WIRE_HEADER_SIZE + length)
            return false;
        *f = (struct wire_frame){.type = get16(h + 4),
                                 .version = get16(h + 6),
                                 .nonce = get32(h + 12),
                                 .payload = (const char *)h + WIRE_HEADER_SIZE,
                                 .length = length};
        d->pos += WIRE_HEADER_SIZE + length;
        d->clean = 0;
        return true;
    }
}

// --- reading a payload ---

bool wire_pair_next(const struct wire_frame *f, size_t *pos, struct wire_pair *out)
{
    while (*pos < f->length) {
        const char *line = f->payload + *pos;
        const char *end = memchr(line, '\n', f->length - *pos);
        const char *eq;

        if (!end) {
            *pos = f->length;
            return false;
        }
        // Newlines in it are its own.
        if ((size_t)(end - line) >= 5 && !memcmp(line, "data=", 5))
            end = f->payload + f->length - 1;
        *pos += (size_t)(end - line) + 1;
        eq = memchr(line, '=', (size_t)(end - line));
        if (!eq || eq == line)
            continue;
        *out = (struct wire_pair){.key = line,
                                  .key_len = (size_t)(eq - line),
                                  .value = eq + 1,
                                  .value_len = (size_t)(end - eq - 1)};
        return true;
    }
    return false;
}

long wire_value_next(const struct wire_frame *f, size_t *pos, const char *key, char *out,
                     size_t cap)
{
    size_t key_len = strlen(key);
    struct wire_pair p;

    if (cap)
        out[0] = '\0';
    while (wire_pair_next(f, pos, &p)) {
        if (p.key_len != key_len || memcmp(p.key, key, key_len) != 0)
            continue;
        if (p.value_len >= cap)
            return -2;
        memcpy(out, p.value, p.value_len);
        out[p.value_len] = '\0';
        return (long)p.value_len;
    }
    return -1;
}

long wire_get(const struct wire_frame *f, const char *key, char *out, size_t cap)
{
    size_t pos = 0;

    return wire_value_next(f, &pos, key, out, cap);
}

int64_t wire_get_number(const struct wire_frame *f, const char *key)
{
    char text[24];
    int64_t value = 0;
    long n = wire_get(f, key, text, sizeof text);

    if (n <= 0 || n > 18)
        return -1;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return -1;
        value = value * 10 + (*p - '0');
    }
    return value;
}

static long decode(const struct wire_pair *p, unsigned char *out, size_t cap)
{
    const unsigned char *at = (const unsigned char *)p->value;
    const unsigned char *end = at + p->value_len;
    size_t n = 0;

    while (at < end) {
        size_t run = *at++ - 1u;

        if (run == 0 && at < end && n < cap) {
            out[n++] = 0;
            continue;
        }
        if (run > (size_t)(end - at) || run > cap - n)
            return -2;
        memcpy(out + n, at, run);
        n += run;
        at += run;
        if (at == end || run == 254)
            continue;
        if (n == cap)
            return -2;
        out[n++] = 0;
    }
    return (long)n;
}

long wire_get_data(const struct wire_frame *f, void *out, size_t cap)
{
    size_t pos = 0;
    struct wire_pair p;

    while (wire_pair_next(f, &pos, &p))
        if (p.key_len == 4 && !memcmp(p.key, "data", 4))
            return decode(&p, out, cap);
    return -1;
}
