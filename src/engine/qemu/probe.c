// What QEMU on this host can do, for `tailmac doctor`.
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/qemu/internal.h"

static void add(json_t *checks, const char *name, bool ok, const char *detail)
{
    json_array_append_new(checks,
                          json_pack("{s:s, s:b, s:s}", "name", name, "ok", ok, "detail", detail));
}

// The first line of `binary --version`; false where there is no such program.
static bool version_of(const char *binary, char *line, size_t n)
{
    int ends[2];
    struct err e;
    if (pipe_open(ends, &e) < 0)
        return false;
    AUTO_CLOSE int in = ends[0];
    AUTO_CLOSE int out = ends[1];
    char *argv[] = {(char *)binary, (char *)"--version", NULL};
    pid_t pid =
        spawn(&(struct spawn){.argv = argv, .in = -1, .out = out, .err = -1, .cwd_fd = -1}, &e);
    close(TAKE_FD(out));
    if (pid < 0) {
        snprintf(line, n, "%.200s", e.msg);
        return false;
    }
    AUTO_FCLOSE FILE *f = fdopen(TAKE_FD(in), "r");
    bool told = f && fgets(line, (int)n, f);
    waitpid(pid, NULL, 0);
    if (!told)
        snprintf(line, n, "%s --version says nothing", binary);
    line[strcspn(line, "\n")] = 0;
    return told;
}

bool qemu_probe(const char *runtime, json_t *checks)
{
    const char *arch;
    const char *binary;
    char line[512];
    bool able = false;
    for (int i = 0; machine_known(i, &arch, &binary); i++) {
        bool there = version_of(binary, line, sizeof line);
        add(checks, binary, there, line);
        able |= there;
        struct accel_choice choice;
        struct err e;
        char name[64];
        snprintf(name, sizeof name, "%s guests", arch);
        if (there && accel_choose(ACCEL_AUTO, arch, runtime, &choice, &e) == 0) {
            snprintf(line, sizeof line, "%s: %s", accel_name(choice.accel), choice.why);
            add(checks, name, true, line);
        }
    }
    return able;
}
