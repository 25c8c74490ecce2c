// The end of a command and of what it has started. A shell with job control gives each of its jobs
// a process group of its own, but they stay in the command's session. What has left that, as a
// daemon does, goes on.
#include "agent/command.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void command_kill(pid_t pid)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;

    kill(pid, SIGKILL); // it may not have its session yet
    kill(-pid, SIGKILL);
    if (!proc)
        return;
    // They come by their numbers, so what is forked meanwhile is as a rule still to come.
    while ((entry = readdir(proc))) {
        pid_t one = (pid_t)strtol(entry->d_name, NULL, 10);

        if (one > 0 && getsid(one) == pid)
            kill(one, SIGKILL);
    }
    closedir(proc);
}
