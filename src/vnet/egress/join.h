// TCP segments that follow each other become one: libslirp writes to a socket for each that it
// gets, and acknowledges each.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Appends what `next` carries to the frame, which has room for `room` bytes, and takes over what it
// acknowledges. Returns how long the frame is now; 0, and nothing is changed, where the receiver
// could tell the difference. A wrong checksum of either makes a wrong one.
size_t join_segment(uint8_t *frame, size_t n, size_t room, const uint8_t *next, size_t size);
