// Users of the guest. Read from the files and not by getpwnam(), which in a static program would
// want the C library's plug-ins at run time.
#include "agent/user.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep(char to[static USER_TEXT_MAX], const char *text)
{
    snprintf(to, USER_TEXT_MAX, "%s", text);
}

static bool is_number(const char *text, unsigned long *out)
{
    char *end;

    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *out < (uid_t)-1;
}

// The entry of that name, or of that number where `name` is NULL.
static bool find_entry(const char *name, uid_t uid, struct user *out)
{
    FILE *f = fopen("/etc/passwd", "re");
    const struct passwd *p;
    bool found = false;

    while (f && !found && (p = fgetpwent(f))) {
        found = name ? !strcmp(p->pw_name, name) : p->pw_uid == uid;
        if (!found)
            continue;
        out->uid = p->pw_uid;
        out->gid = p->pw_gid;
        keep(out->name, p->pw_name);
        keep(out->home, *p->pw_dir ? p->pw_dir : "/");
        if (*p->pw_shell)
            keep(out->shell, p->pw_shell);
    }
    if (f)
        fclose(f);
    return found;
}

static bool is_member(const struct group *g, const char *name)
{
    for (char **m = g->gr_mem; *m; m++)
        if (!strcmp(*m, name))
            return true;
    return false;
}

static void find_groups(struct user *u)
{
    FILE *f = fopen("/etc/group", "re");
    const struct group *g;

    u->groups[0] = u->gid;
    u->group_count = 1;
    while (f && u->group_count < USER_GROUPS_MAX && (g = fgetgrent(f)))
        if (g->gr_gid != u->gid && is_member(g, u->name))
            u->groups[u->group_count++] = g->gr_gid;
    if (f)
        fclose(f);
}

int user_find(const char *who, struct user *out)
{
    unsigned long number;
    bool numeric = is_number(who, &number);

    memset(out, 0, sizeof *out);
    keep(out->home, "/");
    keep(out->shell, "/bin/sh");
    if (!find_entry(who, 0, out)) {
        if (!numeric)
            return -1;
        if (!find_entry(NULL, (uid_t)number, out)) {
            out->uid = (uid_t)number;
            out->gid = (gid_t)number;
            keep(out->name, who);
        }
    }
    find_groups(out);
    return 0;
}
