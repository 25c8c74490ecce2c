// Takes addresses, ports and protocols apart.
#include "vnet/labfile/forward.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "vnet/labfile/complete.h"
#include "vnet/labfile/labfile.h"
#include "vnet/labfile/tree.h"

enum { TCP = 6, UDP = 17, UNIX_PATH_MAX = 107 };

bool port_parse(const char *text, struct labfile_port *out)
{
    char address[INET_ADDRSTRLEN];
    char port[6];
    char rest[8] = "";
    struct in_addr a;
    uint64_t number;
    struct err e;
    int n = sscanf(text, "%15[0-9.]:%5[0-9]%7s", address, port, rest);
    bool udp = strcmp(rest, "/udp") == 0;
    if (n < 2 || (n == 3 && !udp && strcmp(rest, "/tcp") != 0) ||
        inet_pton(AF_INET, address, &a) != 1 ||
        number_parse(port, "port", 1, UINT16_MAX, &number, &e) < 0)
        return false;
    *out = (struct labfile_port){
        .protocol = udp ? UDP : TCP, .port = (uint16_t)number, .address = ntohl(a.s_addr)};
    return true;
}

static bool read_target(struct labfile_forward *f)
{
    static const char scheme[] = "unix:";
    struct labfile_port host;
    bool names_protocol = strchr(f->to, '/');
    if (strncmp(f->to, scheme, strlen(scheme)) == 0) {
        f->path = f->to + strlen(scheme);
        return f->is.protocol == TCP && *f->path == '/' && strlen(f->path) <= UNIX_PATH_MAX;
    }
    if (!port_parse(f->to, &host) || (names_protocol && host.protocol != f->is.protocol))
        return false;
    f->host = host.address;
    f->host_port = host.port;
    return f->host != 0;
}

int complete_forward(struct reader *r, const struct tree *from, void *element, unsigned ordinal)
{
    struct labfile_forward *f = element;
    const char *name = f->entry.name;
    if (!port_parse(name, &f->is))
        return tree_err(r->e, r->file, f->entry.at,
                        "forward: '%.80s' is not an address and port such as 5.0.0.1:80 or "
                        "5.0.0.1:53/udp",
                        name);
    if (!f->to == !f->page || (f->page && f->is.protocol != TCP))
        return tree_err(r->e, r->file, f->entry.at,
                        "forward: '%.80s' needs a 'to' or, for TCP, a 'page'", name);
    if (f->to && !read_target(f))
        return tree_err(r->e, r->file, position_of_key(from, "to"),
                        "to: '%.80s' is not an address and port of the host, such as "
                        "127.0.0.1:8080, with the same protocol, nor, for TCP, unix:/PATH",
                        f->to);
    return 0;
}
