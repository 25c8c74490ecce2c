// Reads addresses out of names, label by label from the last byte of the address on.
#include "vnet/services/reverse.h"

static const struct form {
    enum rr_type type;
    const char *domain; // with lengths; its own final 0 is the root's
    size_t octets;
    unsigned labels, base, limit;
} forms[] = {
    {RR_A, "\7in-addr\4arpa", 4, 4, 10, 256},
    {RR_AAAA, "\3ip6\4arpa", 16, 32, 16, 16},
};

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

// One number without zeros before it, below the limit.
static bool read_number(const struct form *form, const uint8_t *label, unsigned *out)
{
    *out = 0;
    if (label[0] > 3 || (label[0] > 1 && label[1] == '0'))
        return false;
    for (unsigned i = 1; i <= label[0]; i++) {
        unsigned d = (unsigned)digit(label[i]);
        if (d >= form->base)
            return false;
        *out = *out * form->base + d;
    }
    return *out < form->limit && (form->base == 10 || label[0] == 1);
}

static bool read_form(const struct form *form, const struct name *name, struct reverse *out)
{
    struct name rest = *name;
    struct name domain = {.n = (uint8_t)(strlen(form->domain) + 1)};
    memcpy(domain.at, form->domain, domain.n);
    *out = (struct reverse){.n = form->octets};
    unsigned label = 0;
    for (; !name_equal(&rest, &domain); label++, rest = name_parent(&rest)) {
        unsigned value;
        if (rest.n == 1 || label == form->labels || !read_number(form, rest.at, &value))
            return false;
        if (form->type == RR_A)
            out->octet[3 - label] = (uint8_t)value;
        else
            out->octet[15 - label / 2] |= (uint8_t)(value << 4 * (label % 2));
    }
    if (label == form->labels)
        out->type = form->type;
    return true;
}

bool reverse_read(const struct name *name, struct reverse *out)
{
    return read_form(&forms[0], name, out) || read_form(&forms[1], name, out);
}
