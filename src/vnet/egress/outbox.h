// Frames that wait until the daemon takes them, in a stream (proto/framing.h). What finds no room
// is lost, as on any network.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox;

struct outbox *outbox_new(int fd);
void outbox_free(struct outbox *o);

// Room for a frame of `n` bytes, which is to be written before the next call. NULL: there is none.
uint8_t *outbox_room(struct outbox *o, size_t n);
// A copy of the frame.
uint8_t *outbox_put(struct outbox *o, const void *frame, size_t n);
// Sends as much as the daemon takes now. 1: more waits; -1: the daemon is gone.
int outbox_flush(struct outbox *o);
