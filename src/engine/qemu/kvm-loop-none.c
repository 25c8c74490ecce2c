// The probe's guest on Linux where no loop is written for the architecture: a VM can be created or
// not. Its speed is not measured; a KVM that interprets has only been met on x86_64.
#include "engine/qemu/kvm-loop.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

// On arm64 the type of a VM is the width of its physical addresses; 0 stands for 40 bits, which
// fails on a CPU that has fewer. Elsewhere the capability does not exist and the type is 0.
static unsigned long vm_type(int kvm)
{
    int bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    return bits > 0 && bits < 40 ? (unsigned long)bits : 0;
}

void kvm_loop_guest(int kvm, struct kvm_loop *out)
{
    int vm = ioctl(kvm, KVM_CREATE_VM, vm_type(kvm));
    if (vm < 0 || ioctl(vm, KVM_CREATE_VCPU, 0) < 0)
        kvm_loop_failed(out, "KVM cannot create a VM");
    else
        *out = (struct kvm_loop){.state = KVM_LOOP_UNMEASURED};
}
