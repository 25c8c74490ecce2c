// Where distributions keep UEFI firmware for QEMU, and a VM's copy of its variables.
#include "engine/qemu/firmware.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "vm/store.h"

static const struct {
    const char *arch, *code, *variables;
} places[] = {
    {"x86_64", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
    {"x86_64", "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
    {"x86_64", "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
     "/opt/homebrew/share/qemu/edk2-i386-vars.fd"},
    {"x86_64", "/usr/local/share/qemu/edk2-x86_64-code.fd",
     "/usr/local/share/qemu/edk2-i386-vars.fd"},
    {"aarch64", "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"},
    {"aarch64", "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
     "/usr/share/edk2/aarch64/vars-template-pflash.raw"},
    {"aarch64", "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
     "/opt/homebrew/share/qemu/edk2-arm-vars.fd"},
};

enum { VARIABLES_MAX = 64 << 20 };

// A machine without a kernel to boot and without a BIOS needs UEFI, asked for or not.
static bool wants_uefi(const struct vm_config *c)
{
    if (c->firmware)
        return strcmp(c->firmware, "uefi") == 0;
    return !c->kernel && strcmp(c->arch, "aarch64") == 0;
}

static int copy_variables(const char *template, int dir_fd, struct err *e)
{
    size_t n;
    if (faccessat(dir_fd, VM_AUX, F_OK, 0) == 0)
        return 0;
    AUTO_FREE char *data = file_read(AT_FDCWD, template, VARIABLES_MAX, &n, e);
    return data ? file_write_atomic(dir_fd, VM_AUX, data, n, true, e) : -1;
}

int firmware_prepare(const struct vm_config *c, int dir_fd, const char **code, struct err *e)
{
    *code = NULL;
    if (!wants_uefi(c))
        return 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strcmp(places[i].arch, c->arch) != 0 || access(places[i].code, R_OK) < 0)
            continue;
        *code = places[i].code;
        return copy_variables(places[i].variables, dir_fd, e);
    }
    return err_set(e, ERR_HOST_CANNOT,
                   "no UEFI firmware for %s is installed (Debian: ovmf, qemu-efi-aarch64)",
                   c->arch);
}
