// Does this host's hardware virtualization really run instructions? One short measured loop.
//
// The build chooses the files: Linux takes kvm-loop.c and, for the guest in it, kvm-loop-x86_64.c
// or (any other architecture) kvm-loop-none.c; macOS takes kvm-loop-darwin.c alone.
#pragma once

#include <stdbool.h>
#include <time.h>

enum {
    // The loop's length. Where KVM interprets, an iteration costs 0.9–1.5 µs and the loop 90 ms
    // and more; a CPU needs well under 1 ms. The limit lies far from both, so neither a slow CPU
    // nor a fast interpreter falls on the wrong side.
    KVM_LOOP_ITERATIONS = 100000,
    KVM_LOOP_LIMIT_MS = 20,
    // A loop over the limit is run once more: a single pause by a busy host's scheduler must not
    // cost the accelerator until the next boot.
    KVM_LOOP_RUNS = 2,
    // After this the probe is killed, whatever it is doing.
    KVM_LOOP_DEADLINE_MS = 500,
};

enum kvm_loop_state {
    KVM_LOOP_FAILED,     // could not be tried; `why` says what failed
    KVM_LOOP_RAN,        // ended with the right result after `ms`
    KVM_LOOP_WRONG,      // ended, but with a wrong result
    KVM_LOOP_TIMED_OUT,  // did not end
    KVM_LOOP_UNMEASURED, // usable as far as the system says, but nothing was run
};

struct kvm_loop {
    enum kvm_loop_state state;
    double ms;
    char why[120]; // one clause, for KVM_LOOP_FAILED only
};

// Whether the accelerator is there and this process may use it. Costs next to nothing, so it is
// asked again each time; false fills `out` with KVM_LOOP_FAILED and the reason.
bool kvm_loop_present(struct kvm_loop *out);

// Measures, in at most a little more than KVM_LOOP_DEADLINE_MS. The process must have one thread.
void kvm_loop_measure(struct kvm_loop *out);

// The name of this system's accelerator, "kvm" or "hvf".
extern const char kvm_loop_accel[];

// Between kvm-loop.c and the architecture's file: makes a VM on the descriptor of /dev/kvm, runs
// the loop and fills `out`. May hang; runs in a child that is killed. What it opens it leaves open.
void kvm_loop_guest(int kvm, struct kvm_loop *out);

// Sets KVM_LOOP_FAILED with "what: text of errno".
void kvm_loop_failed(struct kvm_loop *out, const char *what);

static inline double kvm_loop_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}
