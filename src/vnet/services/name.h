// Domain names, as they are on the wire (RFC 1035, 3.1): labels with their lengths, the root's 0 at
// the end. In lower case, so that equal names are equal bytes (RFC 4343).
#pragma once

#include "vnet/frame.h"

enum { NAME_MAX_BYTES = 255, NAME_MAX_TEXT = 253 };

struct name {
    uint8_t n; // at least 1: the root
    uint8_t at[NAME_MAX_BYTES];
};

// "www.Example.test", with or without a final dot; ERR_USAGE.
int name_parse(const char *text, struct name *out, struct err *e);
// The same with a domain behind it. NULL: none.
int name_parse_in(const char *text, const char *domain, struct name *out, struct err *e);

// Reads the name at *at of a message and moves *at behind it. False where it is malformed, too long
// or points anywhere but back.
bool name_read(struct bytes message, size_t *at, struct name *out);

bool name_equal(const struct name *a, const struct name *b);
// Without its first label; the root stays the root.
struct name name_parent(const struct name *name);
// Whether a name is the domain or below it.
bool name_is_in(const struct name *name, const struct name *domain);
// The first label as text; false where there is none or it would not be read back as the same.
bool name_label(const struct name *name, char out[static VNET_LABEL_MAX + 1]);
// Whether text is a host's name as RFC 1123, 2.1 has it: a label of letters, digits and hyphens.
// NULs at its end are forgiven. `out` gets it in lower case, or is empty.
bool label_read(struct bytes text, char out[static VNET_LABEL_MAX + 1]);
