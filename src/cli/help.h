// Help, made from the tables of commands and options.
#pragma once

#include "cli/cli.h"

const struct command *command_find(const char *name); // by name or alias; NULL
// The command or alias nearest to what was typed; NULL when nothing is near.
const char *command_nearest(const char *name);

void help_program(void);
void help_command(const struct command *cmd);
