// Asking a pool's keeper.
#include "cli/pool.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "base/spawn.h"
#include "vm/pool.h"

enum { CALL_MS = 10000 };

struct client_conn *pool_connect(const struct store *s, const char *id, struct err *e)
{
    bool absent = false;
    AUTO_FREE char *path = NULL;
    if (pool_path(s, id, &path, e) < 0)
        return NULL;
    struct client_conn *c = client_open(path, &absent, e);
    if (!c && absent)
        err_set(e, ERR_NOT_RUNNING, "VM '%s' has no pool", id);
    return c;
}

json_t *pool_status(const struct store *s, const char *id)
{
    struct err ignored;
    struct client_conn *c = pool_exists(s, id) ? pool_connect(s, id, &ignored) : NULL;
    json_t *status = c ? client_call(c, "status", NULL, CALL_MS, NULL, &ignored) : NULL;
    client_close(c);
    return status;
}

int pool_take(struct client_conn *pool, const struct pool_claim *claim, struct launch *l,
              struct err *e)
{
    int ends[2];
    json_t *ok;
    bool gone = false;
    if (pipe_open(ends, e) < 0)
        return -1;
    AUTO_CLOSE int ours = ends[0];
    AUTO_CLOSE int theirs = ends[1];
    const int fds[] = {claim->lock_fd, theirs, claim->log_fd, claim->tie_fd};
    json_t *args =
        json_pack("{s:s, s:b, s:b}", "id", claim->id, "vsock", claim->vsock, "hold", claim->hold);
    json_int_t asked = client_send(pool, "take", args, fds, claim->tie_fd < 0 ? 3 : 4, e);
    ok = asked < 0 ? NULL : client_wait(pool, asked, CALL_MS, &gone, e);
    if (asked < 0 || (!ok && !gone && e->code != ERR_TIMEOUT))
        return -1;
    // A keeper that was killed may have given it away before: the pipe tells.
    *l = (struct launch){.pid = ok ? (pid_t)json_integer_value(json_object_get(ok, "pid")) : -1,
                         .fd = TAKE_FD(ours)};
    json_decref(ok);
    return 0;
}
