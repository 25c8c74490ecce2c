// Two hash tables with chains: entries by (scope, name), records by address.
#include "vnet/services/names.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "vnet/random.h"
#include "vnet/vnet.h"

enum { CHAINS = 4096, RECORDS_MAX = 16384 };

void names_init(struct names *names)
{
    names->entries = xcalloc(CHAINS, sizeof(struct entry *));
    names->addresses = xcalloc(CHAINS, sizeof(struct record *));
}

static void free_entry(struct entry *entry)
{
    while (entry->records) {
        struct record *record = entry->records;
        entry->records = record->next;
        free(record);
    }
    free(entry);
}

void names_fini(struct names *names)
{
    for (uint32_t i = 0; i < CHAINS; i++) {
        while (names->entries[i]) {
            struct entry *entry = names->entries[i];
            names->entries[i] = entry->next;
            free_entry(entry);
        }
    }
    free(names->entries);
    free(names->addresses);
}

static struct entry **entry_chain(const struct names *names, int scope, const struct name *name)
{
    uint64_t hash = hash_bytes(name->at, name->n) ^ random_mix((uint64_t)scope);
    return &names->entries[hash % CHAINS];
}

static struct record **address_chain(const struct names *names, struct bytes address)
{
    return &names->addresses[hash_bytes(address.at, address.n) % CHAINS];
}

static struct entry *find(const struct names *names, int scope, const struct name *name)
{
    struct entry *one = *entry_chain(names, scope, name);
    while (one && !(one->scope == scope && name_equal(&one->name, name)))
        one = one->next;
    return one;
}

static struct entry *find_or_make(struct names *names, int scope, const struct name *name)
{
    struct entry *entry = find(names, scope, name);
    if (entry)
        return entry;
    struct entry **head = entry_chain(names, scope, name);
    entry = xcalloc(1, sizeof *entry);
    *entry = (struct entry){.next = *head, .scope = scope, .name = *name};
    *head = entry;
    return entry;
}

static int check(const struct names *names, const struct entry *entry, enum rr_type type,
                 struct bytes data, struct err *e)
{
    const struct record *cname = names_next(entry ? entry->records : NULL, RR_CNAME);
    if (cname || (type == RR_CNAME && entry && entry->records))
        return err_set(e, ERR_EXISTS, "a CNAME must be its name's only record");
    const struct record *one = names_next(entry ? entry->records : NULL, type);
    for (; one; one = names_next(one->next, type))
        if (one->n == data.n && memcmp(one->data, data.at, data.n) == 0)
            return err_set(e, ERR_EXISTS, "there is such a record already");
    if (names->count == RECORDS_MAX)
        return err_set(e, ERR_USAGE, "there are %d records already", RECORDS_MAX);
    return 0;
}

// In the order in which they are added.
static void append(struct entry *entry, struct record *record)
{
    struct record **end = &entry->records;
    while (*end)
        end = &(*end)->next;
    *end = record;
}

int names_add(struct names *names, int scope, const struct name *name, enum rr_type type,
              struct bytes data, bool has_pointer, struct err *e)
{
    if (check(names, find(names, scope, name), type, data, e) < 0)
        return -1;
    struct record *record = xcalloc(1, sizeof *record + data.n);
    struct entry *entry = find_or_make(names, scope, name);
    record->entry = entry;
    record->type = type;
    record->n = (uint16_t)data.n;
    memcpy(record->data, data.at, data.n);
    append(entry, record);
    names->count++;
    for (struct name up = name_parent(name); up.n > 1; up = name_parent(&up))
        find_or_make(names, scope, &up);
    if (has_pointer) {
        struct record **head = address_chain(names, data);
        record->next_address = *head;
        *head = record;
    }
    return 0;
}

const struct entry *names_find(const struct names *names, int network, const struct name *name)
{
    const struct entry *own = find(names, network, name);
    if (own && own->records)
        return own;
    const struct entry *common = find(names, VNET_EVERYWHERE, name);
    return common ? common : own;
}

bool names_has_records(const struct names *names, int network, const struct name *name)
{
    const struct entry *entry = names_find(names, network, name);
    return entry && entry->records;
}

const struct record *names_next(const struct record *from, enum rr_type type)
{
    while (from && from->type != type)
        from = from->next;
    return from;
}

// The network's own records of an address hide the others, as those of a name do.
static const struct record *pointer_in(const struct record *from, int scope, enum rr_type type,
                                       struct bytes address)
{
    while (from && !(from->entry->scope == scope && from->type == type && from->n == address.n &&
                     memcmp(from->data, address.at, address.n) == 0))
        from = from->next_address;
    return from;
}

const struct record *names_pointer(const struct names *names, int network,
                                   const struct record *from, enum rr_type type,
                                   struct bytes address)
{
    if (from)
        return pointer_in(from->next_address, from->entry->scope, type, address);
    const struct record *first = *address_chain(names, address);
    const struct record *own = pointer_in(first, network, type, address);
    return own ? own : pointer_in(first, VNET_EVERYWHERE, type, address);
}
