// Options of ssh, and the quotes that it wants around their values.
#include "cli/ssh-config.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "vm/store.h"

// Nothing is asked, nobody is trusted at first sight, and no key of somebody else's is tried.
static const char *const fixed[] = {
    "IdentitiesOnly yes",        "PreferredAuthentications publickey",
    "StrictHostKeyChecking yes", "GlobalKnownHostsFile /dev/null",
    "UpdateHostKeys no",
};

// `quote` around the text; what stands in the text for itself is doubled or escaped.
static char *quoted(char quote, const char *text)
{
    char *out = xcalloc(4 * strlen(text) + 3, 1);
    char *to = out;
    *to++ = quote;
    for (; *text; text++) {
        if (*text == '%') // ssh's own
            to = stpcpy(to, "%%");
        else if (*text == '\'' && quote == '\'')
            to = stpcpy(to, "'\\''");
        else if (strchr("\"\\", *text) && quote == '"')
            to = stpcpy(stpcpy(to, "\\"), (const char[]){*text, 0});
        else
            *to++ = *text;
    }
    *to = quote;
    return out;
}

// A shell's: ssh has one run this.
static char *proxy_command(const struct ssh_target *t)
{
    char *out = xstrdup("ProxyCommand");
    for (int i = 0; t->proxy[i]; i++) {
        AUTO_FREE char *before = out;
        AUTO_FREE char *one = quoted('\'', t->proxy[i]);
        out = xasprintf("%s %s", before, one);
    }
    return out;
}

static void add_file(struct argv *out, const char *key, const struct ssh_target *t,
                     const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", t->directory, name);
    AUTO_FREE char *value = quoted('"', path);
    argv_add(out, "%s %s", key, value);
}

static void options(const struct ssh_target *t, struct argv *out)
{
    AUTO_FREE char *proxy = proxy_command(t);
    argv_add(out, "User %s", t->user);
    add_file(out, "IdentityFile", t, VM_SSH_KEY);
    add_file(out, "UserKnownHostsFile", t, VM_KNOWN_HOSTS);
    argv_add(out, "HostKeyAlias %s", t->id);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv_add(out, "%s", fixed[i]);
    argv_add(out, "%s", proxy);
}

char *ssh_stanza(const struct ssh_target *t)
{
    struct argv all = {0};
    options(t, &all);
    char *out = xasprintf("Host %s\n", t->id);
    for (int i = 0; i < all.n; i++) {
        AUTO_FREE char *before = out;
        out = xasprintf("%s    %s\n", before, all.v[i]);
    }
    argv_free(&all);
    return out;
}

void ssh_words(const struct ssh_target *t, struct argv *out)
{
    struct argv all = {0};
    options(t, &all);
    argv_add(out, "ssh");
    argv_add(out, "-F"); // what is configured for other hosts may say anything
    argv_add(out, "/dev/null");
    argv_add(out, "-o");
    argv_add(out, "BatchMode yes");
    for (int i = 0; i < all.n; i++) {
        argv_add(out, "-o");
        argv_add(out, "%s", all.v[i]);
    }
    argv_free(&all);
}
