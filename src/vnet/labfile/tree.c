// Builds the tree from libyaml's events. (Its document loader is quadratic in the number of keys.)
#include "vnet/labfile/tree.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/cleanup.h"
#include "base/mem.h"

struct source {
    yaml_parser_t yaml;
    const char *file;
    const char *text;
    size_t n;
    unsigned nodes;
    struct err *e;
};

#define AUTO_EVENT __attribute__((cleanup(yaml_event_delete)))

static void cleanup_tree(struct tree **t)
{
    tree_free(*t);
}
#define AUTO_TREE __attribute__((cleanup(cleanup_tree)))

int tree_err(struct err *e, const char *file, struct labfile_position at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *what = xvasprintf(fmt, ap);
    va_end(ap);
    if (at.line == 0)
        return err_set(e, ERR_USAGE, "%s: %s", file, what);
    return err_set(e, ERR_USAGE, "%s:%u:%u: %s", file, at.line, at.column, what);
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->count; i++)
        tree_free(t->children[i]);
    free(t->children);
    free(t->key);
    free(t->text);
    free(t);
}

const struct tree *tree_get(const struct tree *t, const char *key)
{
    for (unsigned i = 0; t->kind == TREE_MAPPING && i < t->count; i++)
        if (strcmp(t->children[i]->key, key) == 0)
            return t->children[i];
    return NULL;
}

bool tree_is_mapping(const struct tree *t)
{
    return t->kind == TREE_MAPPING || (t->kind == TREE_SCALAR && !t->quoted && !*t->text);
}

static struct labfile_position position(yaml_mark_t mark)
{
    return (struct labfile_position){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

// Where a byte is: libyaml has no mark for what is wrong with the bytes themselves.
static struct labfile_position position_of(const struct source *s, size_t offset)
{
    struct labfile_position at = {1, 1};
    for (size_t i = 0; i < offset && i < s->n; i++) {
        at.column++;
        if (s->text[i] == '\n')
            at = (struct labfile_position){at.line + 1, 1};
    }
    return at;
}

static int syntax_error(const struct source *s)
{
    const yaml_parser_t *y = &s->yaml;
    const char *problem = y->problem ? y->problem : "it is not YAML";
    if (y->error == YAML_MEMORY_ERROR)
        abort();
    if (y->error == YAML_READER_ERROR)
        return tree_err(s->e, s->file, position_of(s, y->problem_offset), "%s", problem);
    if (y->context)
        return tree_err(s->e, s->file, position(y->problem_mark), "%s, %s", y->context, problem);
    return tree_err(s->e, s->file, position(y->problem_mark), "%s", problem);
}

static int next_event(struct source *s, yaml_event_t *event)
{
    return yaml_parser_parse(&s->yaml, event) ? 0 : syntax_error(s);
}

static const void *decoration(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor ? event->data.scalar.anchor : event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor ? event->data.sequence_start.anchor
                                                 : event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor ? event->data.mapping_start.anchor
                                                : event->data.mapping_start.tag;
    default:
        return NULL;
    }
}

static int check_event(struct source *s, const yaml_event_t *event, unsigned depth)
{
    struct labfile_position at = position(event->start_mark);
    if (event->type == YAML_ALIAS_EVENT || decoration(event))
        return tree_err(s->e, s->file, at,
                        "a lab file has no anchors (&), aliases (*) or tags (!)");
    if (depth > TREE_DEPTH_MAX)
        return tree_err(s->e, s->file, at, "more than %d levels deep", TREE_DEPTH_MAX);
    if (++s->nodes > TREE_NODES_MAX)
        return tree_err(s->e, s->file, at, "more than %d keys and values", TREE_NODES_MAX);
    return 0;
}

static char *scalar_text(struct source *s, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) == event->data.scalar.length)
        return xstrdup(text);
    tree_err(s->e, s->file, position(event->start_mark), "a NUL character");
    return NULL;
}

static struct tree *add_child(struct tree *t, struct tree *child)
{
    if ((t->count & (t->count - 1)) == 0) // doubled at each power of two
        t->children = xrealloc(t->children, (t->count ? 2 * t->count : 1) * sizeof *t->children);
    return t->children[t->count++] = child;
}

static int compare_keys(const void *a, const void *b)
{
    const struct tree *x = *(struct tree *const *)a;
    const struct tree *y = *(struct tree *const *)b;
    int order = strcmp(x->key, y->key);
    if (order != 0)
        return order;
    return x->key_at.line != y->key_at.line ? (x->key_at.line > y->key_at.line) * 2 - 1
                                            : (x->key_at.column > y->key_at.column) * 2 - 1;
}

static int check_duplicates(struct source *s, const struct tree *t)
{
    if (t->count < 2)
        return 0;
    AUTO_FREE struct tree **sorted = xcalloc(t->count, sizeof *sorted);
    memcpy(sorted, t->children, t->count * sizeof *sorted);
    qsort(sorted, t->count, sizeof *sorted, compare_keys);
    for (unsigned i = 1; i < t->count; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            return tree_err(s->e, s->file, sorted[i]->key_at,
                            "'%.80s' is there twice, first in line %u", sorted[i]->key,
                            sorted[i - 1]->key_at.line);
    return 0;
}

static struct tree *read_value(struct source *s, const yaml_event_t *event, unsigned depth);

static int read_list(struct source *s, struct tree *t, unsigned depth)
{
    for (;;) {
        AUTO_EVENT yaml_event_t event = {0};
        if (next_event(s, &event) < 0)
            return -1;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        struct tree *child = read_value(s, &event, depth + 1);
        if (!child)
            return -1;
        add_child(t, child);
    }
}

// The value after the key that `event` is.
static struct tree *read_pair(struct source *s, const yaml_event_t *event, unsigned depth)
{
    AUTO_EVENT yaml_event_t value = {0};
    struct labfile_position at = position(event->start_mark);
    if (check_event(s, event, depth) < 0)
        return NULL;
    if (event->type != YAML_SCALAR_EVENT) {
        tree_err(s->e, s->file, at, "a key must be a word");
        return NULL;
    }
    AUTO_FREE char *key = scalar_text(s, event);
    if (!key || next_event(s, &value) < 0)
        return NULL;
    struct tree *child = read_value(s, &value, depth);
    if (child) {
        child->key = TAKE_PTR(key);
        child->key_at = at;
    }
    return child;
}

static int read_mapping(struct source *s, struct tree *t, unsigned depth)
{
    for (;;) {
        AUTO_EVENT yaml_event_t event = {0};
        if (next_event(s, &event) < 0)
            return -1;
        if (event.type == YAML_MAPPING_END_EVENT)
            return check_duplicates(s, t);
        struct tree *child = read_pair(s, &event, depth + 1);
        if (!child)
            return -1;
        add_child(t, child);
    }
}

static int read_scalar(struct source *s, struct tree *t, const yaml_event_t *event)
{
    t->text = scalar_text(s, event);
    t->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return t->text ? 0 : -1;
}

// The value that `event` begins.
static struct tree *read_value(struct source *s, const yaml_event_t *event, unsigned depth)
{
    if (check_event(s, event, depth) < 0)
        return NULL;
    AUTO_TREE struct tree *t = xcalloc(1, sizeof *t);
    t->at = position(event->start_mark);
    int done = -1;
    if (event->type == YAML_SCALAR_EVENT) {
        done = read_scalar(s, t, event);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        t->kind = TREE_LIST;
        done = read_list(s, t, depth);
    } else {
        t->kind = TREE_MAPPING;
        done = read_mapping(s, t, depth);
    }
    return done == 0 ? TAKE_PTR(t) : NULL;
}

static int replace_event(struct source *s, yaml_event_t *event)
{
    yaml_event_delete(event);
    return next_event(s, event);
}

static struct tree *empty_tree(void)
{
    struct tree *t = xcalloc(1, sizeof *t);
    t->kind = TREE_MAPPING;
    t->at = (struct labfile_position){1, 1};
    return t;
}

// A stream's start, a document's, its value, its end, the stream's end.
static struct tree *read_all(struct source *s)
{
    AUTO_EVENT yaml_event_t event = {0};
    if (next_event(s, &event) < 0 || replace_event(s, &event) < 0)
        return NULL;
    if (event.type == YAML_STREAM_END_EVENT)
        return empty_tree();
    if (replace_event(s, &event) < 0)
        return NULL;
    AUTO_TREE struct tree *t = read_value(s, &event, 0);
    if (!t || replace_event(s, &event) < 0 || replace_event(s, &event) < 0)
        return NULL;
    if (event.type != YAML_STREAM_END_EVENT) {
        tree_err(s->e, s->file, position(event.start_mark), "a lab file is one document");
        return NULL;
    }
    return TAKE_PTR(t);
}

struct tree *tree_parse(const char *text, size_t n, const char *file, struct err *e)
{
    struct source s = {.file = file, .text = text, .n = n, .e = e};
    if (n > LABFILE_SIZE_MAX) {
        err_set(e, ERR_USAGE, "%s: longer than %d bytes", file, LABFILE_SIZE_MAX);
        return NULL;
    }
    if (!yaml_parser_initialize(&s.yaml))
        abort();
    yaml_parser_set_input_string(&s.yaml, (const unsigned char *)text, n);
    struct tree *t = read_all(&s);
    yaml_parser_delete(&s.yaml);
    return t;
}
