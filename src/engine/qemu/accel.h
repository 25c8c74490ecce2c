// Which accelerator QEMU gets on this host, and why.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "engine/qemu/kvm-loop.h"

enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_HVF, ACCEL_TCG };

struct accel_choice {
    enum accel accel; // never ACCEL_AUTO
    char why[200];    // one sentence without a full stop, for `doctor` and `status`
    double loop_ms;   // what the probe's loop took; 0 when none was run to its end
    bool cached;      // measured earlier since this boot
};

const char *accel_name(enum accel accel);                          // "auto", "kvm", …
int accel_parse(const char *text, enum accel *out, struct err *e); // ERR_USAGE

// Chooses for a guest of architecture `guest_arch` ("x86_64", "aarch64"). ACCEL_AUTO takes the
// system's accelerator where it runs instructions at a CPU's speed, else TCG. An accelerator that
// was asked for by name and cannot be used is ERR_HOST_CANNOT with the reason, never replaced.
//
// The measurement (up to half a second) is kept until the next boot in `runtime_dir`; NULL measures
// afresh and keeps nothing. A cache that cannot be read or written is no error.
int accel_choose(enum accel wanted, const char *guest_arch, const char *runtime_dir,
                 struct accel_choice *out, struct err *e);

// The parts of accel_choose(), apart so that each can be tested on any host.

// `native` is the system's accelerator, `loop` its measurement (not looked at when `wanted` is
// ACCEL_TCG or the architectures differ).
struct accel_host {
    const char *arch;
    enum accel native;
};
int accel_decide(enum accel wanted, const char *guest_arch, const struct accel_host *host,
                 const struct kvm_loop *loop, struct accel_choice *out, struct err *e);

// Only measurements are kept: a device that is missing or refused may be put right before the next
// boot, and looking again costs nothing. False: nothing usable there.
bool accel_cache_load(const char *runtime_dir, const char *boot_id, struct kvm_loop *out);
void accel_cache_store(const char *runtime_dir, const char *boot_id, const struct kvm_loop *loop);
