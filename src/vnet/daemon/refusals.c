// The reasons' names.
#include "vnet/daemon/refusals.h"

static const char *const names[REFUSED_COUNT] = {
    [REFUSED_ANONYMOUS] = "anonymous",     [REFUSED_NO_MAC] = "no-mac",
    [REFUSED_UNKNOWN_MAC] = "unknown-mac", [REFUSED_FULL] = "full",
    [REFUSED_UNREACHABLE] = "unreachable", [REFUSED_LENGTH] = "length",
};

const char *refusal_name(enum refusal why)
{
    return names[why];
}

json_t *refusals_document(const struct refusals *r)
{
    json_t *doc = json_object();
    for (unsigned i = 0; i < REFUSED_COUNT; i++)
        if (r->count[i])
            json_object_set_new(doc, names[i], json_integer((json_int_t)r->count[i]));
    return doc;
}
