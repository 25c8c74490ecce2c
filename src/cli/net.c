// Finding a vnet by its socket, and asking it.
#include "cli/net.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/parse.h"
#include "proto/vnet.h"

enum { CALL_MS = 10000 };

const char *net_listen(const struct cli *cli)
{
    return cli->listen ? cli->listen : VNET_LISTEN;
}

static int check_paths(const struct cli *cli, struct err *e)
{
    if (cli->listen && socket_path_check(cli->listen, e) < 0)
        return err_wrap(e, "--listen");
    if (cli->control && socket_path_check(cli->control, e) < 0)
        return err_wrap(e, "--control");
    return 0;
}

static bool is_vnet(const struct client_conn *c)
{
    const char *who = json_string_value(json_object_get(client_hello(c), "hello"));
    return who && strcmp(who, "tailmac-vnet") == 0;
}

struct client_conn *net_connect(const struct cli *cli, struct err *e)
{
    bool absent = false;
    if (check_paths(cli, e) < 0)
        return NULL;
    AUTO_FREE char *path =
        cli->control ? xstrdup(cli->control) : xasprintf("%s" VNET_CONTROL_SUFFIX, net_listen(cli));
    struct client_conn *c = client_open(path, &absent, e);
    if (!c && absent)
        err_set(e, ERR_NOT_RUNNING, "no vnet is running at %s ('tailmac net up' starts one)",
                cli->control ? cli->control : net_listen(cli));
    if (c && !is_vnet(c)) {
        err_set(e, ERR_FAILED, "who answers at %s is no vnet", path);
        client_close(c);
        return NULL;
    }
    return c;
}

json_t *net_call(const struct cli *cli, const char *verb, json_t *args, struct err *e)
{
    struct client_conn *c = net_connect(cli, e);
    if (!c) {
        json_decref(args);
        return NULL;
    }
    json_t *answer = client_call(c, verb, args, CALL_MS, NULL, e);
    client_close(c);
    return answer ? answer : (err_wrap(e, "vnet"), NULL);
}
