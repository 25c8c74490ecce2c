// What a guest tells of itself, made fit to be shown.
#include "host/facts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"

enum { ADDRESSES_MAX = 64 };

// "eth0 52:cc:cc:cc:cc:01 up 192.168.0.7/24,fe80::1/64" or with "-" for no address.
static json_t *parse_nic(char *text)
{
    char name[64];
    char mac[MAC_TEXT];
    char link[8];
    int addresses_at = 0;
    text_clean(text);
    if (sscanf(text, "%63s %17s %7s %n", name, mac, link, &addresses_at) != 3 || !addresses_at)
        return NULL;
    json_t *list = json_array();
    char *copy = xstrdup(text + addresses_at);
    char *rest = copy;
    for (char *one; (one = strsep(&rest, ",")) && json_array_size(list) < ADDRESSES_MAX;)
        if (*one && strcmp(one, "-") != 0)
            json_array_append_new(list, json_string(one));
    free(copy);
    return json_pack("{s:s, s:s, s:b, s:o}", "name", name, "mac", mac, "up",
                     strcmp(link, "up") == 0, "addresses", list);
}

void facts_take(struct facts *facts, const struct wire_frame *f)
{
    static const char *const keys[] = {"agent", "hostname", "uptime"};
    char text[FACT_MAX];
    json_t *doc = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (wire_get(f, keys[i], text, sizeof text) >= 0) {
            text_clean(text);
            json_object_set_new(doc, keys[i], json_string(text));
        }
    wire_get(f, "can", facts->can, sizeof facts->can);
    json_t *nics = json_array();
    size_t pos = 0;
    for (long n; (n = wire_value_next(f, &pos, "nic", text, sizeof text)) != -1;) {
        json_t *nic = n < 0 ? NULL : parse_nic(text);
        if (nic)
            json_array_append_new(nics, nic);
    }
    json_object_set_new(doc, "nics", nics);
    json_decref(facts->doc);
    facts->doc = doc;
}

static void take_number(json_t *doc, const struct wire_frame *f, const char *key, const char *name)
{
    int64_t n = wire_get_number(f, key);
    if (n >= 0)
        json_object_set_new(doc, name, json_integer(n));
}

void facts_take_load(struct facts *facts, const struct wire_frame *f)
{
    char text[24];
    char *end;
    if (!facts->doc || wire_get(f, "load", text, sizeof text) <= 0)
        return;
    double load = strtod(text, &end);
    if (!*end && isfinite(load))
        json_object_set_new(facts->doc, "load", json_real(load));
    take_number(facts->doc, f, "memory-total", "memory_total");
    take_number(facts->doc, f, "memory-available", "memory_available");
    if (wire_get(f, "uptime", text, sizeof text) > 0) {
        text_clean(text);
        json_object_set_new(facts->doc, "uptime", json_string(text));
    }
}

bool facts_can(const struct facts *facts, const char *what)
{
    size_t n = strlen(what);
    for (const char *at = facts->can; (at = strstr(at, what)); at += n)
        if ((at == facts->can || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

void facts_free(struct facts *facts)
{
    json_decref(facts->doc);
}
