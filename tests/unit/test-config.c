// config.json: defaults, every refusal, and that what is not ours survives.
#include "vm/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void must_parse(const char *text, struct vm_config *c)
{
    struct err e = {0};
    char *warning;
    if (config_parse(text, "a", c, &warning, &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    free(warning);
}

static void defaults(void **state)
{
    struct vm_config c;
    char mac[MAC_TEXT];
    must_parse("{}", &c);
    assert_string_equal(c.vm_id, "a");
    assert_string_equal(c.server_socket, "/tmp/qemu-dgram.sock");
    assert_int_equal(c.memory_size, 4294967296);
    assert_int_equal(c.port, 51009);
    mac_format(&c.mac, mac);
    assert_string_equal(mac, "52:cc:cc:cc:cc:01");
    mac_format(&c.ethermac, mac);
    assert_string_equal(mac, "52:cc:cc:cc:ce:01");
    assert_null(c.shared_dir);
    assert_null(c.kernel);
    assert_string_equal(c.engine, "qemu");
    assert_true(c.vsock);
    config_free(&c);
}

static void the_original_four_keys_are_enough(void **state)
{
    struct vm_config c;
    must_parse("{\"vmID\":\"a\",\"serverSocket\":\"/tmp/x.sock\",\"memorySize\":16777216,"
               "\"mac\":\"52:CC:00:00:00:01\"}",
               &c);
    assert_int_equal(c.memory_size, 16 << 20);
    assert_string_equal(c.server_socket, "/tmp/x.sock");
    assert_true(config_has(&c, "mac"));
    assert_false(config_has(&c, "ethermac"));
    assert_false(config_has(&c, "arch"));
    config_free(&c);
}

// Each is refused with an error that has all three: key, value, what is allowed.
static void bad_values(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {
        {"{\"memorySize\":\"x\"}",
         "memorySize: \"x\" is not a whole number of bytes from 16777216 to 1099511627776"},
        {"{\"memorySize\":16777215}", "memorySize: 16777215 is not a whole number"},
        {"{\"memorySize\":-1}", "memorySize: -1 is not"},
        {"{\"memorySize\":1099511627777}", "memorySize: 1099511627777 is not"},
        {"{\"memorySize\":1e9}", "memorySize: 1000000000.0 is not"},
        {"{\"port\":0}", "port: 0 is not a whole number from 1 to 4294967294"},
        {"{\"port\":4294967295}", "port: 4294967295 is not"},
        {"{\"port\":true}", "port: true is not"},
        {"{\"mac\":\"53:cc:cc:cc:cc:01\"}", "mac: \"53:cc:cc:cc:cc:01\" is not a unicast MAC"},
        {"{\"mac\":null}", "mac: null is not"},
        {"{\"mac\":[]}", "mac: [] is not"},
        {"{\"mac\":\"52:cc:cc:cc:ce:01\"}", "mac and ethermac are both 52:cc:cc:cc:ce:01"},
        {"{\"serverSocket\":\"\"}", "serverSocket: \"\" is not an absolute path"},
        {"{\"serverSocket\":\"x\"}", "serverSocket: \"x\" is not an absolute path"},
        {"{\"serverSocket\":\"/a\\nb\"}", "serverSocket: \"/a\\nb\" is not"},
        {"{\"sharedDir\":\"x\"}", "sharedDir: \"x\" is not the absolute path of a directory"},
        {"{\"engine\":\"xen\"}", "engine: \"xen\" is not qemu or vz"},
        {"{\"engine\":\"qemu|vz\"}", "engine: \"qemu|vz\" is not"},
        {"{\"arch\":\"arm64\"}", "arch: \"arm64\" is not x86_64 or aarch64"},
        {"{\"machine\":\"q35,accel=kvm\"}", "machine: \"q35,accel=kvm\" is not"},
        {"{\"cpu\":\"max,x=1 -device y\"}", "cpu: \"max,x=1 -device y\" is not"},
        {"{\"cpus\":0}", "cpus: 0 is not a whole number from 1 to 255"},
        {"{\"diskFormat\":\"vmdk\"}", "diskFormat: \"vmdk\" is not raw or qcow2"},
        {"{\"kernel\":\"../Kernel\"}", "kernel: \"../Kernel\" is not the name of a file"},
        {"{\"kernel\":\"a/b\"}", "kernel: \"a/b\" is not"},
        {"{\"initrd\":\"..\"}", "initrd: \"..\" is not"},
        {"{\"initrd\":\"config.json\"}", "initrd: \"config.json\" is not"},
        {"{\"cmdline\":\"a\\tb\"}", "cmdline: \"a\\tb\" is not at most 2047 bytes"},
        {"{\"firmware\":\"efi\"}", "firmware: \"efi\" is not bios or uefi"},
        {"{\"vsock\":1}", "vsock: 1 is not true or false"},
        {"{\"vmID\":5}", "vmID: 5 is not an id"},
        {"{\"vmID\":\"../x\"}", "vmID: \"../x\" is not an id"},
        {"{\"mac\":\"\\u001b[31m\"}", "mac: \"\\u001B[31m\" is not"},
        {"", "line 1, column 0"},
        {"{", "line 1"},
        {"{\n\"port\":}", "line 2, column 8"},
        {"[]", "not a JSON object"},
        {"{} x", "line 1"},
        {"{\"port\":1,\"port\":2}", "line 1"},
        {"{\"a\":\"\\u0000\"}", "line 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vm_config c;
        struct err e = {0};
        char *warning;
        assert_int_equal(config_parse(bad[i].text, "a", &c, &warning, &e), -1);
        assert_null(warning);
        assert_int_equal(e.code, ERR_FAILED);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("%s gives: %s", bad[i].text, e.msg);
        config_free(&c); // empty, and may be freed
    }
}

static void a_long_value_is_cut(void **state)
{
    char text[8192];
    char value[4096];
    struct vm_config c;
    struct err e;
    char *warning;
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = 0;
    snprintf(text, sizeof text, "{\"cmdline\":\"%s\"}", value);
    assert_int_equal(config_parse(text, "a", &c, &warning, &e), -1);
    assert_non_null(strstr(e.msg, "at most 2047 bytes"));
}

static void the_directory_name_wins(void **state)
{
    struct vm_config c;
    struct err e;
    char *warning;
    assert_int_equal(config_parse("{\"vmID\":\"other\"}", "a", &c, &warning, &e), 0);
    assert_string_equal(c.vm_id, "a");
    assert_non_null(warning);
    assert_non_null(strstr(warning, "other"));
    json_t *doc = config_to_file(&c);
    assert_string_equal(json_string_value(json_object_get(doc, "vmID")), "a");
    json_decref(doc);
    free(warning);
    config_free(&c);
}

static void rewriting_keeps_what_is_not_ours(void **state)
{
    struct vm_config c;
    struct err e;
    must_parse("{\"z\":{\"deep\":[1,2.5]},\"port\":7,\"mac\":\"52-00-00-00-00-0A\",\"n\":null}",
               &c);
    assert_int_equal(config_set(&c, "memorySize", "1G", &e), 0);
    json_t *doc = config_to_file(&c);
    char *text = json_dumps(doc, JSON_COMPACT);
    assert_string_equal(text, "{\"z\":{\"deep\":[1,2.5]},\"port\":7,\"mac\":\"52:00:00:00:00:0a\","
                              "\"n\":null,\"memorySize\":1073741824}");
    free(text);
    json_decref(doc);
    config_free(&c);
}

static void every_value_survives_writing_and_reading(void **state)
{
    static const char text[] =
        "{\"vmID\":\"a\",\"serverSocket\":\"/s\",\"memorySize\":1073741824,"
        "\"mac\":\"52:00:00:00:00:01\",\"ethermac\":\"52:00:00:00:00:02\",\"port\":4294967294,"
        "\"sharedDir\":\"/srv/a "
        "b\",\"engine\":\"vz\",\"arch\":\"aarch64\",\"machine\":\"virt-7.2\","
        "\"cpu\":\"max,pauth-impdef=on\",\"cpus\":255,\"diskFormat\":\"qcow2\",\"kernel\":"
        "\"Kernel\","
        "\"initrd\":\"Initrd\",\"cmdline\":\"a=\\\"b\\\" "
        "c\",\"firmware\":\"uefi\",\"vsock\":false}";
    struct vm_config c;
    struct vm_config copy;
    must_parse(text, &c);
    config_copy(&c, "b", &copy);
    assert_string_equal(copy.vm_id, "b");
    json_t *before = config_to_json(&c);
    json_t *after = config_to_json(&copy);
    char *dump = json_dumps(before, JSON_COMPACT);
    assert_string_equal(dump, text);
    json_object_set_new(after, "vmID", json_string("a"));
    assert_true(json_equal(before, after));
    free(dump);
    json_decref(before);
    json_decref(after);
    config_free(&c);
    config_free(&copy);
}

static void a_copy_leaves_out_what_was_left_out(void **state)
{
    struct vm_config c;
    struct vm_config copy;
    must_parse("{\"port\":9,\"x\":1}", &c);
    config_copy(&c, "b", &copy);
    json_t *doc = config_to_file(&copy);
    assert_int_equal(json_object_size(doc), 2);
    assert_false(config_has(&copy, "memorySize"));
    json_decref(doc);
    config_free(&copy);
    config_settle(&c);
    assert_true(config_has(&c, "memorySize"));
    assert_true(config_has(&c, "arch"));
    assert_true(config_has(&c, "x"));
    assert_false(config_has(&c, "sharedDir"));
    config_free(&c);
}

static void what_is_set_in_the_struct_is_written(void **state)
{
    struct vm_config c;
    must_parse("{\"machine\":\"pc-q35-7.1\"}", &c);
    free(c.machine);
    c.machine = strdup("pc-q35-7.2");
    c.cpu = strdup("Nehalem");
    json_t *doc = config_to_file(&c);
    assert_int_equal(json_object_size(doc), 2);
    assert_string_equal(json_string_value(json_object_get(doc, "machine")), "pc-q35-7.2");
    assert_string_equal(json_string_value(json_object_get(doc, "cpu")), "Nehalem");
    json_decref(doc);
    config_free(&c);
}

static void options_set_keys(void **state)
{
    struct vm_config c;
    struct err e;
    config_init(&c, "a");
    assert_int_equal(config_set(&c, "memorySize", "512M", &e), 0);
    assert_int_equal(c.memory_size, 512 << 20);
    assert_true(config_has(&c, "memorySize"));
    assert_int_equal(config_set(&c, "sharedDir", "/tmp/.", &e), 0);
    assert_string_equal(c.shared_dir, "/tmp");
    assert_int_equal(config_set(&c, "sharedDir", "", &e), 0);
    assert_null(c.shared_dir);
    assert_false(config_has(&c, "sharedDir"));
    assert_int_equal(config_set(&c, "vsock", "off", &e), 0);
    assert_false(c.vsock);
    config_free(&c);
}

static void bad_options_change_nothing(void **state)
{
    static const struct {
        const char *key, *text, *says;
    } bad[] = {
        {"memorySize", "15M", "--x: \"15M\" is not a size from 16M to 1T"},
        {"memorySize", "", "is not a size"},
        {"port", "-1", "--x: \"-1\" is not a whole number from 1"},
        {"mac", "", "is not a unicast"},
        {"sharedDir", "/nonexistent/dir", "--x: \"/nonexistent/dir\" is not a directory"},
        {"sharedDir", "/dev/null", "is not a directory"},
        {"serverSocket", "rel", "is not an absolute path"},
        {"engine", "\xff", "is not qemu or vz"},
    };
    struct vm_config c;
    struct err e;
    config_init(&c, "a");
    json_t *before = config_to_json(&c);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(config_set_as(&c, "--x", bad[i].key, bad[i].text, &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("%s %s gives: %s", bad[i].key, bad[i].text, e.msg);
    }
    json_t *after = config_to_json(&c);
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
    config_free(&c);
}

static void every_option_has_a_key(void **state)
{
    struct vm_config c;
    struct err e;
    config_init(&c, "a");
    for (const struct config_option *o = config_options; o->option; o++) {
        assert_non_null(o->help);
        assert_non_null(o->arg);
        config_set(&c, o->key, "\x01", &e); // an unknown key would abort
    }
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(the_original_four_keys_are_enough),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(a_long_value_is_cut),
        cmocka_unit_test(the_directory_name_wins),
        cmocka_unit_test(rewriting_keeps_what_is_not_ours),
        cmocka_unit_test(every_value_survives_writing_and_reading),
        cmocka_unit_test(a_copy_leaves_out_what_was_left_out),
        cmocka_unit_test(what_is_set_in_the_struct_is_written),
        cmocka_unit_test(options_set_keys),
        cmocka_unit_test(bad_options_change_nothing),
        cmocka_unit_test(every_option_has_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
