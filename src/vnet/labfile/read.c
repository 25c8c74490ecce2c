// From the tree to the structs.
#include "vnet/labfile/read.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vnet/labfile/labfile.h"
#include "vnet/labfile/tree.h"
#include "vnet/labfile/type.h"

static int refuse(struct reader *r, const struct key *key, const char *name,
                  const struct tree *value)
{
    char right[256];
    if (key->type != &type_choice) {
        type_describe(key, right, sizeof right);
        return tree_err(r->e, r->file, value->at, "%s: '%.80s' is not %s", name, value->text,
                        right);
    }
    size_t n = 0;
    struct choice c;
    for (unsigned i = 0; (c = key->choice(i)).name && n < sizeof right; i++)
        n += (size_t)snprintf(right + n, sizeof right - n, "%s%s", i ? ", " : "", c.name);
    return tree_err(r->e, r->file, value->at, "unknown %s '%.80s' (%s)", key->what, value->text,
                    right);
}

static int read_value(struct reader *r, const struct key *key, const struct tree *value,
                      void *field)
{
    if (value->kind != TREE_SCALAR)
        return tree_err(r->e, r->file, value->at, "%s: one value belongs here, not a %s", key->name,
                        value->kind == TREE_LIST ? "list" : "mapping");
    return key->type->read(key, value, field) ? 0 : refuse(r, key, key->name, value);
}

// Room for one more; zeroed, and counted at once, so that it is freed whatever comes.
static void *append(const struct key *key, void *base)
{
    unsigned count;
    char *list = schema_list(key, base, &count);
    if ((count & (count - 1)) == 0) { // doubled at each power of two
        list = xrealloc(list, (count ? 2 * count : 1) * key->size);
        memcpy((char *)base + key->at, &list, sizeof list);
    }
    void *element = list + count++ * key->size;
    memset(element, 0, key->size);
    memcpy((char *)base + key->count, &count, sizeof count);
    return element;
}

static int check_length(struct reader *r, const struct key *key, const struct tree *from)
{
    if (from->count <= key->most)
        return 0;
    const struct tree *first = from->children[key->most]; // that is too many
    return tree_err(r->e, r->file, first->key ? first->key_at : first->at, "%s: more than %u",
                    key->name, key->most);
}

// A list of values, or one of them without the brackets.
static int read_list(struct reader *r, const struct key *key, const struct tree *from, void *base)
{
    if (from->kind != TREE_LIST)
        return read_value(r, key, from, append(key, base));
    if (check_length(r, key, from) < 0)
        return -1;
    for (unsigned i = 0; i < from->count; i++)
        if (read_value(r, key, from->children[i], append(key, base)) < 0)
            return -1;
    return 0;
}

// Names may be the same though they are spelled differently.
static int check_name(struct reader *r, const struct key *key, const struct tree *from,
                      const void *base)
{
    unsigned count;
    const char *list = schema_list(key, base, &count);
    const struct labfile_entry *last = (const void *)(list + (count - 1) * key->size);
    for (unsigned i = 0; i + 1 < count; i++) {
        const struct labfile_entry *other = (const void *)(list + i * key->size);
        if (strcmp(other->name, last->name) == 0)
            return tree_err(r->e, r->file, from->key_at, "'%s' is there twice, first in line %u",
                            last->name, other->at.line);
    }
    return 0;
}

static int read_row(struct reader *r, const struct key *key, const struct tree *from, void *base)
{
    struct labfile_entry *entry = append(key, base);
    const struct tree name = {.text = from->key, .at = from->key_at};
    const struct key named = {.type = key->section->names};
    entry->at = from->key_at;
    entry->from = from;
    if (!named.type->read(&named, &name, &entry->name))
        return refuse(r, &named, key->name, &name);
    unsigned count;
    schema_list(key, base, &count);
    if (check_name(r, key, from, base) < 0)
        return -1;
    return read_section(r, key->section, from, entry, count);
}

static int read_table(struct reader *r, const struct key *key, const struct tree *from, void *base)
{
    if (!tree_is_mapping(from))
        return tree_err(r->e, r->file, from->at, "%s: a mapping of names belongs here", key->name);
    if (check_length(r, key, from) < 0)
        return -1;
    for (unsigned i = 0; i < from->count; i++)
        if (read_row(r, key, from->children[i], base) < 0)
            return -1;
    return 0;
}

static int read_key(struct reader *r, const struct key *key, const struct tree *from, void *base)
{
    void *field = (char *)base + key->at;
    if (key->most)
        return (key->section ? read_table : read_list)(r, key, from, base);
    if (key->section)
        return read_section(r, key->section, from, field, 0);
    return read_value(r, key, from, field);
}

// What a key is that is not there.
static int read_usual(struct reader *r, const struct key *key, void *base)
{
    static const struct tree empty = {.kind = TREE_MAPPING};
    if (key->section && !key->most)
        return read_key(r, key, &empty, base);
    if (!key->usual)
        return 0;
    return read_key(r, key, &(struct tree){.text = (char *)(uintptr_t)key->usual}, base);
}

static int check_keys(struct reader *r, const struct section *s, const struct tree *from)
{
    char known[512];
    if (!tree_is_mapping(from)) {
        schema_names(s, known, sizeof known);
        return tree_err(r->e, r->file, from->at, "%s: a mapping belongs here (%s)", s->what, known);
    }
    for (unsigned i = 0; i < from->count; i++) {
        const struct tree *child = from->children[i];
        if (schema_find(s, child->key))
            continue;
        schema_names(s, known, sizeof known);
        return tree_err(r->e, r->file, child->key_at, "unknown key '%.80s' of %s (%s)", child->key,
                        s->what, known);
    }
    return 0;
}

static int read_keys(struct reader *r, const struct section *s, const struct tree *from, void *base)
{
    if (check_keys(r, s, from) < 0)
        return -1;
    for (const struct key *key = s->keys; key->name; key++) {
        const struct tree *value = tree_get(from, key->name);
        if ((value ? read_key(r, key, value, base) : read_usual(r, key, base)) < 0)
            return -1;
    }
    return 0;
}

int read_section(struct reader *r, const struct section *s, const struct tree *from, void *base,
                 unsigned ordinal)
{
    int done = s->shorthand && from->kind != TREE_MAPPING
                   ? read_key(r, schema_find(s, s->shorthand), from, base)
                   : read_keys(r, s, from, base);
    if (done < 0)
        return -1;
    return s->complete ? s->complete(r, from, base, ordinal) : 0;
}
