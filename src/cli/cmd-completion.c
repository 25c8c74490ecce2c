// `tailmac completion`: scripts for bash, zsh and fish, made from the tables of commands and
// options.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/options.h"

static bool names_path(const char *arg)
{
    return arg && (strstr(arg, "FILE") || strstr(arg, "DIR") || strstr(arg, "PATH") ||
                   strstr(arg, "SOCK"));
}

static bool is_path(const struct opt *opt)
{
    return names_path(opt->arg);
}

static bool is_id(const struct opt *opt)
{
    return opt->arg && strcmp(opt->arg, "ID") == 0;
}

// Prints "a|b" as "a b".
static void print_choices(const char *choices)
{
    for (const char *p = choices; *p; p++)
        putchar(*p == '|' ? ' ' : *p);
}

// Calls `each` for every option of a command (NULL: those before it).
static void for_each_option(const struct command *cmd,
                            void (*each)(const struct command *, const struct opt *))
{
    struct opt_group groups[OPT_GROUPS];
    int n = option_groups(cmd, NULL, NULL, groups);
    for (int g = 0; g < n; g++)
        for (const struct opt *opt = groups[g].opts; opt->name; opt++)
            each(cmd, opt);
}

// Calls `each` for every command, and for the members of a family after it.
static void for_each_command(void (*each)(const struct command *))
{
    for (int i = 0; commands[i]; i++) {
        each(commands[i]);
        for (int m = 0; commands[i]->members && commands[i]->members[m]; m++)
            each(commands[i]->members[m]);
    }
}

// "net leases": as it stands on the command line, without options.
static void print_name(const struct command *cmd)
{
    if (cmd && cmd->family)
        printf("%s ", cmd->family->name);
    printf("%s", cmd ? cmd->name : "");
}

static void bash_name(const struct command *cmd, const struct opt *opt)
{
    printf(" --%s", opt->name);
}

// What may follow an option, as a case of the shell: "create --arch".
static void bash_value(const struct command *cmd, const struct opt *opt)
{
    if (!opt->arg)
        return;
    printf("    '");
    print_name(cmd);
    printf(" --%s') ", opt->name);
    if (opt->choices) {
        printf("COMPREPLY=($(compgen -W '");
        print_choices(opt->choices);
        printf("' -- \"$cur\"))");
    } else if (is_path(opt)) {
        printf("COMPREPLY=($(compgen -f -- \"$cur\"))");
    } else if (is_id(opt)) {
        printf("COMPREPLY=($(compgen -W \"$(tailmac ls -q 2>/dev/null)\" -- \"$cur\"))");
    } else {
        printf(":");
    }
    printf("; return ;;\n");
}

static void bash_values(const struct command *cmd)
{
    for_each_option(cmd, bash_value);
}

static void bash_words(const struct command *cmd)
{
    printf("    '");
    print_name(cmd);
    printf("') words=\"");
    for_each_option(cmd, bash_name);
    const struct command *const *next = cmd ? cmd->members : commands;
    for (; next && *next; next++)
        printf(" %s", (*next)->name);
    printf("\"; ids=%d files=%d ;;\n", cmd && cmd->id == ID_REQUIRED,
           cmd && names_path(cmd->plain));
}

// A case each: options before a command, or between a family and its member, whose value is none.
static void bash_skipped(const struct opt *opts)
{
    for (; opts->name; opts++)
        if (opts->arg)
            printf("    --%s) ((i++)) ;;\n", opts->name);
}

static void bash_skipped_of(const struct command *cmd)
{
    if (cmd->members)
        bash_skipped(cmd->opts);
}

static void bash_family(const struct command *cmd)
{
    if (cmd->members)
        printf("      %s) ;;\n", cmd->name);
}

static void print_bash(void)
{
    puts("# Completion of tailmac for bash: eval \"$(tailmac completion bash)\"");
    puts("_tailmac() {\n"
         "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
         "  local cmd= words= ids=0 files=0 i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in");
    struct opt_group groups[OPT_GROUPS];
    option_groups(NULL, NULL, NULL, groups);
    bash_skipped(groups[0].opts);
    for_each_command(bash_skipped_of);
    puts("    -*) ;;\n"
         "    *)\n"
         "      cmd=${cmd:+$cmd }${COMP_WORDS[i]}\n"
         "      case $cmd in");
    for_each_command(bash_family);
    puts("      *) break ;;\n"
         "      esac ;;\n"
         "    esac\n"
         "  done\n"
         "  COMPREPLY=()\n"
         "  case \"$cmd $prev\" in");
    bash_values(NULL);
    for_each_command(bash_values);
    puts("  esac\n"
         "  case $cmd in");
    bash_words(NULL);
    for_each_command(bash_words);
    puts("  esac\n"
         "  if [[ $ids = 1 && $cur != -* ]]; then words=\"$(tailmac ls -q 2>/dev/null)\"; fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  if [[ $files = 1 && $cur != -* ]]; then COMPREPLY=($(compgen -f -- \"$cur\")); fi\n"
         "}\n"
         "complete -F _tailmac tailmac");
}

// Text inside single quotes; zsh's specs give '[', ']' and ':' a meaning.
static void print_quoted(const char *text, const char *special)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            printf("'\\''");
        else if (strchr(special, *p))
            printf("\\%c", *p);
        else
            putchar(*p);
    }
}

static void zsh_option(const struct command *cmd, const struct opt *opt)
{
    printf("      '--%s[", opt->name);
    print_quoted(opt->help ? opt->help : "", "[]:\\");
    printf("]");
    if (opt->arg) {
        printf(":%s:", opt->arg);
        if (opt->choices) {
            printf("(");
            print_choices(opt->choices);
            printf(")");
        } else if (is_path(opt)) {
            printf("_files");
        } else if (is_id(opt)) {
            printf("_tailmac_ids");
        }
    }
    puts("' \\");
}

// The members of a family have a function of their own.
static void zsh_command(const struct command *cmd)
{
    printf("    %s) ", cmd->name);
    if (cmd->members) {
        printf("_tailmac_%s ;;\n", cmd->name);
        return;
    }
    puts("_arguments \\");
    for_each_option(cmd, zsh_option);
    printf("      '*:argument:%s' ;;\n", cmd->id == ID_REQUIRED ? "_tailmac_ids" : "_files");
}

// A function that completes one of `known`, and what follows it.
static void zsh_function(const struct command *family, const struct command *const *known)
{
    printf("_tailmac%s%s() {\n", family ? "_" : "", family ? family->name : "");
    puts("  local context state line\n"
         "  _arguments -C \\");
    for_each_option(family, zsh_option);
    puts("      '1:command:->command' '*::argument:->argument'\n"
         "  case $state in\n"
         "  command)\n"
         "    local -a known=(");
    for (int i = 0; known[i]; i++) {
        printf("      '%s:", known[i]->name);
        print_quoted(known[i]->summary, "");
        puts("'");
    }
    puts("    )\n"
         "    _describe command known ;;\n"
         "  argument)\n"
         "    case $line[1] in");
    for (int i = 0; known[i]; i++)
        zsh_command(known[i]);
    puts("    esac ;;\n"
         "  esac\n"
         "}");
}

static void print_zsh(void)
{
    puts("#compdef tailmac\n"
         "# Completion of tailmac for zsh: source <(tailmac completion zsh)\n"
         "_tailmac_ids() { compadd -- ${(f)\"$(tailmac ls -q 2>/dev/null)\"} }");
    for (int i = 0; commands[i]; i++)
        if (commands[i]->members)
            zsh_function(commands[i], commands[i]->members);
    zsh_function(NULL, commands);
    puts("compdef _tailmac tailmac");
}

// A text in fish's single quotes.
static void fish_quote(const char *text)
{
    putchar('\'');
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\')
            putchar('\\');
        putchar(*p);
    }
    putchar('\'');
}

// Where a command's words may stand: after it, and for a member after its family, too.
static void fish_condition(const struct command *cmd)
{
    printf("-n '__fish_seen_subcommand_from ");
    if (cmd->family)
        printf("%s; and __fish_seen_subcommand_from ", cmd->family->name);
    printf("%s", cmd->name);
    for (int i = 0; !cmd->family && commands[i]; i++) // `net status` is not `status`
        if (commands[i]->members && command_find(commands[i]->members, cmd->name))
            printf("; and not __fish_seen_subcommand_from %s", commands[i]->name);
    printf("' ");
}

static void fish_option(const struct command *cmd, const struct opt *opt)
{
    printf("complete -c tailmac ");
    if (cmd)
        fish_condition(cmd);
    printf("-l %s", opt->name);
    if (opt->letter)
        printf(" -s %c", opt->letter);
    if (opt->arg)
        printf(is_path(opt) ? " -r -F" : " -x");
    if (opt->choices) {
        printf(" -a '");
        print_choices(opt->choices);
        printf("'");
    } else if (is_id(opt)) {
        printf(" -a '(tailmac ls -q 2>/dev/null)'");
    }
    printf(" -d ");
    fish_quote(opt->help ? opt->help : "");
    putchar('\n');
}

// The name itself, where none stands yet.
static void fish_name(const struct command *cmd)
{
    printf("complete -c tailmac -n ");
    if (cmd->family) {
        printf("'__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from",
               cmd->family->name);
        for (int i = 0; cmd->family->members[i]; i++)
            printf(" %s", cmd->family->members[i]->name);
        printf("'");
    } else {
        printf("__fish_use_subcommand");
    }
    printf(" -a %s -d ", cmd->name);
    fish_quote(cmd->summary);
    putchar('\n');
}

static void fish_command(const struct command *cmd)
{
    fish_name(cmd);
    struct opt_group groups[OPT_GROUPS];
    int n = option_groups(cmd, NULL, NULL, groups) - 1; // the last are those of every command
    if (cmd->family) // and before them those of the family, which its own lines offer
        n--;
    for (int g = 0; g < n; g++)
        for (const struct opt *opt = groups[g].opts; opt->name; opt++)
            fish_option(cmd, opt);
    if (cmd->id != ID_REQUIRED && !names_path(cmd->plain))
        return;
    printf("complete -c tailmac ");
    fish_condition(cmd);
    puts(cmd->id == ID_REQUIRED ? "-a '(tailmac ls -q 2>/dev/null)'" : "-F");
}

static void print_fish(void)
{
    puts("# Completion of tailmac for fish: tailmac completion fish | source\n"
         "complete -c tailmac -f");
    for_each_option(NULL, fish_option);
    for_each_command(fish_command);
}

static int run_completion(struct cli *cli, void *args, struct err *e)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; cli->argc > 0 && i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shells[i].name, cli->argv[0]) == 0) {
            shells[i].print();
            return 0;
        }
    return err_set(e, ERR_USAGE, "completion: for which shell? Give bash, zsh or fish");
}

const struct command cmd_completion = {
    .name = "completion",
    .summary = "Print a completion script for bash, zsh or fish",
    .plain = "bash|zsh|fish",
    .max_plain = 1,
    .run = run_completion,
    .no_store = true,
};
