// JSON lines: what is a line, what is refused, and where the next one begins.
#include "proto/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"

static int make_buffer(void **state)
{
    *state = evbuffer_new();
    return 0;
}

static int free_buffer(void **state)
{
    evbuffer_free(*state);
    return 0;
}

static void put(struct evbuffer *in, const char *text)
{
    evbuffer_add(in, text, strlen(text));
}

static void assert_dump(const json_t *object, const char *want)
{
    AUTO_FREE char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, want);
}

static void assert_takes(struct evbuffer *in, const char *want)
{
    json_t *object;
    struct err e = {0};
    assert_int_equal(line_take(in, &object, &e), LINE_OK);
    assert_int_equal(e.code, 0);
    assert_dump(object, want);
    json_decref(object);
}

static void assert_result(struct evbuffer *in, enum line_result want)
{
    json_t *object = (json_t *)in;
    struct err e = {0};
    assert_int_equal(line_take(in, &object, &e), want);
    assert_null(object);
    assert_int_equal(e.code, want == LINE_NONE ? 0 : ERR_USAGE);
}

static void lines_come_out_one_by_one(void **state)
{
    struct evbuffer *in = *state;
    put(in, "{\"id\":1}\n{\"id\":2}\n {\"id\" : 3} \r\n{\"id\":");
    assert_takes(in, "{\"id\":1}");
    assert_takes(in, "{\"id\":2}");
    assert_takes(in, "{\"id\":3}");
    assert_result(in, LINE_NONE);
    put(in, "4}\n");
    assert_takes(in, "{\"id\":4}");
    assert_result(in, LINE_NONE);
}

static void a_line_may_come_in_bytes(void **state)
{
    struct evbuffer *in = *state;
    static const char text[] = "{\"a\":\"\xc3\xa4\"}\n";
    for (size_t i = 0; i + 2 < sizeof text; i++) {
        evbuffer_add(in, text + i, 1);
        assert_result(in, LINE_NONE);
    }
    put(in, "\n");
    assert_takes(in, "{\"a\":\"\xc3\xa4\"}");
}

// An object of exactly n bytes, without its newline.
static void put_long(struct evbuffer *in, size_t n)
{
    AUTO_FREE char *text = xcalloc(1, n + 1);
    memset(text, 'x', n);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + n - 2, "\"}", 2);
    put(in, text);
}

static void the_limit_is_a_mebibyte(void **state)
{
    struct evbuffer *in = *state;
    json_t *object;
    struct err e;
    put_long(in, 1048576);
    assert_result(in, LINE_NONE);
    put(in, "\n{}\n");
    assert_int_equal(line_take(in, &object, &e), LINE_OK);
    assert_int_equal(json_string_length(json_object_get(object, "a")), 1048576 - 8);
    json_decref(object);
    assert_takes(in, "{}");
    put_long(in, 1048577);
    put(in, "\n");
    assert_result(in, LINE_TOO_LONG);
}

static void a_line_without_end_is_too_long(void **state)
{
    struct evbuffer *in = *state;
    put_long(in, 1048577);
    assert_result(in, LINE_TOO_LONG);
}

static void what_is_no_object_is_passed_over(void **state)
{
    struct evbuffer *in = *state;
    static const char *const bad[] = {
        "",
        " ",
        "\r",
        "[]",
        "7",
        "null",
        "\"text\"",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1e999}",
        "{\"a\":99999999999999999999}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"\\u0000\":1}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc3\"}",
        "{\"a\":\"\xc0\xaf\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xf4\x90\x80\x80\"}",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(in, bad[i]);
        put(in, "\n{\"next\":true}\n");
        assert_result(in, LINE_BAD);
        assert_takes(in, "{\"next\":true}");
    }
}

static void nul_bytes_are_refused(void **state)
{
    struct evbuffer *in = *state;
    static const char text[] = "{}\0\n\0{}\n{\"a\":\"x\0y\"}\n{\0}\n\0\n{}\n";
    evbuffer_add(in, text, sizeof text - 1);
    for (int i = 0; i < 5; i++)
        assert_result(in, LINE_BAD);
    assert_takes(in, "{}");
}

static void deep_nesting_is_refused(void **state)
{
    struct evbuffer *in = *state;
    AUTO_FREE char *text = xcalloc(1, 1000001);
    memset(text, '[', 1000000);
    put(in, "{\"a\":");
    put(in, text);
    put(in, "\n");
    assert_result(in, LINE_BAD);
    assert_int_equal(evbuffer_get_length(in), 0);
}

static void what_is_put_is_one_line(void **state)
{
    struct evbuffer *in = *state;
    json_t *object = json_pack("{s:s}", "text", "two\nlines \"\\\x7f\xe2\x82\xac");
    line_put(in, object);
    line_put(in, object);
    for (int i = 0; i < 2; i++) {
        json_t *back;
        struct err e;
        assert_int_equal(line_take(in, &back, &e), LINE_OK);
        assert_true(json_equal(object, back));
        json_decref(back);
    }
    assert_int_equal(evbuffer_get_length(in), 0);
    json_decref(object);
}

static void assert_answer(json_t *answer, const char *want)
{
    assert_dump(answer, want);
    json_decref(answer);
}

static void answers_carry_the_id(void **state)
{
    (void)state;
    struct err e;
    json_t *id = json_pack("{s:i}", "any", 7);
    err_set(&e, ERR_BUSY, "it is saving");
    assert_answer(line_answer_ok(id, json_pack("{s:b}", "done", 1)),
                  "{\"id\":{\"any\":7},\"ok\":{\"done\":true}}");
    assert_answer(line_answer_ok(NULL, NULL), "{\"id\":null,\"ok\":{}}");
    assert_answer(
        line_answer_error(id, &e),
        "{\"error\":{\"code\":\"busy\",\"message\":\"it is saving\"},\"id\":{\"any\":7}}");
    assert_answer(line_answer_error(NULL, &e),
                  "{\"error\":{\"code\":\"busy\",\"message\":\"it is saving\"},\"id\":null}");
    json_decref(id);
}

// A message may have been cut in the middle of a character, or hold what a guest wrote.
static void an_error_is_told_whatever_its_bytes(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_FAILED, "cut: \xc3");
    json_t *answer = line_answer_error(NULL, &e);
    const char *code = NULL;
    const char *message = NULL;
    assert_int_equal(
        json_unpack(answer, "{s:{s:s, s:s}}", "error", "code", &code, "message", &message), 0);
    assert_string_equal(code, "failed");
    assert_memory_equal(message, "cut: ", 5);
    json_decref(answer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_buffer, free_buffer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_come_out_one_by_one),
        TEST(a_line_may_come_in_bytes),
        TEST(the_limit_is_a_mebibyte),
        TEST(a_line_without_end_is_too_long),
        TEST(what_is_no_object_is_passed_over),
        TEST(nul_bytes_are_refused),
        TEST(deep_nesting_is_refused),
        TEST(what_is_put_is_one_line),
        cmocka_unit_test(answers_carry_the_id),
        cmocka_unit_test(an_error_is_told_whatever_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
