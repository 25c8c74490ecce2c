// How each kind of value is read and written.
#include "vnet/labfile/type.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

// Whole numbers, words and truth: unsigned fields of 1, 2, 4 or 8 bytes.

static void put(void *field, size_t size, uint64_t n)
{
    switch (size) {
    case 1:
        *(uint8_t *)field = (uint8_t)n;
        break;
    case 2:
        *(uint16_t *)field = (uint16_t)n;
        break;
    case 4:
        *(uint32_t *)field = (uint32_t)n;
        break;
    default:
        *(uint64_t *)field = n;
    }
}

static uint64_t get(const void *field, size_t size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)field;
    case 2:
        return *(const uint16_t *)field;
    case 4:
        return *(const uint32_t *)field;
    default:
        return *(const uint64_t *)field;
    }
}

static void put_number(const struct key *key, void *field, uint64_t n)
{
    put(field, key->size, n);
    if (key->both)
        put((char *)field + key->beside, key->size, n);
}

static bool read_number(const struct key *key, const struct tree *value, void *field)
{
    struct err ignored;
    uint64_t n;
    if (number_parse(value->text, "", key->min, key->max, &n, &ignored) < 0)
        return false;
    put_number(key, field, n);
    return true;
}

static void write_number(FILE *out, const struct key *key, const void *field)
{
    fprintf(out, "%" PRIu64, get(field, key->size));
}

static void limit_number(uint64_t n, char *out, size_t size)
{
    snprintf(out, size, "%" PRIu64, n);
}

const struct type type_number = {
    .is = "a whole number from %s to %s",
    .limit = limit_number,
    .read = read_number,
    .write = write_number,
};

// True and false.

static bool read_bool(const struct key *key, const struct tree *value, void *field)
{
    bool yes = strcmp(value->text, "true") == 0;
    if (!yes && strcmp(value->text, "false") != 0)
        return false;
    put_number(key, field, yes != key->inverted);
    return true;
}

static void write_bool(FILE *out, const struct key *key, const void *field)
{
    fputs((get(field, key->size) != 0) != key->inverted ? "true" : "false", out);
}

const struct type type_bool = {.is = "true or false", .read = read_bool, .write = write_bool};

// One of some words.

static bool read_choice(const struct key *key, const struct tree *value, void *field)
{
    struct choice c;
    for (unsigned i = 0; (c = key->choice(i)).name; i++)
        if (strcmp(c.name, value->text) == 0) {
            put_number(key, field, c.value);
            return true;
        }
    return false;
}

static void write_choice(FILE *out, const struct key *key, const void *field)
{
    struct choice c;
    for (unsigned i = 0; (c = key->choice(i)).name; i++)
        if (c.value == get(field, key->size))
            fputs(c.name, out);
}

const struct type type_choice = {.read = read_choice, .write = write_choice};

// Durations, exact to the nanosecond.

static const struct {
    const char *name;
    uint64_t ns;
} units[] = {
    {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
    {"ms", 1000000},      {"us", 1000},       {"ns", 1},
};
enum { UNITS = sizeof units / sizeof *units };

static uint64_t unit_ns(const char *name)
{
    for (int i = 0; i < UNITS; i++)
        if (strcmp(units[i].name, name) == 0)
            return units[i].ns;
    return 0;
}

// "1.5s" as a whole number of ns.
static bool parse_duration(const char *text, uint64_t *ns)
{
    size_t whole = strspn(text, "0123456789");
    size_t dot = text[whole] == '.';
    size_t fraction = dot ? strspn(text + whole + 1, "0123456789") : 0;
    uint64_t unit = unit_ns(text + whole + dot + fraction);
    if (whole == 0 || (dot && fraction == 0) || unit == 0)
        return strcmp(text, "0") == 0 && (*ns = 0, true);
    uint64_t sum = 0;
    for (size_t i = 0; i < whole; i++)
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(text[i] - '0'), &sum))
            return false;
    if (__builtin_mul_overflow(sum, unit, &sum))
        return false;
    for (const char *p = text + whole + dot; fraction > 0; p++, fraction--) {
        if (unit % 10 != 0 && *p != '0')
            return false; // finer than a nanosecond
        unit /= 10;
        if (__builtin_add_overflow(sum, unit * (uint64_t)(*p - '0'), &sum))
            return false;
    }
    *ns = sum;
    return true;
}

static void limit_duration(uint64_t ns, char *out, size_t size)
{
    int i = 0;
    while (ns > 0 ? ns % units[i].ns != 0 : units[i].ns != 1000000000)
        i++;
    snprintf(out, size, "%" PRIu64 "%s", ns / units[i].ns, units[i].name);
}

static bool read_duration(const struct key *key, const struct tree *value, void *field)
{
    uint64_t ns;
    if (!parse_duration(value->text, &ns) || ns < key->min || ns > key->max || ns % key->unit != 0)
        return false;
    put_number(key, field, ns / key->unit);
    return true;
}

static void write_duration(FILE *out, const struct key *key, const void *field)
{
    char text[32];
    limit_duration(get(field, key->size) * key->unit, text, sizeof text);
    fputs(text, out);
}

const struct type type_duration = {
    .is = "a duration from %s to %s, such as 20ms or 1.5s",
    .limit = limit_duration,
    .read = read_duration,
    .write = write_duration,
};

// Texts, each a string of its own.

static void put_text(void *field, const char *text)
{
    char *copy = xstrdup(text);
    memcpy(field, &copy, sizeof copy);
}

static const char *get_text(const void *field)
{
    const char *text;
    memcpy(&text, field, sizeof text);
    return text;
}

static void write_plain(FILE *out, const struct key *key, const void *field)
{
    fputs(get_text(field), out);
}

static bool read_id(const struct key *key, const struct tree *value, void *field)
{
    if (!id_valid(value->text))
        return false;
    put_text(field, value->text);
    return true;
}

const struct type type_id = {
    .is = "an id: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with . or -",
    .read = read_id,
    .write = write_plain,
    .owned = true,
};

// A node's name is an id and, for DNS, one label.
static bool read_label(const struct key *key, const struct tree *value, void *field)
{
    if (strchr(value->text, '.') || strlen(value->text) > VNET_LABEL_MAX)
        return false;
    return read_id(key, value, field);
}

const struct type type_label = {
    .is = "a host's name: 1 to 63 of A-Z a-z 0-9 _ -, not starting with -",
    .read = read_label,
    .write = write_plain,
    .owned = true,
};

// Labels of 1 to 63 letters, digits, '-' and '_', 253 characters at most (RFC 1035, 2.3.4).
bool domain_normalise(char *name)
{
    size_t n = strlen(name);
    if (n > 1 && name[n - 1] == '.')
        name[--n] = 0;
    size_t label = 0;
    for (char *p = name; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
        if (*p == '.' ? label == 0 : !isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            return false;
        label = *p == '.' ? 0 : label + 1;
        if (label > VNET_LABEL_MAX)
            return false;
    }
    return label > 0 && n <= 253;
}

static bool read_domain(const struct key *key, const struct tree *value, void *field)
{
    char *name = xstrdup(value->text);
    bool good = domain_normalise(name);
    if (good)
        put_text(field, name);
    free(name);
    return good;
}

const struct type type_domain = {
    .is = "a domain name: labels of up to 63 letters, digits, - and _, with dots between them",
    .read = read_domain,
    .write = write_plain,
    .owned = true,
};

// The character that begins at *p, which is behind it then. libyaml lets through UTF-8 only.
static uint32_t next_character(const char **p)
{
    uint8_t first = (uint8_t) * (*p)++;
    int more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? first : first & (0x3fu >> more);
    for (; more > 0 && **p; more--, ++*p)
        c = c << 6 | (**p & 0x3f);
    return c;
}

// ASCII only, so that it goes through everything and steers no terminal.
static void write_quoted(FILE *out, const struct key *key, const void *field)
{
    const char *p = get_text(field);
    fputc('"', out);
    while (*p) {
        uint32_t c = next_character(&p);
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", (int)c);
        else if (c >= 0x20 && c < 0x7f)
            fputc((int)c, out);
        else if (c < 0x100)
            fprintf(out, "\\x%02" PRIx32, c);
        else
            fprintf(out, c < 0x10000 ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);
    }
    fputc('"', out);
}

static bool read_at_most(size_t most, const struct tree *value, void *field)
{
    if (strlen(value->text) > most)
        return false;
    put_text(field, value->text);
    return true;
}

static bool read_text(const struct key *key, const struct tree *value, void *field)
{
    return read_at_most(255, value, field);
}

const struct type type_text = {
    .is = "a text of at most 255 bytes",
    .read = read_text,
    .write = write_quoted,
    .owned = true,
};

static bool read_page(const struct key *key, const struct tree *value, void *field)
{
    return read_at_most(LABFILE_PAGE_MAX, value, field);
}

const struct type type_page = {
    .is = "a text of at most 64 KiB",
    .read = read_page,
    .write = write_quoted,
    .owned = true,
};

enum { PATH_LENGTH_MAX = 1000 };

static bool read_path(const struct key *key, const struct tree *value, void *field)
{
    for (const char *p = value->text; *p; p++)
        if (iscntrl((unsigned char)*p))
            return false;
    if (!*value->text || strlen(value->text) > PATH_LENGTH_MAX)
        return false;
    put_text(field, value->text);
    return true;
}

const struct type type_path = {
    .is = "a path of at most 1000 bytes, without control characters",
    .read = read_path,
    .write = write_quoted,
    .owned = true,
};

// Addresses. YAML takes ':' in flow style for its own, so those with colons are written in quotes.

static bool read_mac(const struct key *key, const struct tree *value, void *field)
{
    struct err ignored;
    return mac_parse(value->text, field, &ignored) == 0;
}

static void write_mac(FILE *out, const struct key *key, const void *field)
{
    char text[MAC_TEXT];
    mac_format(field, text);
    fprintf(out, "\"%s\"", text);
}

const struct type type_mac = {
    .is = "a unicast MAC address, such as \"52:cc:cc:cc:cc:01\"",
    .read = read_mac,
    .write = write_mac,
};

static bool parse_ip4(const char *text, uint32_t *address)
{
    struct in_addr in;
    if (inet_pton(AF_INET, text, &in) != 1)
        return false;
    *address = ntohl(in.s_addr);
    return true;
}

static void write_ip4(FILE *out, const struct key *key, const void *field)
{
    uint32_t a;
    memcpy(&a, field, sizeof a);
    fprintf(out, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

// An address of a host: not 0.0.0.0, which is none, nor in 0, 127 or 224 and up.
static bool read_ip4(const struct key *key, const struct tree *value, void *field)
{
    uint32_t address;
    if (!parse_ip4(value->text, &address))
        return false;
    unsigned top = address >> 24;
    if (top == 0 || top == 127 || top >= 224)
        return false;
    memcpy(field, &address, sizeof address);
    return true;
}

const struct type type_ip4 = {
    .is = "the IPv4 address of a host, such as 192.168.1.2",
    .read = read_ip4,
    .write = write_ip4,
};

// Global, or unique local: not fe80::, not multicast, nothing special of ::/8.
static bool is_unicast6(const struct ip6 *a)
{
    const uint8_t *o = a->octet;
    return o[0] != 0 && o[0] != 0xff && !(o[0] == 0xfe && o[1] >= 0x80);
}

static bool read_ip6(const struct key *key, const struct tree *value, void *field)
{
    struct ip6 address;
    if (inet_pton(AF_INET6, value->text, &address) != 1 || !is_unicast6(&address))
        return false;
    memcpy(field, &address, sizeof address);
    return true;
}

static void print_ip6(FILE *out, const void *address, const char *behind)
{
    char text[INET6_ADDRSTRLEN];
    fprintf(out, "\"%s%s\"", inet_ntop(AF_INET6, address, text, sizeof text), behind);
}

static void write_ip6(FILE *out, const struct key *key, const void *field)
{
    print_ip6(out, field, "");
}

const struct type type_ip6 = {
    .is = "a global IPv6 address, such as \"2000:52::2\"",
    .read = read_ip6,
    .write = write_ip6,
};

// "ADDRESS/LENGTH": reads the address by `read` and leaves the length beside it.
static bool read_net(const struct key *key, const struct tree *value, void *field,
                     bool (*read)(const struct key *, const struct tree *, void *))
{
    struct err ignored;
    char address[INET6_ADDRSTRLEN];
    uint64_t length;
    const char *slash = strchr(value->text, '/');
    size_t n = slash ? (size_t)(slash - value->text) : 0;
    if (n == 0 || n >= sizeof address ||
        number_parse(slash + 1, "", key->min, key->max, &length, &ignored) < 0)
        return false;
    memcpy(address, value->text, n);
    address[n] = 0;
    put((char *)field + key->beside, 1, length);
    return read(key, &(struct tree){.text = address}, field);
}

static bool read_ip4_net(const struct key *key, const struct tree *value, void *field)
{
    return read_net(key, value, field, read_ip4);
}

static void write_ip4_net(FILE *out, const struct key *key, const void *field)
{
    write_ip4(out, key, field);
    fprintf(out, "/%" PRIu64, get((const char *)field + key->beside, 1));
}

const struct type type_ip4_net = {
    .is = "an IPv4 address with a prefix length from %s to %s, such as 192.168.1.1/24",
    .limit = limit_number,
    .read = read_ip4_net,
    .write = write_ip4_net,
};

static bool read_ip6_net(const struct key *key, const struct tree *value, void *field)
{
    return read_net(key, value, field, read_ip6);
}

static void write_ip6_net(FILE *out, const struct key *key, const void *field)
{
    char length[8];
    snprintf(length, sizeof length, "/%" PRIu64, get((const char *)field + key->beside, 1));
    print_ip6(out, field, length);
}

const struct type type_ip6_net = {
    .is = "a global IPv6 address with the prefix length %s, such as \"2000:52::1/64\"",
    .limit = limit_number,
    .read = read_ip6_net,
    .write = write_ip6_net,
};

// An address of either kind.

static bool read_address(const struct key *key, const struct tree *value, void *field)
{
    struct labfile_address *a = field;
    a->at = value->at;
    a->is6 = read_ip6(key, value, &a->v6);
    return a->is6 || read_ip4(key, value, &a->v4);
}

static void write_address(FILE *out, const struct key *key, const void *field)
{
    const struct labfile_address *a = field;
    if (a->is6)
        write_ip6(out, key, &a->v6);
    else
        write_ip4(out, key, &a->v4);
}

const struct type type_address = {
    .is = "the address of a host, such as 5.0.0.1 or \"2052::1\"",
    .read = read_address,
    .write = write_address,
};

void type_describe(const struct key *key, char *out, size_t size)
{
    char least[32] = "";
    char most[32] = "";
    if (key->type->limit) {
        key->type->limit(key->min, least, sizeof least);
        key->type->limit(key->max, most, sizeof most);
    }
    snprintf(out, size, key->type->is, least, most);
}
