// Every command of tailmac, in the order of `tailmac help`.
#include "cli/cli.h"

extern const struct command cmd_create;
extern const struct command cmd_clone;
extern const struct command cmd_configure;
extern const struct command cmd_delete;
extern const struct command cmd_ls;
extern const struct command cmd_completion;
extern const struct command cmd_help;
extern const struct command cmd_version;

const struct command *const commands[] = {
    &cmd_create,     &cmd_clone, &cmd_configure, &cmd_delete, &cmd_ls,
    &cmd_completion, &cmd_help,  &cmd_version,   NULL,
};
