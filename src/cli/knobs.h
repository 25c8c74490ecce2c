// Options that set what a VM is made of, as create and configure take them.
#pragma once

#include "cli/cli.h"

bool knobs_given(const struct cli *cli);
// Sets what was given; the configuration is checked as a whole.
int knobs_apply(const struct cli *cli, struct vm_config *c, struct err *e);
