// A guest to another engine: its whole state, memory included, through QEMU's migration stream. So
// the memory of a fork, which is nobody's but its own, gets into one that can be saved.
#include "base/cleanup.h"
#include "engine/qemu/internal.h"

// QEMU would else write no more than 128 MiB a second.
#define BANDWIDTH (1LL << 40)

void ram_in_stream(struct engine *en, bool is)
{
    qmp_call(en->qmp, "migrate-set-capabilities",
             json_pack("{s:[{s:s, s:b}]}", "capabilities", "capability", "x-ignore-shared", "state",
                       !is),
             -1, NULL, NULL);
}

void send_end(struct engine *en, const struct err *why)
{
    struct op *op = TAKE_PTR(en->sending);
    en->migrating = false;
    if (op)
        op_end(op, why);
}

void send_over(struct engine *en, bool completed)
{
    struct err e;
    if (!completed)
        err_set(&e, ERR_FAILED, "QEMU could not hand over the guest's state");
    send_end(en, completed ? NULL : &e);
}

static void on_sent(void *arg, const json_t *result, const struct err *why)
{
    (void)result;
    if (why)
        send_end(arg, why);
}

static void ignore(void *arg, const json_t *result, const struct err *why)
{
    (void)arg;
    (void)result;
    (void)why;
}

void qemu_send(struct engine *en, int fd, engine_done *done, void *arg)
{
    if (qemu_ended(en, done, arg))
        return;
    en->sending = op_new(en, done, arg);
    en->migrating = true;
    nat_detach(en, ignore, NULL); // its state would be a section of its own
    ram_in_stream(en, true);
    qmp_call(en->qmp, "migrate-set-parameters",
             json_pack("{s:I}", "max-bandwidth", (json_int_t)BANDWIDTH), -1, NULL, NULL);
    qmp_call(en->qmp, "getfd", json_pack("{s:s}", "fdname", "state"), fd, NULL, NULL);
    qmp_call(en->qmp, "migrate", json_pack("{s:s}", "uri", "fd:state"), -1, on_sent, en);
}
