// SET: a table of items in the order in which they are applied, whatever theirs in the request.
#include "agent/set.h"

#include "agent/address.h"
#include "agent/announce.h"
#include "agent/clock.h"
#include "agent/entropy.h"
#include "agent/etc.h"
#include "agent/mac.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VALUE_MAX 1024

// --- items: 0, or -1 with the reason in note; note is the value before ---

struct item {
    const struct wire_frame *request;
    const struct set_context *context;
    const char *value;
    char *note; // WHY_MAX bytes
};

static int set_clock(const struct item *i)
{
    return clock_set(i->value, i->note);
}

static int set_entropy(const struct item *i)
{
    return entropy_add(i->context->kept, i->value, i->note);
}

static int set_mac(const struct item *i)
{
    char from[MAC_TEXT_SIZE], to[MAC_TEXT_SIZE];

    if (sscanf(i->value, "%17s %17s", from, to) != 2)
        return why_not(i->note, "not two MAC addresses");
    return mac_set(i->context->kept, from, to, i->context->known, i->context->former, i->note);
}

static int set_address(const struct item *i)
{
    return address_set(i->request, i->value, i->note);
}

static int set_route(const struct item *i)
{
    return route_set(i->value, i->note);
}

static int set_nodename(const struct item *i)
{
    return etc_set_nodename(i->value, i->note);
}

static int set_hostname(const struct item *i)
{
    return etc_set_hostname(i->value, i->note);
}

static int set_machine_id(const struct item *i)
{
    return etc_set_machine_id(i->value, i->note);
}

static int set_dns(const struct item *i)
{
    return etc_set_dns(i->value, i->note);
}

static int set_search(const struct item *i)
{
    return etc_set_search(i->value, i->note);
}

static int set_announce(const struct item *i)
{
    return announce(i->context->kept, i->value, i->context->known, i->note);
}

static int sync_all(const struct item *i)
{
    (void)i;
    sync();
    return 0;
}

// Random numbers before all that might use some; the kernel's name before a MAC, upon which DHCP
// clients ask anew and give the name; what was written, last of all.
static const struct {
    const char *key;
    int (*perform)(const struct item *i);
} items[] = {
    {"clock", set_clock},       {"entropy", set_entropy},       {"nodename", set_nodename},
    {"hostname", set_hostname}, {"machine-id", set_machine_id}, {"mac", set_mac},
    {"address", set_address},   {"route", set_route},           {"dns", set_dns},
    {"search", set_search},     {"announce", set_announce},     {"sync", sync_all},
};

#define ITEMS (sizeof items / sizeof *items)

static struct set_outcome *report_add(struct set_report *r, const char *key, size_t key_len)
{
    struct set_outcome *o = &r->list[r->count++];

    snprintf(o->key, sizeof o->key, "%.*s", (int)key_len, key);
    o->note[0] = '\0';
    return o;
}

static void perform_all(const struct wire_frame *f, const struct set_context *context, size_t which,
                        struct set_report *r)
{
    char value[VALUE_MAX];
    size_t pos = 0;

    for (long n; (n = wire_value_next(f, &pos, items[which].key, value, sizeof value)) != -1;) {
        struct set_outcome *o = report_add(r, items[which].key, strlen(items[which].key));
        const struct item i = {.request = f, .context = context, .value = value, .note = o->note};

        snprintf(o->note, sizeof o->note, "%.*s", WHY_MAX - 1, value);
        o->done = n >= 0 && items[which].perform(&i) == 0;
        if (n < 0)
            why_not(o->note, "too long");
    }
}

static bool is_known(const struct wire_pair *p)
{
    if (p->key_len == 2 && !memcmp(p->key, "id", 2))
        return true;
    for (size_t i = 0; i < ITEMS; i++)
        if (p->key_len == strlen(items[i].key) && !memcmp(p->key, items[i].key, p->key_len))
            return true;
    return false;
}

// A newer Host's: said, not passed over.
static void report_unknown(const struct wire_frame *f, struct set_report *r)
{
    struct wire_pair p;

    for (size_t pos = 0; wire_pair_next(f, &pos, &p);)
        if (!is_known(&p)) {
            struct set_outcome *o = report_add(r, p.key, p.key_len);

            o->done = false;
            why_not(o->note, "this agent cannot set it");
        }
}

int set_perform(const struct wire_frame *f, const struct set_context *context,
                struct set_report *out, char why[static WHY_MAX])
{
    struct wire_pair p;
    unsigned count = 0;

    for (size_t pos = 0; wire_pair_next(f, &pos, &p);)
        count++;
    if (count > SET_ITEMS_MAX)
        return why_not(why, "more than %d items", SET_ITEMS_MAX);
    out->count = 0;
    for (size_t i = 0; i < ITEMS; i++)
        perform_all(f, context, i, out);
    report_unknown(f, out);
    return 0;
}

void set_answer(const struct set_report *r, struct wire_writer *w)
{
    for (unsigned i = 0; i < r->count; i++)
        wire_put(w, r->list[i].done ? "done" : "failed", "%s %s", r->list[i].key, r->list[i].note);
}

void set_log(const struct set_report *r)
{
    char line[1024];
    size_t used = 0;

    for (unsigned i = 0; i < r->count && used < sizeof line; i++)
        used +=
            (size_t)snprintf(line + used, sizeof line - used, "%s%s %s%s", i ? ", " : "",
                             r->list[i].key, r->list[i].done ? "" : "failed: ", r->list[i].note);
    if (used > 0)
        fprintf(stderr, "tailmac-agent: set %s\n", line);
}
