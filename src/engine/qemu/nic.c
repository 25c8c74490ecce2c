// NICs of a running QEMU: cable, backend, replacement, and the NAT's way in.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/qemu/internal.h"

static json_t *named(const char *key, const char *format, int index)
{
    AUTO_FREE char *text = xasprintf(format, index); // NOLINT: our own formats below
    return json_pack("{s:s}", key, text);
}

void nic_link(struct engine *en, int nic, bool up, engine_done *done, void *arg)
{
    if (qemu_ended(en, done, arg))
        return;
    json_t *args = named("name", "nic%d", nic);
    json_object_set_new(args, "up", json_boolean(up));
    qmp_call(en->qmp, "set_link", args, -1, op_reply, op_new(en, done, arg));
}

// A backend goes with its hub port; one that is not there is no matter.
static void remove_backend(struct engine *en, int i, qmp_reply *reply, void *arg)
{
    qmp_call(en->qmp, "netdev_del", named("id", "nic%dp", i), -1, NULL, NULL);
    qmp_call(en->qmp, "netdev_del", named("id", "nic%db", i), -1, reply, arg);
}

static void add_backend(struct engine *en, int i, const char *fd_name, qmp_reply *reply, void *arg)
{
    AUTO_FREE char *port = xasprintf("nic%dp", i);
    AUTO_FREE char *backend = xasprintf("nic%db", i);
    qmp_call(en->qmp, "netdev_add", nic_backend_args(&en->nics[i], i, fd_name), -1, NULL, NULL);
    qmp_call(en->qmp, "netdev_add",
             json_pack("{s:s, s:s, s:i, s:s}", "type", "hubport", "id", port, "hubid", i, "netdev",
                       backend),
             -1, reply, arg); // fails when the line above did
}

// A hub with no other port holds what the NIC sends until one of its ports flushes it, which a
// backend that is gone, or comes new, never does: the guest would not send again. Meanwhile a port
// with nothing behind it takes such frames and drops them.
static void add_sink(struct engine *en, int i)
{
    AUTO_FREE char *id = xasprintf("nic%ds", i);
    qmp_call(en->qmp, "netdev_add",
             json_pack("{s:s, s:s, s:i}", "type", "hubport", "id", id, "hubid", i), -1, NULL, NULL);
}

// Frames that the old backend held up go there too, pushed by one of QEMU's own. QEMU sends that
// with the cable in and the guest running only; frames wait in no other guest.
static void flush_into_sink(struct engine *en, int i)
{
    if (!en->running)
        return;
    AUTO_FREE char *id = xasprintf("nic%d", i);
    qmp_call(en->qmp, "announce-self",
             json_pack("{s:i, s:i, s:i, s:i, s:[s]}", "initial", 1, "max", 1, "rounds", 1, "step",
                       1, "interfaces", id),
             -1, NULL, NULL);
}

struct swap {
    struct op *op;
    int nic;
};

// Where the new backend failed the sink stays: frames are lost there, not stuck.
static void on_swapped(void *arg, const json_t *result, const struct err *why)
{
    AUTO_FREE struct swap *s = arg;
    if (why)
        log_line("QEMU: a NIC's new backend: %s", why->msg);
    else
        qmp_call(s->op->en->qmp, "netdev_del", named("id", "nic%ds", s->nic), -1, NULL, NULL);
    op_reply(s->op, result, why);
}

void nic_socket(struct engine *en, int nic, int fd, engine_done *done, void *arg)
{
    if (qemu_ended(en, done, arg))
        return;
    en->nics[nic].socket_fd = fd;
    add_sink(en, nic);
    remove_backend(en, nic, NULL, NULL);
    flush_into_sink(en, nic);
    qmp_call(en->qmp, "getfd", named("fdname", "nic%dfd", nic), fd, NULL, NULL);
    AUTO_FREE char *name = xasprintf("nic%dfd", nic);
    struct swap *s = xcalloc(1, sizeof *s);
    *s = (struct swap){.op = op_new(en, done, arg), .nic = nic};
    add_backend(en, nic, name, on_swapped, s);
}

static int last_nat(const struct engine *en)
{
    int last = -1;
    for (int i = 0; i < en->nic_count; i++)
        if (en->nics[i].role == NIC_NAT)
            last = i;
    return last;
}

void nat_detach(struct engine *en, qmp_reply *reply, void *arg)
{
    int last = last_nat(en);
    if (last < 0) {
        reply(arg, NULL, NULL);
        return;
    }
    en->nat_detached = true;
    en->ssh_port = 0;
    for (int i = 0; i <= last; i++)
        if (en->nics[i].role == NIC_NAT)
            remove_backend(en, i, i == last ? reply : NULL, arg);
}

// "TCP[HOST_FORWARD]  13       127.0.0.1 41234       10.0.2.15    22     0     0": only the human
// monitor tells which port was picked.
static void on_usernet(void *arg, const json_t *result, const struct err *why)
{
    struct op *op = arg;
    const char *line = json_string_value(result);
    line = line ? strstr(line, "HOST_FORWARD]") : NULL;
    int port = 0;
    if (!line || sscanf(line, "HOST_FORWARD] %*d %*15[0-9.] %d", &port) != 1)
        port = 0;
    op->en->ssh_port = port;
    struct err e;
    if (!why && port == 0) {
        err_set(&e, ERR_FAILED, "QEMU: the port that leads to the guest's ssh is unknown");
        why = &e;
    }
    op_end(op, why);
}

static void ask_port(struct op *op)
{
    qmp_call(op->en->qmp, "human-monitor-command",
             json_pack("{s:s}", "command-line", "info usernet"), -1, on_usernet, op);
}

void nat_ask_port(struct engine *en, engine_done *done, void *arg)
{
    if (last_nat(en) < 0)
        done(arg, NULL);
    else
        ask_port(op_new(en, done, arg));
}

static void on_nat_attached(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    struct op *op = arg;
    if (why) {
        op_end(op, why);
        return;
    }
    op->en->nat_detached = false;
    ask_port(op); // it is another one
}

void nat_attach(struct engine *en, engine_done *done, void *arg)
{
    int last = last_nat(en);
    if (last < 0 || !en->nat_detached) {
        done(arg, NULL);
        return;
    }
    struct op *op = op_new(en, done, arg);
    for (int i = 0; i <= last; i++)
        if (en->nics[i].role == NIC_NAT) {
            remove_backend(en, i, NULL, NULL); // half of one, if this was tried before
            add_backend(en, i, NULL, i == last ? on_nat_attached : NULL, op);
        }
}

enum { REPLUG_MS = 8000 };

struct replug {
    struct op *op;
    int nic;
    struct mac mac;
};

static void replug_end(struct engine *en, const struct err *why)
{
    struct replug *r = TAKE_PTR(en->replug);
    struct op *op = r->op;
    free(r);
    op_end(op, why);
}

void replug_abort(struct engine *en, const struct err *why)
{
    if (en->replug)
        replug_end(en, why);
}

static void on_plugged(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    struct engine *en = arg;
    if (!en->replug)
        return;
    en->nic_gone[en->replug->nic] = why != NULL;
    replug_end(en, why);
}

static void on_unplugged(void *arg, const struct err *why)
{
    struct engine *en = arg;
    struct err e;
    if (why && en->replug) {
        e = *why;
        err_wrap(&e, "a NIC");
        replug_end(en, &e);
    } else if (en->replug) {
        qmp_call(en->qmp, "device_add", nic_device_args(&en->replug->mac, en->replug->nic), -1,
                 on_plugged, en);
    }
}

void nic_replug(struct engine *en, int nic, const struct mac *mac, engine_done *done, void *arg)
{
    struct err e;
    if (qemu_ended(en, done, arg))
        return;
    if (en->replug) {
        err_set(&e, ERR_BUSY, "a NIC is being replaced");
        done(arg, &e);
        return;
    }
    struct replug *r = en->replug = xcalloc(1, sizeof *r);
    *r = (struct replug){.op = op_new(en, done, arg), .nic = nic, .mac = *mac};
    AUTO_FREE char *id = xasprintf("nic%d", nic);
    if (en->nic_gone[nic])
        on_unplugged(en, NULL);
    else
        unplug_device(en, id, REPLUG_MS, on_unplugged, en);
}

void nic_deleted(struct engine *en, const char *device)
{
    for (int i = 0; i < en->nic_count; i++) {
        AUTO_FREE char *id = xasprintf("nic%d", i);
        AUTO_FREE char *number = xasprintf("%d", i);
        if (strcmp(id, device) != 0)
            continue;
        en->nic_gone[i] = true;
        en->callbacks.event(en->callbacks.arg, ENGINE_NIC_GONE, number);
    }
}
