// A plug in our vnet, and a stream that leads to it.
//
// Beside its datagram socket PATH a vnet has a control socket, PATH.ctl, which takes one end of a
// socket pair with the request for a plug. The plug lasts as long as the control connection, so
// the end of that says at once that vnet is gone.
#pragma once

#include <event2/event.h>

#include "base/parse.h"

struct nic_vnet;

enum nic_vnet_state {
    NIC_VNET_ASKING,   // who it is, or for the plug
    NIC_VNET_STRANGER, // it is not the vnet of this path, or says nothing
    NIC_VNET_PLUGGED,  // frames flow
    NIC_VNET_REFUSED,  // or unplugged: nic_vnet_why(); it stays so until vnet ends
    NIC_VNET_LOST,     // vnet ended
};

struct nic_vnet_client {
    const char *server; // the vnet's datagram socket; copied
    const char *path;   // the NIC's own, by which vnet names it; copied
    const char *name;   // copied
    struct mac mac;
    // The state is another, or a second is over and it is still ASKING. May close.
    void (*changed)(void *arg);
    void *arg;
};

// The control socket's path; the caller frees.
char *nic_vnet_control(const char *server);

// NULL: nobody listens at the control socket.
struct nic_vnet *nic_vnet_open(struct event_base *base, const struct nic_vnet_client *client);
void nic_vnet_close(struct nic_vnet *v); // vnet takes it as an unplugging

enum nic_vnet_state nic_vnet_state(const struct nic_vnet *v);
const char *nic_vnet_why(const struct nic_vnet *v);
int nic_vnet_fd(const struct nic_vnet *v);   // once PLUGGED: the stream
int nic_vnet_plug(const struct nic_vnet *v); // the plug's number
