// Options: from argv to structs, in every form that is documented, and the tables they come from.
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/help.h"

struct args {
    bool flag;
    const char *text;
    const char *choice;
    int64_t timeout;
    int64_t number;
};

static const struct opt opts[] = {
    {"flag", OPT_FLAG, offsetof(struct args, flag), NULL, "", NULL, 'f'},
    {"text", OPT_TEXT, offsetof(struct args, text), "TEXT", "", NULL, 0},
    {"choice", OPT_TEXT, offsetof(struct args, choice), "X", "", "one|two", 0},
    {"timeout", OPT_DURATION, offsetof(struct args, timeout), "S", "", NULL, 0},
    {"number", OPT_NUMBER, offsetof(struct args, number), "N", "", NULL, 0},
    {0},
};

static const struct command plain = {
    .name = "plain", .id = ID_REQUIRED, .max_plain = 1, .opts = opts, .knobs = true};
static const struct command wrapper = {
    .name = "wrapper", .id = ID_REQUIRED, .opts = opts, .rest = true};
static const struct command nothing = {.name = "nothing"};
static const struct opt family_opts[] = {
    {"listen", OPT_TEXT, offsetof(struct cli, listen), "PATH", "", NULL, 0},
    {"control", OPT_TEXT, offsetof(struct cli, control), "PATH", "", NULL, 0},
    {0},
};
static const struct command *const members[];
static const struct command family = {.name = "family", .opts = family_opts, .members = members};
static const struct command member = {
    .name = "member", .opts = opts, .max_plain = 1, .family = &family};
static const struct command *const members[] = {&member, NULL};

struct parsed {
    struct cli cli;
    struct args args;
    struct err e;
    int result;
};

// Parses a command line whose words are separated by blanks; words[0] is the command's name.
static struct parsed parse(const struct command *cmd, const char *line)
{
    struct parsed p = {0};
    const char *argv[32] = {"tailmac"};
    int argc = 1;
    char *words = strdup(line);
    for (char *save, *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    p.result = options_parse_global(&p.cli, argc, argv, &p.e);
    if (p.result == 0)
        p.result = options_parse(&p.cli, cmd, &p.args, &p.e);
    free(words);
    return p;
}

static void values_arrive_in_every_form(void **state)
{
    static const char *const lines[] = {
        "plain a --text x --timeout 1.5s --number 7 --flag --choice two --mem 1G",
        "plain --text=x --timeout=1500ms --id a --number=7 -f --choice=two --mem=1G",
        "plain -text x -timeout 1.5 -id a -number 7 -flag -choice two -mem 1G",
        "-v plain -text=x -timeout=1.5 a -number=7 -fv -choice=two -mem=1G",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct parsed p = parse(&plain, lines[i]);
        if (p.result < 0)
            fail_msg("%s: %s", lines[i], p.e.msg);
        assert_string_equal(p.cli.id, "a");
        assert_string_equal(p.args.text, "x");
        assert_string_equal(p.args.choice, "two");
        assert_int_equal(p.args.timeout, 1500);
        assert_int_equal(p.args.number, 7);
        assert_true(p.args.flag);
        assert_int_equal(p.cli.argc, 0);
        assert_null(p.cli.argv[0]);
        assert_string_equal(p.cli.knob[0], "1G");
        assert_null(p.cli.knob[1]);
        options_free(&p.cli);
    }
}

static void what_is_not_given_has_its_default(void **state)
{
    struct parsed p = parse(&plain, "plain a");
    assert_int_equal(p.result, 0);
    assert_null(p.args.text);
    assert_int_equal(p.args.timeout, -1);
    assert_int_equal(p.args.number, -1);
    assert_false(p.args.flag);
    assert_false(p.cli.json);
    options_free(&p.cli);
}

static void the_id_is_the_first_plain_argument_unless_given(void **state)
{
    struct parsed p = parse(&plain, "plain a b");
    assert_string_equal(p.cli.id, "a");
    assert_string_equal(p.cli.argv[0], "b");
    options_free(&p.cli);
    p = parse(&plain, "plain b --id a");
    assert_string_equal(p.cli.id, "a");
    assert_string_equal(p.cli.argv[0], "b");
    options_free(&p.cli);
}

static void global_options_stand_on_both_sides(void **state)
{
    struct parsed p = parse(&plain, "--home /x --format json plain a");
    assert_string_equal(p.cli.home, "/x");
    assert_true(p.cli.json);
    options_free(&p.cli);
    p = parse(&plain, "plain --format json a --home /x");
    assert_string_equal(p.cli.home, "/x");
    assert_true(p.cli.json);
    options_free(&p.cli);
    p = parse(&plain, "--format json plain a --format table");
    assert_false(p.cli.json);
    options_free(&p.cli);
    p = parse(&plain, "plain --help");
    assert_int_equal(p.result, 0);
    assert_true(p.cli.help);
    options_free(&p.cli);
}

static void wrong_usage_is_named(void **state)
{
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"plain", "which VM?"},
        {"plain ../a", "id '../a' is not valid"},
        {"plain --id", "--id: missing argument"},
        {"plain a --bogus", "--bogus: unknown option"},
        {"plain a b c", "unexpected argument 'c'"},
        {"plain a --choice three", "--choice: 'three' is not one of: one, two"},
        {"plain a --choice one|two", "is not one of"},
        {"plain a --timeout never", "--timeout: duration 'never'"},
        {"plain a --number -1", "number '-1'"},
        {"plain a --flag=1", "--flag"},
        {"--format xml plain a", "--format: 'xml' is not one of: table, json"},
        {"--text x plain a", "unknown option"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct parsed p = parse(&plain, bad[i].line);
        assert_int_equal(p.result, -1);
        assert_int_equal(p.e.code, ERR_USAGE);
        if (!strstr(p.e.msg, bad[i].says))
            fail_msg("%s gives: %s", bad[i].line, p.e.msg);
        options_free(&p.cli);
    }
}

static void a_command_of_the_guest_keeps_its_options(void **state)
{
    static const char *const lines[] = {
        "wrapper a ls -l --text y",          "wrapper a -- ls -l --text y",
        "wrapper --id a ls -l --text y",     "wrapper --id a -- ls -l --text y",
        "wrapper --text x a ls -l --text y", "wrapper a --text x -- ls -l --text y",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct parsed p = parse(&wrapper, lines[i]);
        assert_int_equal(p.result, 0);
        assert_string_equal(p.cli.id, "a");
        assert_int_equal(p.cli.argc, 4);
        assert_string_equal(p.cli.argv[0], "ls");
        assert_string_equal(p.cli.argv[1], "-l");
        assert_string_equal(p.cli.argv[3], "y");
        assert_true(!p.args.text || strcmp(p.args.text, "x") == 0);
        options_free(&p.cli);
    }
}

static void a_command_without_anything(void **state)
{
    struct parsed p = parse(&nothing, "nothing");
    assert_int_equal(p.result, 0);
    options_free(&p.cli);
    p = parse(&nothing, "nothing a");
    assert_int_equal(p.result, -1);
    options_free(&p.cli);
}

static void options_of_a_family_stand_on_both_sides(void **state)
{
    struct parsed p = parse(&family, "family --listen /x member --flag --control /y b");
    assert_int_equal(p.result, 0);
    assert_string_equal(p.cli.argv[0], "member");
    p.result = options_parse(&p.cli, &member, &p.args, &p.e);
    assert_int_equal(p.result, 0);
    assert_string_equal(p.cli.listen, "/x");
    assert_string_equal(p.cli.control, "/y");
    assert_true(p.args.flag);
    assert_string_equal(p.cli.argv[0], "b");
    options_free(&p.cli);
}

static void typing_errors_find_their_command(void **state)
{
    assert_string_equal(command_nearest(commands, "delet"), "delete");
    assert_string_equal(command_nearest(commands, "craete"), "create");
    assert_null(command_nearest(commands, "x"));
    assert_null(
        command_nearest(commands, "something-else-entirely-and-far-too-long-for-a-command"));
}

static void check_options(const struct command *cmd)
{
    struct opt_group groups[OPT_GROUPS];
    const char *seen[64];
    int count = 0;
    int n = option_groups(cmd, NULL, NULL, groups);
    for (int g = 0; g < n; g++)
        for (const struct opt *opt = groups[g].opts; opt->name; opt++) {
            for (int i = 0; i < count; i++)
                assert_string_not_equal(seen[i], opt->name);
            assert_true(count < 64);
            seen[count++] = opt->name;
            assert_non_null(opt->help);
            assert_true((opt->kind == OPT_FLAG) == (opt->arg == NULL));
        }
}

static void check_commands(const struct command *const *known, const struct command *of)
{
    for (int i = 0; known[i]; i++) {
        const struct command *cmd = known[i];
        assert_non_null(cmd->summary);
        assert_non_null(cmd->run);
        assert_ptr_equal(command_find(known, cmd->name), cmd);
        assert_ptr_equal(cmd->family, of);
        assert_true(!cmd->opts || cmd->members || cmd->args_size > 0);
        check_options(cmd);
        if (cmd->members)
            check_commands(cmd->members, cmd);
    }
}

static void the_tables_are_whole(void **state)
{
    check_commands(commands, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_arrive_in_every_form),
        cmocka_unit_test(what_is_not_given_has_its_default),
        cmocka_unit_test(the_id_is_the_first_plain_argument_unless_given),
        cmocka_unit_test(global_options_stand_on_both_sides),
        cmocka_unit_test(wrong_usage_is_named),
        cmocka_unit_test(a_command_of_the_guest_keeps_its_options),
        cmocka_unit_test(a_command_without_anything),
        cmocka_unit_test(options_of_a_family_stand_on_both_sides),
        cmocka_unit_test(typing_errors_find_their_command),
        cmocka_unit_test(the_tables_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
