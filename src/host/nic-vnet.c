// Asking vnet for a plug: its greeting, a socket pair, its answer.
#include "host/nic-vnet.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/text.h"
#include "proto/caller.h"
#include "proto/datagram.h"
#include "proto/line.h"
#include "proto/unix.h"
#include "proto/vnet.h"

enum { PATIENCE_S = 1 };

struct nic_vnet {
    struct nic_vnet_client client;
    struct caller *caller;
    struct event *tell; // that something changed; or the end of our patience
    enum nic_vnet_state state;
    bool greeted;
    int fd; // of the stream; -1: none yet
    int plug;
    char *why;
};

// Not at once: whoever is told may close, and we are in the middle of a line of its.
static void become(struct nic_vnet *v, enum nic_vnet_state state)
{
    v->state = state;
    event_active(v->tell, EV_TIMEOUT, 0);
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct nic_vnet *v = arg;
    if (v->state == NIC_VNET_ASKING && !v->greeted)
        v->state = NIC_VNET_STRANGER;
    v->client.changed(v->client.arg);
}

static void refuse(struct nic_vnet *v, const char *why)
{
    free(v->why);
    v->why = xstrdup(why);
    text_clean(v->why);
    become(v, NIC_VNET_REFUSED);
}

static void on_plug(void *arg, const json_t *ok, const struct err *why)
{
    struct nic_vnet *v = arg;
    v->plug = (int)json_integer_value(json_object_get(ok, "plug"));
    if (ok)
        become(v, NIC_VNET_PLUGGED);
    else
        refuse(v, why->msg);
}

static void ask(struct nic_vnet *v)
{
    char mac[MAC_TEXT];
    int ends[2];
    struct err e;
    if (unix_pair(ends, &e) < 0) {
        refuse(v, e.msg);
        return;
    }
    AUTO_CLOSE int theirs = ends[1];
    v->fd = ends[0];
    mac_format(&v->client.mac, mac);
    caller_send(v->caller, "plug",
                json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "verb", "plug", "args", "kind", "stream",
                          "path", v->client.path, "mac", mac, "name", v->client.name),
                theirs, on_plug, v);
}

static bool serves(const json_t *hello, const char *server)
{
    const char *who = json_string_value(json_object_get(hello, "hello"));
    const char *listen = json_string_value(json_object_get(hello, "listen"));
    struct socket_file a;
    struct socket_file b;
    if (!who || strcmp(who, "tailmac-vnet") != 0 || !listen ||
        json_integer_value(json_object_get(hello, "version")) != 1)
        return false;
    return strcmp(listen, server) == 0 ||
           (socket_file_find(listen, &a) && socket_file_find(server, &b) &&
            socket_file_same(&a, &b)); // a symbolic link
}

// Not only at somebody's word: vnet ends a stream that it cannot make out, too.
static void on_event(struct nic_vnet *v, const json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    const char *reason = json_string_value(json_object_get(line, "reason"));
    if (v->state == NIC_VNET_PLUGGED && event && strcmp(event, "unplug") == 0 &&
        json_integer_value(json_object_get(line, "plug")) == v->plug)
        refuse(v, reason ? reason : "unplugged");
}

static void on_line(void *arg, const json_t *line)
{
    struct nic_vnet *v = arg;
    if (v->greeted) {
        on_event(v, line);
        return;
    }
    v->greeted = true;
    if (!serves(line, v->client.server)) {
        become(v, NIC_VNET_STRANGER);
        return;
    }
    ask(v);
}

static void on_lost(void *arg)
{
    struct nic_vnet *v = arg;
    if (v->state != NIC_VNET_STRANGER)
        become(v, v->greeted ? NIC_VNET_LOST : NIC_VNET_STRANGER);
}

char *nic_vnet_control(const char *server)
{
    return xasprintf("%s" VNET_CONTROL_SUFFIX, server);
}

static int connect_control(const char *server)
{
    AUTO_FREE char *path = nic_vnet_control(server);
    AUTO_CLOSE int fd = unix_connect_now(path);
    if (fd >= 0 && !unix_peer_allowed(fd)) // anybody may make a socket of that name in /tmp
        return -1;
    return TAKE_FD(fd);
}

struct nic_vnet *nic_vnet_open(struct event_base *base, const struct nic_vnet_client *client)
{
    int fd = connect_control(client->server);
    if (fd < 0)
        return NULL;
    struct nic_vnet *v = xcalloc(1, sizeof *v);
    const struct caller_handlers handlers = {
        .unpack = line_unpack, .line = on_line, .lost = on_lost, .arg = v, .who = "vnet"};
    v->client = *client;
    v->fd = -1;
    v->client.server = xstrdup(client->server);
    v->client.path = xstrdup(client->path);
    v->client.name = xstrdup(client->name);
    v->tell = evtimer_new(base, on_tell, v);
    event_add(v->tell, &(struct timeval){.tv_sec = PATIENCE_S});
    v->caller = caller_new(base, fd, &handlers);
    return v;
}

void nic_vnet_close(struct nic_vnet *v)
{
    if (!v)
        return;
    caller_free(v->caller);
    event_free(v->tell);
    if (v->fd >= 0)
        close(v->fd);
    free((char *)v->client.server);
    free((char *)v->client.path);
    free((char *)v->client.name);
    free(v->why);
    free(v);
}

enum nic_vnet_state nic_vnet_state(const struct nic_vnet *v)
{
    return v->state;
}

const char *nic_vnet_why(const struct nic_vnet *v)
{
    return v->why;
}

int nic_vnet_fd(const struct nic_vnet *v)
{
    return v->fd;
}

int nic_vnet_plug(const struct nic_vnet *v)
{
    return v->plug;
}
