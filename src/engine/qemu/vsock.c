// The guest's vsock device. QEMU cannot save a vhost-user device, so it goes before a save and
// comes back after; its root port stays, as the saved machine has it.
#include <string.h>

#include "engine/qemu/internal.h"

#define DEVICE "vsock0"
#define CHARDEV "vsock0c"

json_t *vsock_device_args(void)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "driver", "vhost-user-vsock-pci", "id", DEVICE,
                     "chardev", CHARDEV, "bus", "rpv");
}

static void on_unplugged(void *arg, const struct err *why)
{
    struct op *op = arg;
    struct engine *en = op->en;
    if (why) {
        op_end(op, why);
        return;
    }
    en->vsock_plugged = false;
    qmp_call(en->qmp, "chardev-remove", json_pack("{s:s}", "id", CHARDEV), -1, op_reply, op);
}

void vsock_unplug(struct engine *en, engine_done *done, void *arg)
{
    if (qemu_ended(en, done, arg))
        return;
    if (en->vsock_plugged)
        unplug_device(en, DEVICE, en->machine.unplug_ms, on_unplugged, op_new(en, done, arg));
    else
        done(arg, NULL);
}

static void on_plugged(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    struct op *op = arg;
    if (why)
        op->en->vsock_plugged = false;
    op_end(op, why);
}

void vsock_plug(struct engine *en, int fd, engine_done *done, void *arg)
{
    if (qemu_ended(en, done, arg))
        return;
    en->vsock_plugged = true; // already: an unplug from now on comes after this
    qmp_call(en->qmp, "getfd", json_pack("{s:s}", "fdname", "vsock0fd"), fd, NULL, NULL);
    qmp_call(en->qmp, "chardev-add",
             json_pack("{s:s, s:{s:s, s:{s:{s:s, s:{s:s}}, s:b}}}", "id", CHARDEV, "backend",
                       "type", "socket", "data", "addr", "type", "fd", "data", "str", "vsock0fd",
                       "server", 0),
             -1, NULL, NULL);
    qmp_call(en->qmp, "device_add", vsock_device_args(), -1, on_plugged,
             op_new(en, done, arg)); // fails when a line above did
}

// The guest agreed after vsock_unplug() had given up.
static void on_late_removed(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    const struct engine *en = arg;
    if (!why)
        en->callbacks.event(en->callbacks.arg, ENGINE_VSOCK_GONE, NULL);
}

void vsock_deleted(struct engine *en, const char *device)
{
    if (!en->vsock_plugged || strcmp(device, DEVICE) != 0)
        return;
    en->vsock_plugged = false;
    qmp_call(en->qmp, "chardev-remove", json_pack("{s:s}", "id", CHARDEV), -1, on_late_removed, en);
}
