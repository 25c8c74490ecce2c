// Values that people type: identifiers, MAC addresses, sizes, durations, ports.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { MAC_TEXT = 18 }; // "52:cc:cc:cc:cc:01" and its NUL

struct mac {
    uint8_t octet[6];
};

// An id is 1–64 of A-Za-z0-9._-, not starting with '.' or '-'.
enum { ID_MAX = 64 };
bool id_valid(const char *id);
int id_check(const char *id, struct err *e); // ERR_USAGE

// Six hexadecimal octets with ':' or '-' between them; unicast and not all zero.
int mac_parse(const char *text, struct mac *out, struct err *e);
void mac_format(const struct mac *mac, char out[static MAC_TEXT]);
// A fresh random address that is locally administered and unicast.
void mac_random(struct mac *out);

// Bytes: "268435456", "512M", "8G", "1.5G"; K, M, G, T are powers of 1024, an "iB" or "B" may
// follow.
int size_parse(const char *text, uint64_t *bytes, struct err *e);

// Seconds, or with a unit: "30", "1.5s", "250ms", "2m". At most a week.
int duration_parse(const char *text, int64_t *milliseconds, struct err *e);

// A whole decimal number of [min, max]; `what` names it in the error.
int number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out,
                 struct err *e);

// A unix socket's path: absolute, without control characters, short enough for both systems.
enum { SOCKET_PATH_MAX = 103 }; // sun_path is 104 bytes on macOS with its NUL
int socket_path_check(const char *path, struct err *e); // ERR_USAGE

// "IP/MASK/GW", each an IPv4 address in dots.
enum { IPV4_TEXT = 16 }; // "255.255.255.255" and its NUL
struct address_plan {
    char ip[IPV4_TEXT], mask[IPV4_TEXT], gw[IPV4_TEXT];
};
int address_plan_parse(const char *text, struct address_plan *out, struct err *e); // ERR_USAGE

// The name that an interface of Linux can be given.
enum { INTERFACE_NAME_MAX = 15 };
int interface_name_check(const char *name, struct err *e); // ERR_USAGE

// Whether `text` is one of "a|b|c".
bool choice_valid(const char *choices, const char *text);
