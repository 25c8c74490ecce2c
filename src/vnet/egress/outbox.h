// Datagrams that wait until the daemon takes them. What finds no room is lost, as on any network.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox;

struct outbox *outbox_new(int fd, size_t datagram_max);
void outbox_free(struct outbox *o);

// A copy of the datagram waits, and may be changed until the next call. NULL: no room.
uint8_t *outbox_put(struct outbox *o, const void *data, size_t n);
// Sends as many as the daemon takes now. 1: others wait; -1: the daemon is gone.
int outbox_flush(struct outbox *o);
