// Option parsing: our tables become popt's, and popt's findings our structs' values.
#include "cli/options.h"

#include <assert.h>
#include <popt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

static const struct opt global_opts[] = {
    {"home", OPT_TEXT, offsetof(struct cli, home), "DIR",
     "the bundle (default: $TAILMAC_HOME or ~/VM.bundle)", NULL, 0},
    {"format", OPT_TEXT, offsetof(struct cli, format), "FORMAT", "how results are printed",
     "table|json", 0},
    {"verbose", OPT_FLAG, offsetof(struct cli, verbose), NULL,
     "tell what is done, on standard error", NULL, 'v'},
    {"help", OPT_FLAG, offsetof(struct cli, help), NULL, "show help", NULL, 'h'},
    {"version", OPT_FLAG, offsetof(struct cli, version), NULL, "show the version", NULL, 0},
    {0},
};

static const struct opt id_opts[] = {
    {"id", OPT_TEXT, offsetof(struct cli, id), "ID", "the VM (or the first plain argument)", NULL,
     0},
    {0},
};

// config_options as a table of options.
static const struct opt *knob_opts(void)
{
    static struct opt opts[CONFIG_OPTIONS_MAX];
    for (int i = 0; config_options[i].option; i++)
        opts[i] = (struct opt){.name = config_options[i].option,
                               .kind = OPT_TEXT,
                               .offset = offsetof(struct cli, knob) + (size_t)i * sizeof(char *),
                               .arg = config_options[i].arg,
                               .help = config_options[i].help,
                               .choices = config_options[i].choices};
    return opts;
}

int option_groups(const struct command *cmd, struct cli *cli, void *args,
                  struct opt_group out[static OPT_GROUPS])
{
    int n = 0;
    const struct command *family = !cmd ? NULL : cmd->members ? cmd : cmd->family;
    if (cmd && cmd->id == ID_REQUIRED)
        out[n++] = (struct opt_group){id_opts, cli, "options", false};
    if (cmd && cmd != family && cmd->opts)
        out[n++] = (struct opt_group){cmd->opts, args, "options", false};
    if (cmd && cmd->knobs)
        out[n++] = (struct opt_group){knob_opts(), cli, "what the VM is made of", true};
    if (family)
        out[n++] = (struct opt_group){family->opts, cli, "shared options", false};
    out[n++] = (struct opt_group){global_opts, cli, "options of every command", false};
    return n;
}

// One table for popt and, at the same index, what each entry is.
struct table {
    struct poptOption *popt;
    const struct opt **opts;
    const struct opt_group **groups;
    struct opt_group group[OPT_GROUPS];
    int n;
};

static void table_add(struct table *t, const struct opt_group *group, const struct opt *opt)
{
    size_t n = (size_t)t->n + 1;
    t->popt = xrealloc(t->popt, (n + 1) * sizeof *t->popt);
    t->opts = xrealloc(t->opts, n * sizeof *t->opts);
    t->groups = xrealloc(t->groups, n * sizeof *t->groups);
    t->popt[t->n] = (struct poptOption){
        .longName = opt->name,
        .shortName = opt->letter,
        // As Apple's programs do: `-sock PATH` is `--sock PATH`.
        .argInfo = (opt->kind == OPT_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING) | POPT_ARGFLAG_ONEDASH,
        .val = (int)n, // 0 means to popt that it should keep the option for itself
    };
    t->popt[n] = (struct poptOption)POPT_TABLEEND;
    t->opts[t->n] = opt;
    t->groups[t->n] = group;
    t->n++;
}

static void table_fill(struct table *t, const struct command *cmd, struct cli *cli, void *args)
{
    *t = (struct table){0};
    int groups = option_groups(cmd, cli, args, t->group);
    for (int g = 0; g < groups; g++)
        for (const struct opt *opt = t->group[g].opts; opt->name; opt++)
            table_add(t, &t->group[g], opt);
    assert(t->n > 0); // those of every command, if no more
}

static void table_free(struct table *t)
{
    free(t->popt);
    free(t->opts);
    free(t->groups);
}

static void *target(const struct table *t, int i)
{
    return (char *)t->groups[i]->base + t->opts[i]->offset;
}

static void set_defaults(const struct table *t)
{
    for (int i = 0; i < t->n; i++)
        if (t->opts[i]->kind == OPT_DURATION || t->opts[i]->kind == OPT_NUMBER)
            *(int64_t *)target(t, i) = -1;
}

static const char *keep(struct cli *cli, char *text)
{
    cli->owned = xrealloc(cli->owned, (size_t)(cli->owned_count + 1) * sizeof *cli->owned);
    cli->owned[cli->owned_count++] = text;
    return text;
}

void options_free(struct cli *cli)
{
    for (int i = 0; i < cli->owned_count; i++)
        free(cli->owned[i]);
    free(cli->owned);
    free(cli->argv);
}

static int bad_choice(const struct opt *opt, const char *text, struct err *e)
{
    char allowed[160];
    size_t n = 0;
    for (const char *p = opt->choices; *p && n < sizeof allowed - 2; p++) {
        if (*p == '|')
            allowed[n++] = ',';
        allowed[n++] = *p == '|' ? ' ' : *p;
    }
    allowed[n] = 0;
    return err_set(e, ERR_USAGE, "--%s: '%.80s' is not one of: %s", opt->name, text, allowed);
}

static int add_text(const struct opt *opt, struct texts *to, const char *text, struct err *e)
{
    if (to->count == TEXTS_MAX)
        return err_set(e, ERR_USAGE, "--%s: given more than %d times", opt->name, TEXTS_MAX);
    to->text[to->count++] = text;
    return 0;
}

// Puts one value where it belongs.
static int set_value(const struct table *t, int i, const char *text, struct err *e)
{
    const struct opt *opt = t->opts[i];
    void *to = target(t, i);
    uint64_t number;
    switch (opt->kind) {
    case OPT_FLAG:
        *(bool *)to = true;
        return 0;
    case OPT_TEXT:
        if (opt->choices && !t->groups[i]->unchecked && !choice_valid(opt->choices, text))
            return bad_choice(opt, text, e);
        *(const char **)to = text;
        return 0;
    case OPT_TEXTS:
        return add_text(opt, to, text, e);
    case OPT_DURATION:
        return duration_parse(text, to, e) < 0 ? err_wrap(e, "--%s", opt->name) : 0;
    case OPT_NUMBER:
        if (number_parse(text, opt->name, 0, INT64_MAX, &number, e) < 0)
            return -1;
        *(int64_t *)to = (int64_t)number;
        return 0;
    }
    abort();
}

static int next_options(struct cli *cli, const struct table *t, poptContext con, struct err *e)
{
    int found;
    while ((found = poptGetNextOpt(con)) > 0) {
        char *text = poptGetOptArg(con);
        if (text)
            keep(cli, text);
        if (set_value(t, found - 1, text, e) < 0)
            return -1;
    }
    if (found < -1)
        return err_set(e, ERR_USAGE, "%.120s: %s", poptBadOption(con, 0), poptStrerror(found));
    return 0;
}

// Parses argv (argv[0] is the program's or the command's name); cli->argv becomes what is plain.
static int parse(struct cli *cli, const struct table *t, int argc, const char **argv, int flags,
                 struct err *e)
{
    poptContext con = poptGetContext("tailmac", argc, argv, t->popt, (unsigned)flags);
    if (next_options(cli, t, con, e) < 0) {
        poptFreeContext(con);
        return -1;
    }
    const char **plain = poptGetArgs(con);
    int n = 0;
    while (plain && plain[n])
        n++;
    const char **copy = xcalloc((size_t)n + 1, sizeof *copy);
    for (int i = 0; i < n; i++)
        copy[i] = keep(cli, xstrdup(plain[i]));
    poptFreeContext(con);
    free(cli->argv);
    cli->argv = copy;
    cli->argc = n;
    return 0;
}

void options_set_plain(struct cli *cli, const char *word)
{
    free(cli->argv);
    cli->argv = xcalloc(2, sizeof *cli->argv);
    cli->argv[0] = keep(cli, xstrdup(word));
    cli->argc = 1;
}

static void drop_first(struct cli *cli)
{
    memmove(cli->argv, cli->argv + 1, (size_t)cli->argc * sizeof *cli->argv);
    cli->argc--;
}

// What the command gets to see: the id taken out, nothing superfluous.
static int sort_out(struct cli *cli, const struct command *cmd, struct err *e)
{
    cli->json = cli->format && strcmp(cli->format, "json") == 0;
    if (cli->help || cli->version)
        return 0;
    if (cmd->id == ID_REQUIRED && !cli->id)
        return err_set(e, ERR_USAGE, "%s: which VM? Give --id ID", cmd->name);
    if (cmd->id == ID_REQUIRED && id_check(cli->id, e) < 0)
        return -1;
    if (!cmd->rest && !cmd->members && cli->argc > cmd->max_plain)
        return err_set(e, ERR_USAGE, "%s: unexpected argument '%.80s'", cmd->name,
                       cli->argv[cmd->max_plain]);
    return 0;
}

static void take_id(struct cli *cli, const struct command *cmd)
{
    if (cmd->id != ID_REQUIRED || cli->id || cli->argc == 0)
        return;
    cli->id = cli->argv[0];
    drop_first(cli);
}

int options_parse_global(struct cli *cli, int argc, const char **argv, struct err *e)
{
    struct table t;
    table_fill(&t, NULL, cli, NULL);
    int result = parse(cli, &t, argc, argv, POPT_CONTEXT_POSIXMEHARDER, e);
    table_free(&t);
    return result;
}

// For a command with `rest`, options end at the first plain argument; before that may stand the id,
// and options on both of its sides. For a family they end at the member's name.
static int parse_command(struct cli *cli, const struct command *cmd, const struct table *t,
                         struct err *e)
{
    int flags = cmd->rest || cmd->members ? POPT_CONTEXT_POSIXMEHARDER : 0;
    if (parse(cli, t, cli->argc, cli->argv, flags, e) < 0)
        return -1;
    bool had_id = cli->id != NULL;
    if (cmd->rest && !had_id && cli->argc > 0) {
        cli->id =
            cli->argv[0]; // and becomes argv[0] of what is parsed next, where it is not looked at
        if (parse(cli, t, cli->argc, cli->argv, flags, e) < 0)
            return -1;
    }
    take_id(cli, cmd);
    return 0;
}

int options_parse(struct cli *cli, const struct command *cmd, void *args, struct err *e)
{
    struct table t;
    table_fill(&t, cmd, cli, args);
    set_defaults(&t);
    int result = parse_command(cli, cmd, &t, e) < 0 ? -1 : sort_out(cli, cmd, e);
    table_free(&t);
    return result;
}
