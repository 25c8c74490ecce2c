// `tailmac completion`: scripts for bash, zsh and fish, made from the tables of commands and
// options.
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

static bool is_path(const struct opt *opt)
{
    return opt->arg && (strstr(opt->arg, "FILE") || strstr(opt->arg, "DIR") ||
                        strstr(opt->arg, "PATH") || strstr(opt->arg, "SOCK"));
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

static void bash_name(const struct command *cmd, const struct opt *opt)
{
    printf(" --%s", opt->name);
}

// What may follow an option, as a case of the shell: "create --arch".
static void bash_value(const struct command *cmd, const struct opt *opt)
{
    if (!opt->arg)
        return;
    printf("    '%s --%s') ", cmd ? cmd->name : "", opt->name);
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

static void bash_words(const struct command *cmd)
{
    printf("    '%s') words=\"", cmd ? cmd->name : "");
    for_each_option(cmd, bash_name);
    if (!cmd)
        for (int i = 0; commands[i]; i++)
            printf(" %s", commands[i]->name);
    printf("\"; ids=%d ;;\n", cmd && cmd->id == ID_REQUIRED);
}

static void print_bash(void)
{
    puts("# Completion of tailmac for bash: eval \"$(tailmac completion bash)\"");
    puts("_tailmac() {\n"
         "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
         "  local cmd= words= ids=0 i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in\n"
         "    --home|--format) ((i++)) ;;\n"
         "    -*) ;;\n"
         "    *) cmd=${COMP_WORDS[i]}; break ;;\n"
         "    esac\n"
         "  done\n"
         "  COMPREPLY=()\n"
         "  case \"$cmd $prev\" in");
    for_each_option(NULL, bash_value);
    for (int i = 0; commands[i]; i++)
        for_each_option(commands[i], bash_value);
    puts("  esac\n"
         "  case $cmd in");
    bash_words(NULL);
    for (int i = 0; commands[i]; i++)
        bash_words(commands[i]);
    puts("  esac\n"
         "  if [[ $ids = 1 && $cur != -* ]]; then words=\"$(tailmac ls -q 2>/dev/null)\"; fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
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

static void print_zsh(void)
{
    puts("#compdef tailmac\n"
         "# Completion of tailmac for zsh: source <(tailmac completion zsh)\n"
         "_tailmac_ids() { compadd -- ${(f)\"$(tailmac ls -q 2>/dev/null)\"} }\n"
         "_tailmac() {\n"
         "  local context state line\n"
         "  _arguments -C \\");
    for_each_option(NULL, zsh_option);
    puts("      '1:command:->command' '*::argument:->argument'\n"
         "  case $state in\n"
         "  command)\n"
         "    local -a known=(");
    for (int i = 0; commands[i]; i++) {
        printf("      '%s:", commands[i]->name);
        print_quoted(commands[i]->summary, "");
        puts("'");
    }
    puts("    )\n"
         "    _describe command known ;;\n"
         "  argument)\n"
         "    case $line[1] in");
    for (int i = 0; commands[i]; i++) {
        printf("    %s) _arguments \\\n", commands[i]->name);
        for_each_option(commands[i], zsh_option);
        printf("      '*:argument:%s' ;;\n",
               commands[i]->id == ID_REQUIRED ? "_tailmac_ids" : "_files");
    }
    puts("    esac ;;\n"
         "  esac\n"
         "}\n"
         "compdef _tailmac tailmac");
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

static void fish_option(const struct command *cmd, const struct opt *opt)
{
    printf("complete -c tailmac ");
    if (cmd)
        printf("-n '__fish_seen_subcommand_from %s' ", cmd->name);
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

static void print_fish(void)
{
    puts("# Completion of tailmac for fish: tailmac completion fish | source\n"
         "complete -c tailmac -f");
    for_each_option(NULL, fish_option);
    for (int i = 0; commands[i]; i++) {
        const struct command *cmd = commands[i];
        printf("complete -c tailmac -n __fish_use_subcommand -a %s -d ", cmd->name);
        fish_quote(cmd->summary);
        putchar('\n');
        struct opt_group groups[OPT_GROUPS];
        int n = option_groups(cmd, NULL, NULL, groups) - 1; // the last are those of every command
        for (int g = 0; g < n; g++)
            for (const struct opt *opt = groups[g].opts; opt->name; opt++)
                fish_option(cmd, opt);
        if (cmd->id == ID_REQUIRED)
            printf("complete -c tailmac -n '__fish_seen_subcommand_from %s' -a "
                   "'(tailmac ls -q 2>/dev/null)'\n",
                   cmd->name);
    }
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
