// The probe's guest on x86_64: a few instructions in long mode, and whether they did their sum.
//
// Guest memory from 0: a page each for the code, PML4, PDPT and page directory. One 2 MiB page maps
// it onto itself. There is no interrupt controller in the kernel, hence HLT comes back to us
// (Linux, Documentation/virt/kvm/api.rst, KVM_CREATE_IRQCHIP).
#include "engine/qemu/kvm-loop.h"

#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum {
    CODE = 0x1000,
    PML4 = 0x2000,
    PDPT = 0x3000,
    PAGE_DIR = 0x4000,
    MEM_SIZE = 0x10000,
    MAX_CPUID = 256,
    // Three pages that Intel's KVM wants for itself, out of the way below the BIOS
    // (KVM_SET_TSS_ADDR).
    TSS_ADDR = 0xfffbd000,
};

// Bits of page table entries and control registers: Intel SDM volume 3, 2.2.1, 2.5 and 4.5.
enum { PTE_PRESENT = 1 << 0, PTE_WRITE = 1 << 1, PTE_LARGE = 1 << 7 };
enum { CR0_PE = 1 << 0, CR0_ET = 1 << 4, CR0_NE = 1 << 5, CR0_WP = 1 << 16, CR4_PAE = 1 << 5 };
enum { EFER_LME = 1 << 8, EFER_LMA = 1 << 10 };
#define CR0_PG (UINT64_C(1) << 31)

// RAX starts so far below zero that the steps bring it to zero, with a carry, in the last iteration
// and no sooner. The distance does not fit in 32 bits: only a CPU in 64-bit mode gets there.
#define STEP (UINT64_C(1) << 20)
#define START (-STEP * KVM_LOOP_ITERATIONS)
static const uint8_t code[] = {
    0x48, 0x01, 0xd8, // top: add rax, rbx
    0x73, 0xfb,       //      jnc top
    0xf4,             //      hlt
};

struct guest {
    int vm, cpu;
    uint8_t *mem;
    struct kvm_run *run;
};

static void put_entry(struct guest *g, unsigned table, uint64_t entry)
{
    memcpy(g->mem + table, &entry, sizeof entry);
}

// Returns NULL or what failed, with errno; so do the other steps.
static const char *make_memory(struct guest *g)
{
    g->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (g->mem == MAP_FAILED)
        return "no memory for KVM's guest";
    memcpy(g->mem + CODE, code, sizeof code);
    put_entry(g, PML4, PDPT | PTE_PRESENT | PTE_WRITE);
    put_entry(g, PDPT, PAGE_DIR | PTE_PRESENT | PTE_WRITE);
    put_entry(g, PAGE_DIR, PTE_PRESENT | PTE_WRITE | PTE_LARGE);

    struct kvm_userspace_memory_region region = {
        .memory_size = MEM_SIZE,
        .userspace_addr = (uintptr_t)g->mem,
    };
    if (ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return "KVM refuses memory";
    return NULL;
}

// The vCPU gets the CPUID leaves that KVM offers, as QEMU would give it.
static const char *set_cpuid(int kvm, const struct guest *g)
{
    static union {
        struct kvm_cpuid2 list;
        uint8_t room[sizeof(struct kvm_cpuid2) + MAX_CPUID * sizeof(struct kvm_cpuid_entry2)];
    } cpuid;
    cpuid.list.nent = MAX_CPUID;
    if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
        return "KVM does not tell its CPUID";
    if (ioctl(g->cpu, KVM_SET_CPUID2, &cpuid) < 0)
        return "KVM refuses its own CPUID";
    return NULL;
}

static const char *make_cpu(int kvm, struct guest *g)
{
    g->cpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
    if (g->cpu < 0)
        return "KVM cannot create a vCPU";
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof *g->run)
        return "KVM does not share a vCPU's state";
    g->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, g->cpu, 0);
    if (g->run == MAP_FAILED)
        return "KVM does not share a vCPU's state";
    return set_cpuid(kvm, g);
}

static const char *enter_long_mode(const struct guest *g)
{
    struct kvm_sregs s;
    if (ioctl(g->cpu, KVM_GET_SREGS, &s) < 0)
        return "KVM does not tell its registers";
    struct kvm_segment flat = {.limit = UINT32_MAX, .present = 1, .s = 1, .g = 1};
    s.cs = flat;
    s.cs.selector = 1 << 3;
    s.cs.type = 11; // code, readable, accessed
    s.cs.l = 1;
    flat.selector = 2 << 3;
    flat.type = 3; // data, writable, accessed
    flat.db = 1;
    s.ds = s.es = s.fs = s.gs = s.ss = flat;
    s.cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE;
    s.cr3 = PML4;
    s.cr4 = CR4_PAE;
    s.efer = EFER_LME | EFER_LMA;
    if (ioctl(g->cpu, KVM_SET_SREGS, &s) < 0)
        return "KVM refuses long mode";
    // Bit 1 of RFLAGS is always one.
    struct kvm_regs r = {.rip = CODE, .rax = START, .rbx = STEP, .rflags = 1 << 1};
    if (ioctl(g->cpu, KVM_SET_REGS, &r) < 0)
        return "KVM refuses registers";
    return NULL;
}

static const char *make_guest(int kvm, struct guest *g)
{
    g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (g->vm < 0)
        return "KVM cannot create a VM";
    if (ioctl(g->vm, KVM_SET_TSS_ADDR, (unsigned long)TSS_ADDR) < 0)
        return "KVM refuses an address for its pages";
    const char *failed = make_memory(g);
    if (!failed)
        failed = make_cpu(kvm, g);
    if (!failed)
        failed = enter_long_mode(g);
    return failed;
}

void kvm_loop_guest(int kvm, struct kvm_loop *out)
{
    struct guest g;
    const char *failed = make_guest(kvm, &g);
    if (failed) {
        kvm_loop_failed(out, failed);
        return;
    }
    double start = kvm_loop_clock_ms();
    if (ioctl(g.cpu, KVM_RUN, 0) < 0) {
        kvm_loop_failed(out, "KVM does not run");
        return;
    }
    *out = (struct kvm_loop){.state = KVM_LOOP_WRONG, .ms = kvm_loop_clock_ms() - start};
    struct kvm_regs r;
    if (g.run->exit_reason != KVM_EXIT_HLT) {
        out->state = KVM_LOOP_FAILED;
        snprintf(out->why, sizeof out->why, "KVM gave up on a simple loop (exit reason %u)",
                 g.run->exit_reason);
    } else if (ioctl(g.cpu, KVM_GET_REGS, &r) < 0) {
        kvm_loop_failed(out, "KVM does not tell its registers");
    } else if (r.rax == 0) {
        out->state = KVM_LOOP_RAN;
    }
}
