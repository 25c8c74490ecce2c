// The command line: a table of commands, each in its own cmd-NAME.c, over the folders below it.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "vm/config.h"
#include "vm/store.h"

enum opt_kind {
    OPT_FLAG,     // bool
    OPT_TEXT,     // const char *, NULL when not given
    OPT_DURATION, // int64_t milliseconds, -1 when not given
    OPT_NUMBER,   // int64_t, -1 when not given
    OPT_TEXTS,    // struct texts: may be given many times
};

enum { TEXTS_MAX = 256 };

struct texts {
    const char *text[TEXTS_MAX];
    int count;
};

struct opt {
    const char *name; // long option; works after a single dash too
    enum opt_kind kind;
    size_t offset;   // into the command's argument struct
    const char *arg; // what its value is called in help; NULL for a flag
    const char *help;
    const char *choices; // "running|ready", for completion and for checking; NULL: anything
    char letter;         // works as -q too; 0: none
};

struct cli {
    const char *home;   // --home
    const char *format; // --format, as given
    bool json;          // --format json
    bool verbose;       // -v
    bool help;          // --help
    bool version;       // --version
    const char *listen; // --listen and --control of `net`, as given
    const char *control;
    struct store store; // open before a command runs
    const char *id; // --id or the first plain argument, checked; NULL where the command has none
    const char
        *knob[CONFIG_OPTIONS_MAX]; // values of config_options, in their order; NULL: not given
    int argc;                      // plain arguments after the id
    const char **argv;             // ends with NULL
    int exit_code;                 // what to exit with on success, usually 0
    char **owned;                  // the strings above, freed by options_free()
    int owned_count;
};

enum command_id { ID_NONE, ID_REQUIRED };

struct command {
    const char *name;
    const char *alias; // or NULL
    const char *summary;
    const char *plain; // plain arguments in the usage line, or NULL
    enum command_id id;
    int max_plain;          // how many plain arguments are accepted beside the id
    const struct opt *opts; // ends with name NULL
    size_t args_size;       // of the struct that `opts` fills
    // 0, or -1 with *e. `args` starts as zeros with the defaults above.
    int (*run)(struct cli *cli, void *args, struct err *e);
    bool no_store; // runs without a bundle (version, completion)
    bool knobs;    // takes config_options too (knobs.h)
    // A command may be a family of commands, named by its first plain argument; `opts` are then
    // those of all of them, and fill struct cli. They stand on both sides of that name.
    const struct command *const *members; // ends with NULL; NULL: no family
    const struct command *family;         // whose member this is, or NULL
    bool rest; // what follows the id's options is another command's line, options and all (exec)
};

extern const struct command *const commands[]; // commands.c; ends with NULL

// Prints a document: pretty JSON with --format json, else calls `table`. Takes the reference.
void cli_print(const struct cli *cli, json_t *doc, void (*table)(const json_t *doc));
// With -v, a line on standard error.
void cli_say(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A table for cli_print(): a line for each key of an object.
void print_object(const json_t *doc);

// A value in a table: an array as "a, b", what is not there as "-"; the caller frees.
char *print_value(const json_t *value);
// A table with a heading; a row for each object of an array, and a column for each of these keys.
struct column {
    const char *key, *heading;
    bool right; // numbers
};
void print_rows(const json_t *rows, const struct column *columns, size_t n);
