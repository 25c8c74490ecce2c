// Finding the address that somebody asks for in a VM's status.
#include "cli/address.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

static const char *text_of(const json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return text ? text : "";
}

static bool is_wanted(const char *address, bool v6)
{
    bool is_v6 = strchr(address, ':') != NULL;
    return is_v6 == v6 && strncmp(address, "169.254.", 8) != 0 &&
           strncasecmp(address, "fe80:", 5) != 0;
}

static void add(json_t *list, const json_t *guest, const char *role, const char *address)
{
    AUTO_FREE char *plain = xstrdup(address);
    char *slash = strchr(plain, '/');
    if (slash)
        *slash = 0;
    json_array_append_new(list,
                          json_pack("{s:s, s:i, s:s, s:s, s:s}", "address", plain, "prefix",
                                    slash ? atoi(slash + 1) : 0, "nic", text_of(guest, "name"),
                                    "mac", text_of(guest, "mac"), "role", role));
}

// Those of the guest's NIC with this MAC.
static void add_of_nic(json_t *list, const json_t *status, const json_t *nic, bool v6)
{
    size_t i;
    size_t j;
    json_t *guest;
    json_t *address;
    json_array_foreach(json_object_get(json_object_get(status, "agent"), "nics"), i, guest) {
        if (strcasecmp(text_of(guest, "mac"), text_of(nic, "mac")) != 0)
            continue;
        json_array_foreach(json_object_get(guest, "addresses"), j, address) {
            if (is_wanted(json_string_value(address), v6))
                add(list, guest, text_of(nic, "role"), json_string_value(address));
        }
    }
}

json_t *addresses_of(const json_t *status, const struct address_choice *choice)
{
    static const char *const roles[] = {"socket", "nat"};
    json_t *list = json_array();
    size_t i;
    json_t *nic;
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++) {
        if (choice->role && strcmp(choice->role, roles[r]) != 0)
            continue;
        json_array_foreach(json_object_get(status, "nics"), i, nic) {
            if (strcmp(text_of(nic, "role"), roles[r]) == 0)
                add_of_nic(list, status, nic, choice->v6);
        }
    }
    return list;
}

bool has_address(const json_t *status, const struct address_choice *choice)
{
    json_t *list = addresses_of(status, choice);
    bool has = json_array_size(list) > 0;
    json_decref(list);
    return has;
}

bool has_nic(const json_t *status, const char *role)
{
    size_t i;
    json_t *nic;
    json_array_foreach(json_object_get(status, "nics"), i, nic) {
        if (strcmp(text_of(nic, "role"), role) == 0)
            return true;
    }
    return false;
}
