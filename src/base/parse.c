// Parsing of what people type; every error says what would have been right.
#include "base/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/os.h"

static const char id_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool id_valid(const char *id)
{
    size_t n = strlen(id);
    return n >= 1 && n <= ID_MAX && id[0] != '.' && id[0] != '-' && strspn(id, id_chars) == n;
}

int id_check(const char *id, struct err *e)
{
    if (id_valid(id))
        return 0;
    return err_set(
        e, ERR_USAGE,
        "id '%.80s' is not valid: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with . or -", id);
}

int mac_parse(const char *text, struct mac *out, struct err *e)
{
    static const struct mac zero;
    struct mac mac;
    const char *p = text;
    for (int i = 0; i < 6; i++) {
        if (i > 0 && ((*p != ':' && *p != '-') || *p++ != text[2]))
            goto bad;
        if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]))
            goto bad;
        mac.octet[i] = (uint8_t)strtoul((char[]){p[0], p[1], 0}, NULL, 16);
        p += 2;
    }
    if (*p)
        goto bad;
    if (mac.octet[0] & 1 || memcmp(&mac, &zero, sizeof mac) == 0)
        return err_set(e, ERR_USAGE, "MAC address '%s' is not a unicast address", text);
    *out = mac;
    return 0;
bad:
    return err_set(e, ERR_USAGE, "MAC address '%.40s' is not of the form 52:cc:cc:cc:cc:01", text);
}

void mac_format(const struct mac *mac, char out[static MAC_TEXT])
{
    const uint8_t *o = mac->octet;
    snprintf(out, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", o[0], o[1], o[2], o[3], o[4], o[5]);
}

void mac_random(struct mac *out)
{
    os_random(out, sizeof *out);
    out->octet[0] = 0x52; // locally administered, unicast, and the prefix that QEMU's users know
}

// Splits "1.5G" into a number and the text after it. Negative, infinite and hex are refused.
static int leading_number(const char *text, double *number, const char **rest)
{
    if (!isdigit((unsigned char)text[0]) || (text[0] == '0' && (text[1] | 0x20) == 'x'))
        return -1;
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    *rest = end;
    return errno || !isfinite(*number) ? -1 : 0;
}

int size_parse(const char *text, uint64_t *bytes, struct err *e)
{
    static const char units[] = "KMGT";
    double number;
    const char *rest;
    if (leading_number(text, &number, &rest) == 0) {
        const char *unit = *rest ? strchr(units, toupper((unsigned char)*rest)) : NULL;
        double scale = unit ? (double)(1ULL << 10 * (unit - units + 1)) : 1;
        rest += unit != NULL;
        bool plain =
            *rest == 0 || strcasecmp(rest, "B") == 0 || (unit && strcasecmp(rest, "iB") == 0);
        double n = number * scale;
        if (plain && n < 0x1p63 && n == (double)(uint64_t)n) {
            *bytes = (uint64_t)n;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "size '%.40s' is not of the form 268435456, 512M or 8G", text);
}

int duration_parse(const char *text, int64_t *milliseconds, struct err *e)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60e3}, {"h", 3600e3}};
    const double week = 7 * 24 * 3600e3;
    double number;
    const char *rest;
    if (leading_number(text, &number, &rest) == 0)
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strcmp(rest, units[i].unit) == 0 && number * units[i].ms <= week) {
                *milliseconds = (int64_t)(number * units[i].ms);
                *milliseconds += (double)*milliseconds < number * units[i].ms; // rounded up
                return 0;
            }
    return err_set(e, ERR_USAGE,
                   "duration '%.40s' is not of the form 30, 1.5s, 250ms, 2m or 1h (at most 168h)",
                   text);
}

int number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out,
                 struct err *e)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || n < min || n > max)
        return err_set(e, ERR_USAGE, "%s '%.40s' is not a whole number from %llu to %llu", what,
                       text, (unsigned long long)min, (unsigned long long)max);
    *out = n;
    return 0;
}

int socket_path_check(const char *path, struct err *e)
{
    if (path[0] != '/')
        return err_set(e, ERR_USAGE, "socket path '%.120s' does not start with /", path);
    for (const char *p = path; *p; p++)
        if (iscntrl((unsigned char)*p))
            return err_set(e, ERR_USAGE, "socket path '%.120s' has a control character", path);
    if (strlen(path) > SOCKET_PATH_MAX)
        return err_set(e, ERR_USAGE, "socket path '%.120s' is longer than %d bytes", path,
                       SOCKET_PATH_MAX);
    return 0;
}

int interface_name_check(const char *name, struct err *e)
{
    size_t n = strlen(name);
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    bool good = n >= 1 && n <= INTERFACE_NAME_MAX && !dots;
    for (const char *p = name; *p && good; p++) // '%' would be a pattern, ':' an alias
        good = isgraph((unsigned char)*p) && !strchr("/:%", *p);
    if (good)
        return 0;
    return err_set(e, ERR_USAGE,
                   "interface name '%.40s' is not valid: 1 to %d characters, no blank, / : or %%",
                   name, INTERFACE_NAME_MAX);
}

bool choice_valid(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|')
        if (n > 0 && strcspn(p, "|") == n && strncmp(p, text, n) == 0)
            return true;
    return false;
}

static bool is_mask(const char *text)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    uint32_t host = ~ntohl(a.s_addr);
    return (host & (host + 1)) == 0;
}

static bool is_ipv4(const char *text)
{
    struct in_addr a;
    return inet_pton(AF_INET, text, &a) == 1;
}

int address_plan_parse(const char *text, struct address_plan *out, struct err *e)
{
    int end = 0;
    int n = sscanf(text, "%15[0-9.]/%15[0-9.]/%15[0-9.]%n", out->ip, out->mask, out->gw, &end);
    if (n == 3 && !text[end] && is_ipv4(out->ip) && is_mask(out->mask) && is_ipv4(out->gw))
        return 0;
    return err_set(e, ERR_USAGE, "'%s' is not IP/MASK/GW, such as 10.0.0.5/255.255.255.0/10.0.0.1",
                   text);
}
