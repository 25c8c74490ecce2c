// Every command of tailmac, in the order of `tailmac help`.
#include "cli/cli.h"

extern const struct command cmd_attach, cmd_clone, cmd_completion, cmd_configure, cmd_console,
    cmd_cp, cmd_create, cmd_delete, cmd_detach, cmd_doctor, cmd_exec, cmd_fork, cmd_guest, cmd_halt,
    cmd_help, cmd_ip, cmd_logs, cmd_ls, cmd_net, cmd_pause, cmd_pool, cmd_ps, cmd_release,
    cmd_resume, cmd_run, cmd_ssh, cmd_status, cmd_stop, cmd_version, cmd_wait;

const struct command *const commands[] = {
    &cmd_create, &cmd_clone, &cmd_configure, &cmd_delete,     &cmd_ls,      &cmd_ps,
    &cmd_status, &cmd_run,   &cmd_fork,      &cmd_pool,       &cmd_release, &cmd_stop,
    &cmd_halt,   &cmd_wait,  &cmd_pause,     &cmd_resume,     &cmd_attach,  &cmd_detach,
    &cmd_exec,   &cmd_cp,    &cmd_ssh,       &cmd_guest,      &cmd_ip,      &cmd_console,
    &cmd_logs,   &cmd_net,   &cmd_doctor,    &cmd_completion, &cmd_help,    &cmd_version,
    NULL,
};
