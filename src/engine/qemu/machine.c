// The table of architectures.
#include "engine/qemu/machine.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "vm/store.h"

static const struct {
    const char *arch, *binary, *type, *options, *cpu;
    int unplug_ms;
} machines[] = {
    // Without the controllers that no guest of ours uses; each costs time at boot and state at a
    // save. Nehalem is the x86-64-v2 baseline of today's distributions, and emulated without gaps.
    {"x86_64", "qemu-system-x86_64", "pc-q35-7.2", ",usb=off,vmport=off,smbus=off,sata=off",
     "Nehalem-v1", 3000},
    // PCIe's own hot-plug lets its user change his mind, for 5 s.
    {"aarch64", "qemu-system-aarch64", "virt-7.2", ",gic-version=3", "cortex-a72", 8000},
};

// One word from a file of the VM, of these characters; NULL with *absent where there is none.
static char *read_word(int dir_fd, const char *name, const char *allowed, bool *absent,
                       struct err *e)
{
    enum { WORD_MAX = 64 };
    *absent = faccessat(dir_fd, name, F_OK, 0) < 0;
    AUTO_FREE char *text = *absent ? NULL : file_read(dir_fd, name, WORD_MAX, NULL, e);
    if (!text)
        return NULL;
    size_t n = strcspn(text, "\n");
    text[n] = 0;
    if (n > 0 && strspn(text, allowed) == n)
        return TAKE_PTR(text);
    err_set(e, ERR_FAILED, "%s is damaged", name);
    return NULL;
}

static int choose_type(const struct vm_config *c, int dir_fd, const char *newest,
                       struct machine *out, struct err *e)
{
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    bool absent = false;
    if (c->machine) {
        out->type = xstrdup(c->machine);
        return 0;
    }
    out->type = read_word(dir_fd, VM_HARDWARE, word, &absent, e);
    if (out->type)
        return 0;
    if (!absent)
        return -1;
    out->type = xstrdup(newest);
    AUTO_FREE char *line = xasprintf("%s\n", newest);
    return file_write_atomic(dir_fd, VM_HARDWARE, line, strlen(line), false, e);
}

int machine_choose(const struct vm_config *c, int dir_fd, struct machine *out, struct err *e)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        if (strcmp(machines[i].arch, c->arch) != 0)
            continue;
        bool absent;
        *out = (struct machine){
            .arch = machines[i].arch,
            .binary = machines[i].binary,
            .options = machines[i].options,
            .unplug_ms = machines[i].unplug_ms,
            .cpu = xstrdup(c->cpu ? c->cpu : machines[i].cpu),
        };
        out->uuid = read_word(dir_fd, VM_MACHINE_ID, "0123456789abcdefABCDEF-", &absent, e);
        if (!out->uuid && !absent)
            return -1;
        return choose_type(c, dir_fd, machines[i].type, out, e);
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
    free(m->uuid);
    *m = (struct machine){0};
}
