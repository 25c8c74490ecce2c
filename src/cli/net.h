// What the commands of `net` share: which vnet is meant, and asking it.
#pragma once

#include <jansson.h>

#include "cli/cli.h"
#include "proto/client.h"

extern const struct command cmd_net;

// The datagram socket of the vnet that is meant: --listen, or its default.
const char *net_listen(const struct cli *cli);

// A connection to its control socket. ERR_NOT_RUNNING where there is none.
struct client_conn *net_connect(const struct cli *cli, struct err *e);

// The ports of the host that lead to guests, as a table; nothing where there are none.
void net_print_forwards(const json_t *forwards);

// One verb, one answer, owned by the caller. Takes args, which may be NULL.
json_t *net_call(const struct cli *cli, const char *verb, json_t *args, struct err *e);
