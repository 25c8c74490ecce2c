// Keys, made by ssh-keygen. Who comes second uses what the first one made.
#include "cli/ssh-key.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/spawn.h"
#include "vm/store.h"

enum { KEY_TEXT = 1024, HOST_KEYS_MAX = 16 };

static int keygen(int dirfd, const char *const *args, char *out, struct err *e)
{
    struct argv a = {0};
    argv_add(&a, "ssh-keygen");
    for (int i = 0; args[i]; i++)
        argv_add(&a, "%s", args[i]);
    int result = spawn_run(&(struct spawn){.argv = a.v, .cwd_fd = dirfd}, out, KEY_TEXT, e);
    argv_free(&a);
    return result < 0 ? err_wrap(e, "cannot make or read a key for ssh") : 0;
}

static int sync_file(int dirfd, const char *name, struct err *e)
{
    AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? err_sys(e, "cannot sync %s", name) : 0;
}

static int make(int dirfd, struct err *e)
{
    uint32_t random;
    char said[KEY_TEXT];
    os_random(&random, sizeof random);
    AUTO_FREE char *temp = xasprintf(".%s.%08x", VM_SSH_KEY, random);
    AUTO_FREE char *public = xasprintf("%s.pub", temp);
    const char *const args[] = {"-q", "-t", "ed25519", "-N", "", "-C", "tailmac", "-f", temp, NULL};
    int result = keygen(dirfd, args, said, e) < 0 || sync_file(dirfd, temp, e) < 0 ? -1 : 0;
    if (result == 0 && os_rename_exclusive(dirfd, temp, dirfd, VM_SSH_KEY) < 0 && errno != EEXIST)
        result = err_sys(e, "cannot name %s", VM_SSH_KEY);
    unlinkat(dirfd, public, 0);
    unlinkat(dirfd, temp, 0);
    return result;
}

char *ssh_key(int dirfd, struct err *e)
{
    char line[KEY_TEXT];
    const char *const args[] = {"-y", "-P", "", "-f", VM_SSH_KEY, NULL};
    if (faccessat(dirfd, VM_SSH_KEY, F_OK, 0) < 0 && make(dirfd, e) < 0)
        return NULL;
    if (keygen(dirfd, args, line, e) < 0)
        return NULL;
    char *type = strtok(line, " \n");
    char *key = strtok(NULL, " \n");
    return xasprintf("%s %s tailmac", type ? type : "", key ? key : "");
}

// The length of a word of these characters at `s`, which ends with `end` or a blank; 0: none.
static size_t word(const char *s, const char *more, const char *ends)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (s[n] && strchr(more, s[n])))
        n++;
    return strchr(ends, s[n]) ? n : 0; // the end of the text, too
}

char *ssh_known_hosts(const char *name, const char *text)
{
    char *out = NULL;
    for (int count = 0; *text && count < HOST_KEYS_MAX; text += strcspn(text, "\n")) {
        text += strspn(text, "\n");
        size_t type = word(text, "@.-", " ");
        size_t key = type && text[type] ? word(text + type + 1, "+/=", " \n") : 0;
        if (key == 0)
            continue;
        char *longer = xasprintf("%s%s %.*s\n", out ? out : "", name, (int)(type + 1 + key), text);
        free(out);
        out = longer;
        count++;
    }
    return out;
}
