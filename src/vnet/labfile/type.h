// The kinds of values a lab file has: how each is read, written and named in errors.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "vnet/labfile/schema.h"
#include "vnet/labfile/tree.h"

// `field` is where the value belongs, in a struct that key->at etc. (schema.h) speak of.
struct type {
    // What a value is, for errors; %s are the key's least and most, as `limit` writes them.
    const char *is;
    void (*limit)(uint64_t n, char *out, size_t size);
    bool (*read)(const struct key *key, const struct tree *value, void *field);
    void (*write)(FILE *out, const struct key *key, const void *field);
    bool owned; // the field is a pointer to be freed
};

extern const struct type type_number, type_bool, type_choice, type_duration;
extern const struct type type_id, type_label, type_domain, type_text, type_page, type_path;
extern const struct type type_mac, type_ip4, type_ip4_net, type_ip6, type_ip6_net, type_address;

// Completes "'x' is not …".
void type_describe(const struct key *key, char *out, size_t size);

// Lower-cases a domain name and takes its final dot away, in place; false: it is none.
bool domain_normalise(char *name);
