// `tailmac ssh`: the system's ssh into the guest, with a key and host keys that its agent takes
// care of. The connection, too, goes through the agent, to a `sshd -i`: it needs no NIC, no
// address, and no port. Once all is prepared this process becomes ssh.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/live.h"
#include "cli/ssh-config.h"
#include "cli/ssh-key.h"

struct ssh_args {
    const char *user;
    int64_t timeout;
    bool tty, config, proxy;
};

static const struct opt opts[] = {
    {"user", OPT_TEXT, offsetof(struct ssh_args, user), "USER", "whom to log in as (default: root)",
     NULL, 0},
    {"tty", OPT_FLAG, offsetof(struct ssh_args, tty), NULL, "give the command a terminal", NULL,
     't'},
    {"timeout", OPT_DURATION, offsetof(struct ssh_args, timeout), "S",
     "give up after this long without a login (default: 60)", NULL, 0},
    {"config", OPT_FLAG, offsetof(struct ssh_args, config), NULL,
     "log in nowhere, but print what ssh_config(5) wants, for ssh, scp, ansible", NULL, 0},
    {"proxy", OPT_FLAG, offsetof(struct ssh_args, proxy), NULL,
     "no ssh, but its ProxyCommand: join sshd with standard input and output", NULL, 0},
    {0},
};

enum { LOGIN_MS = 60000 };

// A guest that boots for the first time makes its host keys soon.
static const char find_sshd[] =
    "exec 2>&1\n"
    "command -v sshd >/dev/null || { echo 'there is no sshd in the guest'; exit 1; }\n"
    "until cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null; do sleep 1; done\n";

// The line of this VM's key, instead of the one that the guest has from the VM it is a copy of.
static const char authorise[] =
    "exec 2>&1\n"
    "umask 077\n"
    "file=.ssh/authorized_keys\n"
    "cd \"$HOME\" && mkdir -p .ssh || exit\n"
    "grep -qxF \"$1\" $file 2>/dev/null && exit\n"
    "{ grep -v ' tailmac$' $file 2>/dev/null; echo \"$1\"; } >$file.$$ && mv $file.$$ $file\n";

// sshd wants its own absolute name, and a directory that its service makes.
static const char serve[] = "mkdir -p /run/sshd; exec \"$(command -v sshd)\" -i";

static int prepare_host_keys(struct cli *cli, int dirfd, int64_t deadline, struct err *e)
{
    const char *const argv[] = {"sh", "-c", find_sshd, NULL};
    AUTO_FREE char *text = capture(&cli->store, cli->id, argv, NULL, deadline, e);
    AUTO_FREE char *known = text ? ssh_known_hosts(cli->id, text) : NULL;
    if (!text && e->code == ERR_TIMEOUT)
        return err_set(e, ERR_TIMEOUT, "its sshd has no host keys yet");
    if (!text)
        return -1;
    if (!known)
        return err_set(e, ERR_FAILED, "the host keys of its sshd make no sense");
    return file_write_atomic(dirfd, VM_KNOWN_HOSTS, known, strlen(known), false, e);
}

static int prepare_user(struct cli *cli, int dirfd, const char *user, int64_t deadline,
                        struct err *e)
{
    AUTO_FREE char *key = ssh_key(dirfd, e);
    const char *const argv[] = {"sh", "-c", authorise, "sh", key, NULL};
    AUTO_FREE char *said = key ? capture(&cli->store, cli->id, argv, user, deadline, e) : NULL;
    return said ? 0 : -1;
}

// Both ends know each other's keys then.
static int prepare(struct cli *cli, int dirfd, const char *user, int64_t deadline, struct err *e)
{
    if (live_wait_agent(&cli->store, cli->id, deadline, e) < 0)
        return -1;
    if (prepare_host_keys(cli, dirfd, deadline, e) < 0 ||
        prepare_user(cli, dirfd, user, deadline, e) < 0)
        return err_wrap(e, "cannot log in to VM '%s'", cli->id);
    return 0;
}

static int become(char *const *argv, struct err *e)
{
    fflush(stdout);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    execvp(argv[0], argv);
    int code = errno == ENOENT ? ERR_HOST_CANNOT : ERR_FAILED;
    err_sys(e, "cannot start %s", argv[0]);
    e->code = code;
    return -1;
}

// ssh tells its ProxyCommand to hang up, when all that is left to do is to end.
static int become_proxy(const struct cli *cli, const char *self, struct err *e)
{
    const char *const argv[] = {self, "--home", cli->store.path, "exec", cli->id, "--",
                                "sh", "-c",     serve,           NULL};
    signal(SIGHUP, SIG_IGN);
    return become((char *const *)argv, e);
}

static int become_ssh(struct cli *cli, const struct ssh_args *args, const struct ssh_target *target,
                      int64_t deadline, struct err *e)
{
    struct argv a = {0};
    int64_t left = (deadline - clock_ms()) / 1000 + 1;
    ssh_words(target, &a);
    argv_add(&a, "-o");
    argv_add(&a, "ConnectTimeout %d", (int)(left < 1 ? 1 : left));
    if (args->tty)
        argv_add(&a, "-t");
    argv_add(&a, "--");
    argv_add(&a, "%s", cli->id);
    for (int i = 0; i < cli->argc; i++)
        argv_add(&a, "%s", cli->argv[i]);
    become(a.v, e);
    argv_free(&a);
    return -1;
}

static int print_config(const struct ssh_target *target, int dirfd, struct err *e)
{
    AUTO_FREE char *key = ssh_key(dirfd, e); // whose file ssh looks for before it asks the proxy
    AUTO_FREE char *text = ssh_stanza(target);
    if (!key)
        return -1;
    fputs(text, stdout);
    return 0;
}

static int run_with(struct cli *cli, const struct ssh_args *args, int dirfd, struct err *e)
{
    char exe[PATH_MAX];
    int64_t deadline = clock_ms() + (args->timeout < 0 ? LOGIN_MS : args->timeout);
    if (os_exe_dir(exe, sizeof exe) < 0)
        return err_sys(e, "cannot find out where tailmac is");
    AUTO_FREE char *self = xasprintf("%s/tailmac", exe);
    AUTO_FREE char *directory = xasprintf("%s/%s", cli->store.path, cli->id);
    const char *user = args->user ? args->user : "root";
    const char *const proxy[] = {self,     "--home", cli->store.path, "ssh", "--proxy",
                                 "--user", user,     cli->id,         NULL};
    const struct ssh_target target = {cli->id, user, directory, proxy};
    if (args->config)
        return print_config(&target, dirfd, e);
    if (prepare(cli, dirfd, user, deadline, e) < 0)
        return -1;
    return args->proxy ? become_proxy(cli, self, e) : become_ssh(cli, args, &target, deadline, e);
}

static int check(const struct cli *cli, const struct ssh_args *args, struct err *e)
{
    if ((args->config || args->proxy) && (cli->argc > 0 || args->tty))
        return err_set(e, ERR_USAGE, "ssh: --config and --proxy take no command");
    if (args->config && args->proxy)
        return err_set(e, ERR_USAGE, "ssh: --config and --proxy exclude each other");
    if (args->user && (!*args->user || *args->user == '-' || strpbrk(args->user, " \t\"\\'#%\n")))
        return err_set(e, ERR_USAGE, "--user: '%.80s' is no user's name", args->user);
    return 0;
}

static int run_ssh(struct cli *cli, void *args_, struct err *e)
{
    const struct ssh_args *args = args_;
    struct vm vm;
    if (check(cli, args, e) < 0 || vm_open_unread(&cli->store, cli->id, LOCK_NONE, &vm, e) < 0)
        return -1;
    int result = run_with(cli, args, vm.fd, e);
    vm_close(&vm);
    return result;
}

const struct command cmd_ssh = {
    .name = "ssh",
    .summary = "Log in to the guest with ssh, by a key that is made for the VM",
    .plain = "[-- COMMAND [ARG...]]",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct ssh_args),
    .run = run_ssh,
    .rest = true,
};
