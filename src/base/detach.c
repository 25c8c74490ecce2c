// fork, and a pipe by which the child says that it is ready.
#include "base/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/spawn.h"

__attribute__((noreturn)) static void wait_for(pid_t child, int ready)
{
    char byte;
    ssize_t n;
    int status;
    do
        n = read(ready, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : ERR_FAILED);
}

int detach_begin(struct err *e)
{
    int ends[2];
    if (pipe_open(ends, e) < 0)
        return -1;
    AUTO_CLOSE int ready = ends[0];
    AUTO_CLOSE int say = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(e, "cannot go to the background");
    if (pid == 0)
        return TAKE_FD(say);
    close(TAKE_FD(say));
    wait_for(pid, ready);
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int detach_done(int fd, struct err *e)
{
    AUTO_CLOSE int ready = fd;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_sys(e, "cannot open /dev/null");
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (!is_file(STDERR_FILENO))
        dup2(null, STDERR_FILENO);
    void (*was)(int) = signal(SIGPIPE, SIG_IGN);
    bool heard = write(ready, "", 1) == 1;
    signal(SIGPIPE, was);
    return heard ? 0 : err_set(e, ERR_INTERRUPTED, "who started this was ended meanwhile");
}
