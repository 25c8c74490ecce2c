// Copies, as the commands that they are to Host: a tree on standard input or output.
#include "agent/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "tree/janitor.h"
#include "tree/tree.h"

static ssize_t read_input(void *arg, void *to, size_t n, struct err *e)
{
    ssize_t got;

    while ((got = read(STDIN_FILENO, to, n)) < 0)
        if (errno != EINTR)
            return err_sys(e, "cannot read what is copied");
    return got;
}

static int write_output(void *arg, const void *data, size_t n, struct err *e)
{
    return fd_write_all(STDOUT_FILENO, data, n, e);
}

static const struct tree_io stdio = {.read = read_input, .write = write_output};

static int tell(int result, const struct err *e)
{
    if (result < 0)
        fprintf(stderr, "%s\n", e->msg);
    return result < 0;
}

int copy_send(const char *path)
{
    struct tree_count count;
    struct err e;

    signal(SIGPIPE, SIG_IGN);
    return tell(tree_send(path, &stdio, &count, &e), &e);
}

// What a guest that was halted left is nobody's any more on a disk that is its own. Of its errors
// nothing depends.
static int remove_stale(void *arg, const char *name, struct err *e)
{
    const int *dir = arg;
    struct err ignored;
    struct stat st;

    (void)e;
    if (tree_place_is_stale(name) && fstatat(*dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_uid == geteuid() && major(st.st_dev) != 0)
        tree_remove(*dir, name, &ignored);
    return 0;
}

// The disk is a VM's, which may be halted at any time: nothing may get its name before it is there.
static int receive(struct tree_place *place, struct err *e)
{
    struct tree_count count;
    struct janitor janitor;
    int result;

    place->sync = syncfs;
    dir_each(place->dir, remove_stale, &place->dir, e);
    if (janitor_start(&janitor, place->dir, place->temporary, e) < 0)
        return -1;
    result = tree_receive(place, &stdio, &count, e);
    janitor_end(&janitor);
    return result;
}

int copy_receive(const char *path, const char *name)
{
    struct tree_place place;
    struct err e;
    int result = tree_place_open(&place, path, name, &e);

    if (result == 0)
        result = receive(&place, &e);
    tree_place_close(&place);
    return tell(result, &e);
}
