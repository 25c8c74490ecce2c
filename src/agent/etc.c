// Files of /etc. Each is replaced in one step: its readers see the old one or the new one.
#include "agent/etc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOSTNAME "/etc/hostname"
#define MACHINE_ID "/etc/machine-id"
#define DBUS_ID "/var/lib/dbus/machine-id"
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_MAX 65536

#define NAME_MAX_LENGTH 64 // sethostname(2)
#define ID_LENGTH 32

static int write_all(int fd, const char *text, mode_t mode)
{
    size_t n = strlen(text);
    ssize_t written = write(fd, text, n);

    if (written >= 0 && (size_t)written < n)
        errno = ENOSPC;
    return written == (ssize_t)n ? fchmod(fd, mode) : -1;
}

static int replace(const char *path, const char *text, mode_t mode, char why[static WHY_MAX])
{
    char draft[64];
    int fd, rc, error;

    snprintf(draft, sizeof draft, "%s.tailmac", path);
    unlink(draft); // of an agent that was killed
    fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return why_not(why, "%s: %s", path, strerror(errno));
    rc = write_all(fd, text, mode);
    if (rc == 0)
        rc = rename(draft, path);
    error = errno;
    close(fd);
    if (rc == 0)
        return 0;
    unlink(draft);
    return why_not(why, "%s: %s", path, strerror(error));
}

static bool is_file(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

// --- hostname ---

static bool is_hostname(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > NAME_MAX_LENGTH || !isalnum((unsigned char)name[0]))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '-' && *name != '.')
            return false;
    return true;
}

int etc_set_nodename(const char *name, char why[static WHY_MAX])
{
    if (!is_hostname(name))
        return why_not(why, "not a host name");
    return sethostname(name, strlen(name)) == 0 ? 0 : why_not(why, "%s", strerror(errno));
}

int etc_set_hostname(const char *name, char why[static WHY_MAX])
{
    char line[NAME_MAX_LENGTH + 2];

    if (etc_set_nodename(name, why) != 0)
        return -1;
    snprintf(line, sizeof line, "%s\n", name);
    return is_file(HOSTNAME) ? replace(HOSTNAME, line, 0644, why) : 0;
}

// --- machine-id ---

int etc_set_machine_id(const char *id, char why[static WHY_MAX])
{
    char line[ID_LENGTH + 2];

    if (strlen(id) != ID_LENGTH || strspn(id, "0123456789abcdef") != ID_LENGTH)
        return why_not(why, "not %d hexadecimal digits", ID_LENGTH);
    snprintf(line, sizeof line, "%s\n", id);
    if (replace(MACHINE_ID, line, 0444, why) != 0)
        return -1;
    // Usually a link to the other one.
    return is_file(DBUS_ID) ? replace(DBUS_ID, line, 0444, why) : 0;
}

// --- resolv.conf ---

static bool has_keyword(const char *line, const char *word)
{
    size_t n = strlen(word);

    return !strncmp(line, word, n) && (line[n] == ' ' || line[n] == '\t');
}

// The file without the lines of either keyword.
static void read_others(char out[static RESOLV_MAX], const char *word, const char *other)
{
    FILE *f = fopen(RESOLV_CONF, "re");
    char line[512];
    size_t used = 0;

    out[0] = '\0';
    if (!f)
        return;
    while (fgets(line, sizeof line, f) && used + sizeof line < RESOLV_MAX / 2)
        if (!has_keyword(line, word) && !has_keyword(line, other))
            used += (size_t)snprintf(out + used, RESOLV_MAX - used, "%s%s", line,
                                     strchr(line, '\n') ? "" : "\n");
    fclose(f);
}

// A link belongs to systemd-resolved or resolvconf, which would not know of it.
static int check_resolv_conf(char why[static WHY_MAX])
{
    char to[128];
    ssize_t n = readlink(RESOLV_CONF, to, sizeof to - 1);

    if (n < 0)
        return 0;
    to[n] = '\0';
    return why_not(why, RESOLV_CONF " is a link to %s, which another program makes", to);
}

static int replace_lines(const char *word, const char *other, const char *lines,
                         char why[static WHY_MAX])
{
    static char text[RESOLV_MAX];
    size_t used;

    if (check_resolv_conf(why) != 0)
        return -1;
    read_others(text, word, other);
    used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s", lines);
    return replace(RESOLV_CONF, text, 0644, why);
}

int etc_set_dns(const char *servers, char why[static WHY_MAX])
{
    char lines[2048], list[1024];
    char *rest = list;
    size_t used = 0;

    snprintf(list, sizeof list, "%s", servers);
    for (char *one; (one = strsep(&rest, " ")) && used < sizeof lines;)
        if (*one)
            used += (size_t)snprintf(lines + used, sizeof lines - used, "nameserver %s\n", one);
    if (used == 0 || used >= sizeof lines)
        return why_not(why, "no servers, or too many");
    return replace_lines("nameserver", "nameserver", lines, why);
}

int etc_set_search(const char *domains, char why[static WHY_MAX])
{
    char line[1100];

    snprintf(line, sizeof line, "search %s\n", domains);
    return replace_lines("search", "domain", line, why);
}
