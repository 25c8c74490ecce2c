// `tailmac help`, and finding commands by name.
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include "cli/options.h"

enum { NAME_MAX_LEN = 32, COLUMN = 28 };

const struct command *command_find(const struct command *const *known, const char *name)
{
    for (; *known; known++)
        if (strcmp((*known)->name, name) == 0 ||
            ((*known)->alias && strcmp((*known)->alias, name) == 0))
            return *known;
    return NULL;
}

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

// How many letters must change to make one word of the other (Levenshtein).
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_LEN + 1];
    size_t n = strlen(b);
    if (n > NAME_MAX_LEN)
        return ~0U;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 0; a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (unsigned j = 0; j < n; j++) {
            unsigned above = row[j + 1];
            row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = above;
        }
    }
    return row[n];
}

const char *command_nearest(const struct command *const *known, const char *name)
{
    const char *best = NULL;
    unsigned least = 3; // further is no typing error
    for (; *known; known++) {
        unsigned d = distance(name, (*known)->name);
        if (d < least && d < strlen((*known)->name)) {
            least = d;
            best = (*known)->name;
        }
    }
    return best;
}

static void print_row(const char *left, const char *right)
{
    if (strlen(left) < COLUMN - 1)
        printf("  %-*s%s\n", COLUMN, left, right);
    else
        printf("  %s\n  %-*s%s\n", left, COLUMN, "", right);
}

static void print_option(const struct opt *opt)
{
    char left[128];
    char letter[8] = "";
    if (opt->letter)
        snprintf(letter, sizeof letter, "-%c, ", opt->letter);
    const char *arg = opt->choices ? opt->choices : opt->arg;
    snprintf(left, sizeof left, "%s--%s%s%s", letter, opt->name, arg ? " " : "", arg ? arg : "");
    print_row(left, opt->help ? opt->help : "");
}

static void print_groups(const struct command *cmd)
{
    struct opt_group groups[OPT_GROUPS];
    int n = option_groups(cmd, NULL, NULL, groups);
    const char *title = "";
    for (int g = 0; g < n; g++) {
        if (groups[g].opts->name && strcmp(title, groups[g].title) != 0) {
            title = groups[g].title;
            printf("\n%s:\n", title);
        }
        for (const struct opt *opt = groups[g].opts; opt->name; opt++)
            print_option(opt);
    }
}

void help_program(void)
{
    puts("usage: tailmac [--home DIR] [--format table|json] [-v] COMMAND …");
    puts("Makes throwaway virtual machines. Without a command: ls.");
    puts("\ncommands (`tailmac help COMMAND` tells more):");
    for (int i = 0; commands[i]; i++)
        print_row(commands[i]->name, commands[i]->summary);
    print_groups(NULL);
}

static void print_members(const struct command *cmd)
{
    printf("\ncommands (`tailmac help %s COMMAND` tells more):\n", cmd->name);
    for (int i = 0; cmd->members[i]; i++)
        print_row(cmd->members[i]->name, cmd->members[i]->summary);
}

void help_command(const struct command *cmd)
{
    printf("usage: tailmac %s%s%s%s%s%s [options]\n", cmd->family ? cmd->family->name : "",
           cmd->family ? " " : "", cmd->name, cmd->id == ID_REQUIRED ? " ID" : "",
           cmd->plain ? " " : "", cmd->plain ? cmd->plain : "");
    printf("%s.\n", cmd->summary);
    if (cmd->alias)
        printf("Also called: %s\n", cmd->alias);
    if (cmd->members)
        print_members(cmd);
    print_groups(cmd);
}

static int run_help(struct cli *cli, void *args, struct err *e)
{
    (void)args;
    if (cli->argc == 0) {
        help_program();
        return 0;
    }
    const char *const *word = cli->argv;
    const struct command *cmd = command_find(commands, *word);
    while (cmd && word[1])
        cmd = cmd->members ? command_find(cmd->members, *++word) : NULL;
    if (!cmd)
        return err_set(e, ERR_USAGE, "there is no command '%.40s'", *word);
    help_command(cmd);
    return 0;
}

const struct command cmd_help = {
    .name = "help",
    .summary = "Tell how a command is used",
    .plain = "[COMMAND]",
    .max_plain = 2,
    .run = run_help,
    .no_store = true,
};
