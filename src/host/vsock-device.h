// The virtio-vsock device: a vhost-user back end (QEMU, docs/interop/vhost-user.rst) over a socket
// pair, whose other end the engine has. It moves packets between the guest's two rings and the
// connections; the third ring, of events, is the engine's own.
#pragma once

#include <event2/event.h>

#include "host/vsock-links.h"

struct vsock_device;

struct vsock_device *vsock_device_new(struct event_base *base, struct links *links, uint32_t cid);
void vsock_device_free(struct vsock_device *d);

// A fresh device for an engine that speaks through this socket (taken, non-blocking). What was
// plugged before is let go of, connections end.
void vsock_device_plug(struct vsock_device *d, int fd);
// There is something to give to the guest.
void vsock_device_pump(struct vsock_device *d);
