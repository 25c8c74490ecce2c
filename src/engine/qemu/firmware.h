// UEFI firmware: QEMU's pflash pair of code (the host's file) and variables (the VM's own).
#pragma once

#include "base/err.h"
#include "vm/config.h"

// The code file for a VM that boots by UEFI, a static string; NULL in *code where it boots
// otherwise. Makes the VM's AuxiliaryStorage from the firmware's template where there is none.
// ERR_HOST_CANNOT where no firmware is installed.
int firmware_prepare(const struct vm_config *c, int dir_fd, const char **code, struct err *e);
