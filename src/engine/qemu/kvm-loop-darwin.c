// The accelerator of macOS: the system says whether Hypervisor.framework can be used. Nothing is
// run, since that would take an entitlement that only the engine has.
#include "engine/qemu/kvm-loop.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/sysctl.h>

const char kvm_loop_accel[] = "hvf";

bool kvm_loop_present(struct kvm_loop *out)
{
    int support = 0;
    size_t size = sizeof support;
    if (sysctlbyname("kern.hv_support", &support, &size, NULL, 0) == 0 && support == 1)
        return true;
    *out = (struct kvm_loop){.state = KVM_LOOP_FAILED};
    snprintf(out->why, sizeof out->why,
             "this Mac cannot use Hypervisor.framework: kern.hv_support is not 1");
    return false;
}

void kvm_loop_measure(struct kvm_loop *out)
{
    if (kvm_loop_present(out))
        *out = (struct kvm_loop){.state = KVM_LOOP_UNMEASURED};
}
