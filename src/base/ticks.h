// The rate of the CPU's time-stamp counter, by which an emulated x86 guest tells the time: QEMU
// hands the host's counter through (target/i386, cpu_get_tsc), so a guest that measured it once
// must find the same rate again.
#pragma once

#include <stdint.h>

struct ticks {
    uint64_t count;
    int64_t ns; // CLOCK_MONOTONIC
};

struct ticks ticks_now(void);
// Counts per millisecond since `start`; 0 on a CPU that has no such counter. Good to 0.1 % when
// 10 ms or more have passed.
int64_t ticks_khz(struct ticks start);
