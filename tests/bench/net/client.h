// What the bench's clients have in common: frames, times, the relay's processor time.
#pragma once

#include <stdint.h>

enum { FRAME_MAX = 16384 };

// An Ethernet frame for client `to` of client `from`, IPv4 by its type and nothing by its content.
// The bench's MACs are 52:bb:00:00:NN:NN; routers speak with others.
void frame_make(uint8_t *frame, unsigned to, unsigned from);
int frame_is_ours(const uint8_t *frame);

uint64_t now_ns(void);
void sleep_until(uint64_t ns);

// Processor time of a process so far; 0 where it cannot be read.
uint64_t cpu_ns(int pid);

// Ends the program with a word on what is wrong.
void die(const char *what) __attribute__((noreturn));
