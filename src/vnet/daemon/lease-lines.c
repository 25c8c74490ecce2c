// One line a lease.
#include "vnet/daemon/lease-lines.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { FIELDS = 6 };

static void put_hex(FILE *out, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%02x", data[i]);
}

void lease_line_put(FILE *out, const struct lease_line *l)
{
    char mac[MAC_TEXT];
    uint32_t a = l->is.address;
    mac_format(&l->is.mac, mac);
    fprintf(out, "%s %u.%u.%u.%u %s %" PRId64 " %s", l->network, a >> 24, a >> 16 & 255,
            a >> 8 & 255, a & 255, mac, l->ends, l->is.id_length ? "" : "-");
    put_hex(out, l->is.id, l->is.id_length);
    fprintf(out, " %s\n", *l->is.host ? l->is.host : "-");
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool get_hex(const char *text, struct vnet_lease *l)
{
    size_t n = strlen(text);
    if (strcmp(text, "-") == 0)
        return true;
    if (n % 2 != 0 || n / 2 > sizeof l->id)
        return false;
    for (size_t i = 0; i < n; i += 2) {
        int high = digit(text[i]);
        int low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        l->id[i / 2] = (uint8_t)(high << 4 | low);
    }
    l->id_length = (uint8_t)(n / 2);
    return true;
}

static bool get_address(const char *text, uint32_t *out)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    *out = ntohl(a.s_addr);
    return true;
}

static bool get_host(const char *text, struct vnet_lease *l)
{
    if (strcmp(text, "-") == 0)
        return true;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-')
            return false;
    if (strlen(text) >= sizeof l->host)
        return false;
    strcpy(l->host, text);
    return true;
}

// Splits at single blanks; returns how many fields there are.
static int split(char *line, char *field[FIELDS])
{
    int n = 0;
    for (char *at = line; at; n++) {
        char *blank = strchr(at, ' ');
        if (blank)
            *blank = 0;
        if (n < FIELDS)
            field[n] = at;
        at = blank ? blank + 1 : NULL;
    }
    return n;
}

int lease_line_parse(const char *line, struct lease_line *out, struct err *e)
{
    char copy[2 * VNET_CLIENT_ID_MAX + 256];
    char *field[FIELDS];
    struct err ignored;
    uint64_t ends;
    *out = (struct lease_line){0};
    if (strlen(line) >= sizeof copy)
        return err_set(e, ERR_USAGE, "it is too long");
    strcpy(copy, line);
    if (split(copy, field) != FIELDS)
        return err_set(e, ERR_USAGE, "it has not %d fields", FIELDS);
    if (!id_valid(field[0]))
        return err_set(e, ERR_USAGE, "there is no network '%.64s'", field[0]);
    snprintf(out->network, sizeof out->network, "%s", field[0]);
    if (!get_address(field[1], &out->is.address) || mac_parse(field[2], &out->is.mac, &ignored) ||
        number_parse(field[3], "time", 0, INT64_MAX / 2, &ends, &ignored) ||
        !get_hex(field[4], &out->is) || !get_host(field[5], &out->is))
        return err_set(e, ERR_USAGE, "it is no lease");
    out->ends = (int64_t)ends;
    return 0;
}

int lease_lines_parse(char *text, void (*each)(void *arg, const struct lease_line *l), void *arg,
                      struct err *e)
{
    size_t head = strlen(LEASE_LINES_HEAD);
    if (strncmp(text, LEASE_LINES_HEAD, head) != 0)
        return err_set(e, ERR_USAGE, "line 1: this is no lease file");
    unsigned number = 2;
    for (char *at = text + head; *at; number++) {
        struct lease_line l;
        char *end = strchr(at, '\n');
        if (!end)
            return err_set(e, ERR_USAGE, "line %u: it is cut", number);
        *end = 0;
        if (lease_line_parse(at, &l, e) < 0)
            return err_wrap(e, "line %u", number);
        each(arg, &l);
        at = end + 1;
    }
    return 0;
}
