// The table of architectures.
#include "engine/qemu/machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct {
    const char *arch, *binary, *type, *options, *cpu;
} machines[] = {
    // Without the controllers that no guest of ours uses; each costs time at boot and state at a
    // save. Nehalem is the x86-64-v2 baseline of today's distributions; rdrand feeds the kernel's
    // random pool, which otherwise keeps early programs waiting.
    {"x86_64", "qemu-system-x86_64", "pc-q35-7.2", ",usb=off,vmport=off,smbus=off,sata=off",
     "Nehalem-v1,+rdrand"},
    {"aarch64", "qemu-system-aarch64", "virt-7.2", ",gic-version=3", "cortex-a72"},
};

int machine_choose(const struct vm_config *c, struct machine *out, struct err *e)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        if (strcmp(machines[i].arch, c->arch) != 0)
            continue;
        *out = (struct machine){
            .arch = machines[i].arch,
            .binary = machines[i].binary,
            .type = xstrdup(c->machine ? c->machine : machines[i].type),
            .options = machines[i].options,
            .cpu = xstrdup(c->cpu ? c->cpu : machines[i].cpu),
        };
        return 0;
    }
    return err_set(e, ERR_FAILED, "QEMU: no machine for architecture '%s'", c->arch);
}

bool machine_known(int i, const char **arch, const char **binary)
{
    if (i < 0 || (size_t)i >= sizeof machines / sizeof *machines)
        return false;
    *arch = machines[i].arch;
    *binary = machines[i].binary;
    return true;
}

void machine_free(struct machine *m)
{
    free(m->type);
    free(m->cpu);
    *m = (struct machine){0};
}
