// `tailmac console`: the guest's serial console on this terminal, or on a pipe.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "proto/unix.h"

enum {
    DETACH_KEY = 0x1d, // ^]
    QUIET_MS = 1000,   // no output for so long after the end of a piped input: it was answered
};

// Keys to the guest. 0: go on; 1: the user leaves.
static int send_keys(int fd, const struct terminal *t, struct err *e)
{
    char keys[4096];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0)
        return 1;
    for (ssize_t i = 0; t->raw && i < n; i++)
        if (keys[i] == DETACH_KEY)
            return 1;
    return fd_write_all(fd, keys, (size_t)n, e);
}

static int show(int fd, struct err *e)
{
    char text[16384];
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0)
        return 1; // the VM ended
    return fd_write_all(STDOUT_FILENO, text, (size_t)n, e);
}

static int relay(int fd, const struct terminal *t, struct err *e)
{
    bool input_ended = false;
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
        int n = poll(p, input_ended ? 1 : 2, input_ended ? QUIET_MS : -1);
        if (n < 0 && errno != EINTR)
            return err_sys(e, "cannot wait for the console");
        if (n == 0)
            return 0;
        int end = n > 0 && p[0].revents ? show(fd, e) : 0;
        if (end == 0 && n > 0 && !input_ended && p[1].revents) {
            int keys = send_keys(fd, t, e);
            input_ended = keys == 1 && !t->raw;
            end = input_ended ? 0 : keys;
        }
        if (end)
            return end < 0 ? -1 : 0;
    }
}

static int run_console(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    struct vm vm;
    bool absent;
    if (vm_open_unread(&cli->store, cli->id, LOCK_NONE, &vm, e) < 0)
        return -1;
    vm_close(&vm);
    AUTO_FREE char *path = NULL;
    if (runtime_path(&cli->store, cli->id, RUNTIME_CONSOLE, &path, e) < 0)
        return -1;
    AUTO_CLOSE int fd = unix_connect(path, &absent, e);
    if (fd < 0 && absent)
        return err_set(e, ERR_NOT_RUNNING, "VM '%s' is not running", cli->id);
    if (fd < 0)
        return -1;
    struct terminal terminal;
    terminal_raw(&terminal);
    if (terminal.raw)
        fputs("(the console; ^] leaves it)\r\n", stderr);
    int result = relay(fd, &terminal, e);
    terminal_restore(&terminal);
    if (terminal.raw)
        fputs("\n", stderr);
    return result;
}

const struct command cmd_console = {
    .name = "console",
    .summary = "Use the guest's serial console; ^] leaves it",
    .id = ID_REQUIRED,
    .run = run_console,
};
