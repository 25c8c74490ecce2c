// Help, made from the tables of commands and options.
#pragma once

#include "cli/cli.h"

// By name or alias, of `known`, which ends with NULL; NULL: none.
const struct command *command_find(const struct command *const *known, const char *name);
// The name nearest to what was typed; NULL when nothing is near.
const char *command_nearest(const struct command *const *known, const char *name);

void help_program(void);
void help_command(const struct command *cmd);
