// Taking a PCI device away from a running guest, which must agree.
//
// It is asked again and again: a request before the guest's ACPI is up is lost for ever (on aarch64
// one within 5 s of another is refused, which is no matter). A guest that agrees too late is no
// concern of who asked, who hears of it as of any device that went.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "engine/qemu/internal.h"

enum { RETRY_MS = 500 };

struct unplug {
    struct op *op;
    char *id;
    int tries;
    struct event *timer;
};

static void finish(struct engine *en, const struct err *why)
{
    struct unplug *u = TAKE_PTR(en->unplug);
    struct op *op = u->op;
    event_free(u->timer);
    free(u->id);
    free(u);
    op_end(op, why);
}

void unplug_abort(struct engine *en, const struct err *why)
{
    if (en->unplug)
        finish(en, why);
}

bool unplug_deleted(struct engine *en, const char *id)
{
    if (!en->unplug || strcmp(en->unplug->id, id) != 0)
        return false;
    finish(en, NULL);
    return true;
}

static void ask_to_go(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct engine *en = arg;
    struct unplug *u = en->unplug;
    if (u->tries-- == 0) {
        struct err e;
        err_set(&e, ERR_TIMEOUT, "the guest does not let go of it");
        finish(en, &e);
        return;
    }
    qmp_call(en->qmp, "device_del", json_pack("{s:s}", "id", u->id), -1, NULL, NULL);
    event_add(u->timer, &(struct timeval){.tv_usec = RETRY_MS * 1000});
}

void unplug_device(struct engine *en, const char *id, int patience_ms, engine_done *done, void *arg)
{
    struct err e;
    if (en->unplug) {
        err_set(&e, ERR_BUSY, "a device is being unplugged");
        done(arg, &e);
        return;
    }
    struct unplug *u = en->unplug = xcalloc(1, sizeof *u);
    *u = (struct unplug){
        .op = op_new(en, done, arg), .id = xstrdup(id), .tries = patience_ms / RETRY_MS};
    u->timer = evtimer_new(en->base, ask_to_go, en);
    ask_to_go(-1, 0, en);
}
