// From argv to a command's arguments, through the tables of options.
#pragma once

#include "cli/cli.h"

// The tables of options that a command takes, with where their values go; help and completion come
// from the same tables. `cmd` NULL: the options that stand before the command.
struct opt_group {
    const struct opt *opts;
    void *base;
    const char *title; // in help
    bool unchecked;    // choices are for completion only: config_set() checks
};
enum { OPT_GROUPS = 5 };
// Fills out[]; returns how many. `args` and `cli` may be NULL where values are not wanted.
int option_groups(const struct command *cmd, struct cli *cli, void *args,
                  struct opt_group out[static OPT_GROUPS]);

// Parses the options before the command; leaves the command and what follows in cli->argv.
int options_parse_global(struct cli *cli, int argc, const char **argv, struct err *e);
// As if this word stood on the command line, and nothing else.
void options_set_plain(struct cli *cli, const char *word);
// Parses what follows the command's name, from cli->argv, into `args` and cli->id, argc, argv.
int options_parse(struct cli *cli, const struct command *cmd, void *args, struct err *e);
void options_free(struct cli *cli);
