// The normalised lab, through the same schema that reads it.
#include <stdlib.h>
#include <string.h>

#include "vnet/labfile/labfile.h"
#include "vnet/labfile/schema.h"
#include "vnet/labfile/type.h"

static void print_keys(FILE *out, const struct section *s, const char *base, int depth);

static bool is_set(const struct key *key, const char *base);

static bool any_set(const struct section *s, const char *base)
{
    for (const struct key *key = s->keys; key->name; key++)
        if (is_set(key, base))
            return true;
    return false;
}

static bool is_set(const struct key *key, const char *base)
{
    static const char zeros[16];
    unsigned count = 1;
    if (key->both)
        return false; // the keys of their own say it
    if (key->most)
        schema_list(key, base, &count);
    else if (key->section)
        return any_set(key->section, base + key->at);
    else if (key->optional)
        return memcmp(base + key->at, zeros, key->size) != 0;
    return count > 0;
}

static void print_list(FILE *out, const struct key *key, const char *base)
{
    unsigned count;
    const char *list = schema_list(key, base, &count);
    fputs(count > 1 ? " [" : " ", out);
    for (unsigned i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        key->type->write(out, key, list + i * key->size);
    }
    fputs(count > 1 ? "]\n" : "\n", out);
}

static void print_value(FILE *out, const struct key *key, const char *base)
{
    fputc(' ', out);
    key->type->write(out, key, base + key->at);
    fputc('\n', out);
}

// The key that stands for the whole, when nothing else is set.
static const struct key *short_form(const struct section *s, const char *base)
{
    for (const struct key *key = s->keys; key->name; key++)
        if (!s->shorthand || is_set(key, base) != (strcmp(key->name, s->shorthand) == 0))
            return NULL;
    return schema_find(s, s->shorthand);
}

static void print_table(FILE *out, const struct key *key, const char *base, int depth)
{
    unsigned count;
    const char *list = schema_list(key, base, &count);
    fputc('\n', out);
    for (unsigned i = 0; i < count; i++) {
        const char *element = list + i * key->size;
        const struct key *only = short_form(key->section, element);
        fprintf(out, "%*s%s:", 2 * depth, "", ((const struct labfile_entry *)element)->name);
        if (only) {
            (only->most ? print_list : print_value)(out, only, element);
        } else {
            fputc('\n', out);
            print_keys(out, key->section, element, depth + 1);
        }
    }
}

static void print_key(FILE *out, const struct key *key, const char *base, int depth)
{
    fprintf(out, "%*s%s:", 2 * depth, "", key->name);
    if (key->most && key->section) {
        print_table(out, key, base, depth + 1);
    } else if (key->most) {
        print_list(out, key, base);
    } else if (key->section) {
        fputc('\n', out);
        print_keys(out, key->section, base + key->at, depth + 1);
    } else {
        print_value(out, key, base);
    }
}

static void print_keys(FILE *out, const struct section *s, const char *base, int depth)
{
    for (const struct key *key = s->keys; key->name; key++)
        if (is_set(key, base))
            print_key(out, key, base, depth);
}

void labfile_print(FILE *out, const struct labfile *lab)
{
    print_keys(out, &schema_lab, (const char *)lab, 0);
}
