// What a guest is called.
#include "host/names.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

enum { HOSTNAME_MAX = 64, LABEL_MAX = 63 };

// Its length, or 0 where there is none (RFC 1123, 2.1).
static size_t label_length(const char *at)
{
    size_t n = 0;
    while (isalnum((unsigned char)at[n]) || (at[n] == '-' && n > 0))
        n++;
    return n > 0 && n <= LABEL_MAX && at[n - 1] != '-' ? n : 0;
}

static bool is_hostname(const char *name)
{
    for (const char *at = name;; at++) {
        size_t n = label_length(at);
        at += n;
        if (n == 0 || (*at && *at != '.'))
            return false;
        if (!*at)
            return at - name <= HOSTNAME_MAX;
    }
}

int hostname_check(const char *name, struct err *e)
{
    if (is_hostname(name))
        return 0;
    return err_set(e, ERR_USAGE,
                   "host name '%.80s' is not of A-Z, a-z, 0-9, '-' and '.', at most %d characters",
                   name, HOSTNAME_MAX);
}

// Of the form of a version 4 UUID, as systemd makes them.
static void machine_id_random(char out[static MACHINE_ID_TEXT])
{
    uint8_t id[16];
    os_random(id, sizeof id);
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", id[i]);
}

int machine_id_parse(const char *text, char out[static MACHINE_ID_TEXT], struct err *e)
{
    if (strcmp(text, "new") == 0) {
        machine_id_random(out);
        return 0;
    }
    if (strlen(text) != MACHINE_ID_TEXT - 1 ||
        strspn(text, "0123456789abcdefABCDEF") != MACHINE_ID_TEXT - 1 ||
        strspn(text, "0") == MACHINE_ID_TEXT - 1)
        return err_set(e, ERR_USAGE, "machine-id '%.40s' is not 32 hexadecimal digits, or 'new'",
                       text);
    for (int i = 0; i < MACHINE_ID_TEXT; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    return 0;
}
