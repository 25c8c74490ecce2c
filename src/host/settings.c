// What a guest is given in one request, and what became of each item. An answer is matched with
// what was asked for, in order: a guest cannot add to it.
#include "host/settings.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"

enum { ENTROPY_BYTES = 64, DETAIL_MAX = 320 };

void settings_add(struct settings *s, const char *key, const char *fmt, ...)
{
    va_list ap;
    if (s->count == SETTINGS_MAX)
        return;
    va_start(ap, fmt);
    s->list[s->count++] = (struct setting){.key = key, .value = xvasprintf(fmt, ap)};
    va_end(ap);
}

void settings_clear(struct settings *s)
{
    for (int i = 0; i < s->count; i++) {
        free(s->list[i].value);
        free(s->list[i].detail);
    }
    s->count = 0;
}

void settings_add_entropy(struct settings *s)
{
    uint8_t bytes[ENTROPY_BYTES];
    char hex[2 * ENTROPY_BYTES + 1];
    os_random(bytes, sizeof bytes);
    for (int i = 0; i < ENTROPY_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    settings_add(s, "entropy", "%s", hex);
}

void settings_add_clock(struct settings *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    settings_add(s, "clock", "%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
}

void settings_put(const struct settings *s, struct wire_writer *w)
{
    for (int i = 0; i < s->count; i++)
        wire_put(w, s->list[i].key, "%s", s->list[i].value);
}

static struct setting *first_open(struct settings *s, const char *key)
{
    for (int i = 0; i < s->count; i++)
        if (!s->list[i].detail && strcmp(s->list[i].key, key) == 0)
            return &s->list[i];
    return NULL;
}

static void take_outcome(struct settings *s, const struct wire_pair *p, bool done)
{
    char text[DETAIL_MAX];
    char *detail = text;
    snprintf(text, sizeof text, "%.*s", (int)p->value_len, p->value);
    text_clean(text);
    struct setting *one = first_open(s, strsep(&detail, " "));
    if (!one)
        return;
    one->done = done;
    one->detail = xstrdup(detail ? detail : "");
}

static bool has_key(const struct wire_pair *p, const char *key)
{
    return p->key_len == strlen(key) && memcmp(p->key, key, p->key_len) == 0;
}

void settings_take(struct settings *s, const struct wire_frame *f)
{
    struct wire_pair p;
    for (size_t pos = 0; wire_pair_next(f, &pos, &p);)
        if (has_key(&p, "done") || has_key(&p, "failed"))
            take_outcome(s, &p, has_key(&p, "done"));
    for (int i = 0; i < s->count; i++)
        if (!s->list[i].detail)
            s->list[i].detail = xstrdup("the agent does not say what became of it");
}

const struct setting *settings_find(const struct settings *s, const char *key)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->list[i].key, key) == 0)
            return &s->list[i];
    return NULL;
}

json_t *settings_report(const struct settings *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:s?}", "item", s->list[i].key, "done",
                                              s->list[i].done, "detail", s->list[i].detail));
    return list;
}

char *settings_summary(const struct settings *s)
{
    char *text = xstrdup("");
    for (int i = 0; i < s->count; i++) {
        const struct setting *one = &s->list[i];
        AUTO_FREE char *before = text;
        text = xasprintf("%s%s%s %s%s", before, i ? ", " : "", one->key,
                         one->done ? "" : "failed: ", one->detail ? one->detail : "");
    }
    return text;
}

void settings_log(const struct settings *s)
{
    AUTO_FREE char *summary = settings_summary(s);
    log_line("agent: set %s", summary);
}
