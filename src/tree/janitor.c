// The janitor waits for the end of a pipe that nobody writes to, which is the end of its maker.
#include "tree/janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/spawn.h"

// Pipes of a maker that is killed must end with it.
static void let_go_of_stdio(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
}

static int wait_for_end(int pipe)
{
    char byte;
    ssize_t n;
    while ((n = read(pipe, &byte, 1)) < 0 && errno == EINTR)
        ;
    return n == 0 ? 0 : -1;
}

// Neither ^C nor what kills the maker with its session is for it.
static void be_janitor(int ready, int life, int dir, const char *name)
{
    struct err e;
    setsid();
    let_go_of_stdio();
    close(ready);
    wait_for_end(life);
    _exit(tree_remove(dir, name, &e) < 0);
}

int janitor_start(struct janitor *j, int dir, const char *name, struct err *e)
{
    int ready[2];
    int life[2];
    if (pipe_open(ready, e) < 0)
        return -1;
    if (pipe_open(life, e) < 0) {
        close(ready[0]);
        close(ready[1]);
        return -1;
    }
    j->pid = fork();
    if (j->pid == 0) {
        close(life[1]);
        be_janitor(ready[1], life[0], dir, name);
    }
    close(ready[1]);
    close(life[0]);
    j->fd = life[1];
    int result = j->pid < 0 ? err_sys(e, "cannot fork") : wait_for_end(ready[0]);
    close(ready[0]);
    if (j->pid < 0)
        close(j->fd);
    return result;
}

void janitor_end(struct janitor *j)
{
    close(j->fd);
    while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
