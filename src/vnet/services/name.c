// Domain names from text, from messages, and what is below what.
#include "vnet/services/name.h"

#include <ctype.h>

#include "base/parse.h"

enum { POINTER = 0xc0, JUMPS_MAX = 128, MESSAGE_HEADER = 12 };

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static void push(struct name *name, uint8_t octet)
{
    name->at[name->n++] = octet;
}

static int push_label(struct name *name, const char *text, size_t n, struct err *e)
{
    if (n == 0 || n > VNET_LABEL_MAX || name->n + 1 + n >= NAME_MAX_BYTES)
        return err_set(e, ERR_USAGE,
                       "a domain name has labels of 1 to %d characters, %d with their dots",
                       VNET_LABEL_MAX, NAME_MAX_TEXT);
    push(name, (uint8_t)n);
    for (size_t i = 0; i < n; i++) {
        if (!isgraph((unsigned char)text[i]) || text[i] == '\\')
            return err_set(e, ERR_USAGE, "a domain name is of ASCII characters without blanks");
        push(name, lower((uint8_t)text[i]));
    }
    return 0;
}

static int push_labels(struct name *name, const char *text, struct err *e)
{
    while (*text) {
        size_t n = strcspn(text, ".");
        if (push_label(name, text, n, e) < 0)
            return -1;
        text += n + (text[n] == '.');
    }
    return 0;
}

int name_parse_in(const char *text, const char *domain, struct name *out, struct err *e)
{
    out->n = 0;
    if (!*text)
        return err_set(e, ERR_USAGE, "a domain name is missing");
    if (push_labels(out, text, e) < 0 || (domain && push_labels(out, domain, e) < 0))
        return -1;
    push(out, 0);
    return 0;
}

int name_parse(const char *text, struct name *out, struct err *e)
{
    return name_parse_in(text, NULL, out, e);
}

static bool read_label(struct bytes message, size_t *at, struct name *out)
{
    size_t n = get8(message, *at);
    if (n > VNET_LABEL_MAX || out->n + 1 + n + (n > 0) > NAME_MAX_BYTES || *at + 1 + n > message.n)
        return false;
    for (size_t i = 0; i <= n; i++)
        push(out, lower(get8(message, *at + i)));
    *at += 1 + n;
    return true;
}

// Every pointer leads before the part of the name that it ends, so there are no circles; and all
// parts but the last are labels that count. In the header there are no names.
bool name_read(struct bytes message, size_t *at, struct name *out)
{
    size_t from = *at; // where the part begins that is being read
    size_t next = from;
    out->n = 0;
    for (int jumps = 0; jumps <= JUMPS_MAX; jumps++) {
        while (next < message.n && get8(message, next) < POINTER) {
            bool last = get8(message, next) == 0;
            if (!read_label(message, &next, out))
                return false;
            if (last) {
                *at = jumps == 0 ? next : *at;
                return true;
            }
        }
        size_t to = get16(message, next) & 0x3fffu;
        if (next + 2 > message.n || to >= from || to < MESSAGE_HEADER)
            return false;
        if (jumps == 0)
            *at = next + 2;
        from = next = to;
    }
    return false;
}

bool name_equal(const struct name *a, const struct name *b)
{
    return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

struct name name_parent(const struct name *name)
{
    struct name parent = {0};
    size_t label = name->n > 1 ? 1u + name->at[0] : 0;
    parent.n = (uint8_t)(name->n - label);
    memcpy(parent.at, name->at + label, parent.n);
    return parent;
}

bool name_is_in(const struct name *name, const struct name *domain)
{
    size_t at = 0;
    while (name->n - at > domain->n)
        at += 1u + name->at[at];
    return name->n - at == domain->n && memcmp(name->at + at, domain->at, domain->n) == 0;
}

bool name_label(const struct name *name, char out[static VNET_LABEL_MAX + 1])
{
    size_t n = name->at[0];
    if (n == 0 || memchr(name->at + 1, '.', n) || memchr(name->at + 1, 0, n))
        return false;
    memcpy(out, name->at + 1, n);
    out[n] = 0;
    return true;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool label_read(struct bytes text, char out[static VNET_LABEL_MAX + 1])
{
    size_t n = text.n;
    out[0] = 0;
    while (n > 0 && get8(text, n - 1) == 0)
        n--;
    if (n == 0 || n > VNET_LABEL_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = (char)lower(get8(text, i));
        bool inside = i > 0 && i < n - 1;
        if (!is_letter_or_digit(c) && !(c == '-' && inside)) {
            out[0] = 0;
            return false;
        }
        out[i] = c;
    }
    out[n] = 0;
    return true;
}
