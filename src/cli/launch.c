// A Host in the background, and the pipe on which it reports.
#include "cli/launch.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"

enum { LINE_LIMIT = 64 << 10, KEEP_MAX = 4 };

int launch_argv(struct argv *argv, const struct store *s, const char *verb, const char *id,
                struct err *e)
{
    char dir[4096];
    if (os_exe_dir(dir, sizeof dir) < 0)
        return err_sys(e, "cannot find the Host program");
    argv_add(argv, "%s/Host", dir);
    argv_add(argv, "%s", verb);
    argv_add(argv, "--home=%s", s->path);
    argv_add(argv, "--id=%s", id);
    return 0;
}

int launch_start(struct launch *l, const struct store *s, struct argv *argv, int log,
                 const int *keep, int keep_count, struct err *e)
{
    int ends[2];
    int kept[KEEP_MAX + 1];
    *l = (struct launch){.pid = -1, .fd = -1};
    if (pipe_open(ends, e) < 0)
        return -1;
    AUTO_CLOSE int theirs = ends[1];
    l->fd = ends[0];
    argv_add(argv, "--notify-fd=%d", theirs);
    memcpy(kept, keep, (size_t)keep_count * sizeof *keep);
    kept[keep_count] = theirs;
    l->pid = spawn(&(struct spawn){.argv = argv->v,
                                   .in = -1,
                                   .out = log,
                                   .err = log,
                                   .keep = kept,
                                   .keep_count = keep_count + 1,
                                   .cwd_fd = s->fd,
                                   .new_session = true},
                   e);
    argv_free(argv);
    return l->pid < 0 ? -1 : 0;
}

static int unpack(const char *line, json_t **status, struct err *e)
{
    const char *code = NULL;
    const char *message = NULL;
    json_t *report = json_loads(line, 0, NULL);
    *status = json_incref(json_object_get(report, "ok"));
    if (!*status &&
        json_unpack(report, "{s:{s:s, s:s}}", "error", "code", &code, "message", &message) == 0)
        err_set(e, err_code_parse(code), "%s", message);
    else if (!*status)
        err_set(e, ERR_FAILED, "Host said nothing that makes sense");
    json_decref(report);
    return *status ? 1 : -1;
}

int launch_read(struct launch *l, json_t **status, struct err *e)
{
    if (!l->line)
        l->line = xcalloc(1, LINE_LIMIT);
    ssize_t got = read(l->fd, l->line + l->length, LINE_LIMIT - 1 - l->length);
    if (got < 0 && errno == EINTR)
        return 0;
    if (got <= 0)
        return err_set(e, ERR_FAILED, "Host ended without a word");
    l->length += (size_t)got;
    return l->line[l->length - 1] == '\n' ? unpack(l->line, status, e) : 0;
}

void launch_close(struct launch *l)
{
    if (l->fd >= 0)
        close(l->fd);
    free(l->line);
    l->line = NULL;
    l->fd = -1;
}
