// QEMU's command line: what saved state relies on, and what a value must never become.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "engine/qemu/internal.h"

enum { QMP_FD = 20, CONSOLE_FD = 21, AGENT_FD = 22, RAM_FD = 23, NIC_FD = 24 };

struct world {
    struct engine engine;
    struct engine_spec spec;
    struct vm_config config;
    struct argv argv;
};

// A machine without disk, kernel and NICs.
static int make_world(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    config_init(&w->config, "a");
    w->engine = (struct engine){
        .machine = {.arch = "x86_64",
                    .binary = "qemu-system-x86_64",
                    .type = xstrdup("pc-q35-7.2"),
                    .options = ",usb=off",
                    .cpu = xstrdup("Nehalem-v1,+rdrand")},
        .ram_size = 512 << 20,
        .ram_fd = RAM_FD,
        .cpus = 3,
    };
    w->engine.accel.accel = ACCEL_TCG;
    w->spec = (struct engine_spec){.config = &w->config,
                                   .console_fd = CONSOLE_FD,
                                   .agent_fd = AGENT_FD,
                                   .lock_fd = 25,
                                   .overlay_fd = -1};
    *state = w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    argv_free(&w->argv);
    machine_free(&w->engine.machine);
    config_free(&w->config);
    free(w);
    return 0;
}

static void set(struct world *w, const char *key, const char *text)
{
    struct err e;
    if (config_set(&w->config, key, text, &e) < 0)
        fail_msg("%s", e.msg);
}

static void add_nic(struct world *w, enum nic_role role, uint8_t last)
{
    struct mac mac = {{0x52, 0xcc, 0xcc, 0xcc, 0xcc, last}};
    w->engine.nics[w->engine.nic_count] =
        (struct engine_nic){.role = role, .mac = mac, .socket_fd = NIC_FD + w->engine.nic_count};
    w->engine.nic_count++;
}

static void build(struct world *w)
{
    argv_free(&w->argv);
    qemu_argv(&w->engine, &w->spec, QMP_FD, &w->argv);
}

// How often an argument is there.
static int count(const struct world *w, const char *text)
{
    int n = 0;
    for (int i = 0; i < w->argv.n; i++)
        n += strcmp(w->argv.v[i], text) == 0;
    return n;
}

// The value of an option that is there once.
static void assert_value(const struct world *w, const char *option, const char *want)
{
    assert_int_equal(count(w, option), 1);
    for (int i = 0; i + 1 < w->argv.n; i++)
        if (strcmp(w->argv.v[i], option) == 0)
            assert_string_equal(w->argv.v[i + 1], want);
}

static bool has_pair(const struct world *w, const char *option, const char *value)
{
    for (int i = 0; i + 1 < w->argv.n; i++)
        if (strcmp(w->argv.v[i], option) == 0 && strcmp(w->argv.v[i + 1], value) == 0)
            return true;
    return false;
}

// The JSON value of `option` whose `key` is `name`; NULL when there is none.
static json_t *find(const struct world *w, const char *option, const char *key, const char *name)
{
    json_t *found = NULL;
    for (int i = 0; i + 1 < w->argv.n; i++) {
        if (strcmp(w->argv.v[i], option) != 0)
            continue;
        json_t *one = json_loads(w->argv.v[i + 1], JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(one); // such options are JSON throughout
        const char *is = json_string_value(json_object_get(one, key));
        if (is && strcmp(is, name) == 0 && !found)
            found = json_incref(one);
        json_decref(one);
    }
    return found;
}

static void assert_json(const struct world *w, const char *option, const char *key,
                        const char *name, const char *want)
{
    json_t *is = find(w, option, key, name);
    json_t *expected = json_loads(want, 0, NULL);
    assert_non_null(expected);
    if (!json_equal(is, expected)) {
        AUTO_FREE char *text = json_dumps(is, JSON_COMPACT);
        fail_msg("%s %s", option, text ? text : name);
    }
    json_decref(is);
    json_decref(expected);
}

static void assert_absent(const struct world *w, const char *option, const char *key,
                          const char *name)
{
    assert_null(find(w, option, key, name));
}

static void the_machine_is_as_asked(void **state)
{
    struct world *w = *state;
    build(w);
    assert_string_equal(w->argv.v[0], "qemu-system-x86_64");
    assert_value(w, "-machine", "pc-q35-7.2,usb=off,memory-backend=ram");
    assert_value(w, "-cpu", "Nehalem-v1,+rdrand");
    assert_value(w, "-smp", "3");
    assert_value(w, "-m", "512M");
    assert_value(w, "-accel", "tcg");
    assert_value(w, "-name", "guest=a");
    assert_value(w, "-display", "none");
    assert_value(w, "-action", "panic=pause");
    assert_int_equal(count(w, "-nodefaults"), 1);
    assert_int_equal(count(w, "-no-user-config"), 1);
    assert_int_equal(count(w, "-S"), 1); // runs when told to
    assert_int_equal(count(w, "-incoming"), 0);
    assert_int_equal(count(w, "-uuid"), 0);
    json_t *ram = find(w, "-object", "id", "ram");
    assert_int_equal(json_integer_value(json_object_get(ram, "size")), 512 << 20);
    assert_true(json_is_true(json_object_get(ram, "share"))); // or a save would miss it
    assert_non_null(strstr(json_string_value(json_object_get(ram, "mem-path")), "/23"));
    json_decref(ram);
}

static void it_is_shut_in(void **state)
{
    struct world *w = *state;
    build(w);
    assert_value(w, "-sandbox",
                 "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

static void channels_are_the_descriptors_given(void **state)
{
    struct world *w = *state;
    build(w);
    assert_true(has_pair(w, "-chardev", "socket,id=qmp,fd=20"));
    assert_true(has_pair(w, "-mon", "chardev=qmp,mode=control"));
    assert_true(has_pair(w, "-chardev", "socket,id=console,fd=21"));
    assert_true(has_pair(w, "-serial", "chardev:console"));
    assert_true(has_pair(w, "-chardev", "socket,id=agent,fd=22"));
    assert_json(w, "-device", "id", "agent0",
                "{\"driver\":\"virtserialport\",\"id\":\"agent0\",\"chardev\":\"agent\","
                "\"name\":\"org.tailmac.agent.0\"}");
}

// Saved device state goes by these; another address or id makes it unreadable.
static void assert_pinned(const struct world *w, const char *id, const char *driver,
                          const char *address)
{
    json_t *device = find(w, "-device", "id", id);
    assert_string_equal(json_string_value(json_object_get(device, "driver")), driver);
    assert_string_equal(json_string_value(json_object_get(device, "bus")), "pcie.0");
    assert_string_equal(json_string_value(json_object_get(device, "addr")), address);
    json_decref(device);
}

static void devices_have_fixed_places(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 2; round++) { // with a disk or without
        build(w);
        assert_pinned(w, "rp0", "pcie-root-port", "2.0");
        assert_pinned(w, "rp1", "pcie-root-port", "3.0");
        assert_pinned(w, "vs0", "virtio-serial-pci", "5.0");
        assert_pinned(w, "panic0", "pvpanic-pci", "6.0");
        assert_pinned(w, "rng0", "virtio-rng-pci", "7.0");
        if (round == 0)
            assert_absent(w, "-device", "id", "blk0");
        set(w, "diskFormat", "qcow2");
    }
    assert_pinned(w, "blk0", "virtio-blk-pci", "4.0");
    assert_json(w, "-blockdev", "node-name", "disk0",
                "{\"driver\":\"qcow2\",\"node-name\":\"disk0\",\"discard\":\"unmap\",\"file\":"
                "{\"driver\":\"file\",\"filename\":\"Disk.img\",\"discard\":\"unmap\"},"
                "\"backing\":null}");
}

// A fork writes an image of its own over the disks of its base, none of which is opened by name.
static void disks_in_layers_are_passed_open(void **state)
{
    struct world *w = *state;
    struct layers layers = {.of = {{.fd = 31, .lock_fd = 32, .format = "qcow2"},
                                   {.fd = 33, .lock_fd = 34, .format = "raw"}},
                            .count = 2};
    w->spec.overlay_fd = 30;
    w->spec.layers = &layers;
    build(w);
    assert_json(
        w, "-blockdev", "node-name", "disk0",
        "{\"driver\":\"qcow2\",\"node-name\":\"disk0\",\"discard\":\"unmap\",\"file\":"
        "{\"driver\":\"file\",\"filename\":\"/proc/self/fd/30\",\"discard\":\"unmap\"},"
        "\"backing\":{\"driver\":\"qcow2\",\"read-only\":true,\"file\":{\"driver\":\"file\","
        "\"filename\":\"/proc/self/fd/31\",\"read-only\":true,\"locking\":\"off\"},"
        "\"backing\":{\"driver\":\"raw\",\"read-only\":true,\"file\":{\"driver\":\"file\","
        "\"filename\":\"/proc/self/fd/33\",\"read-only\":true,\"locking\":\"off\"}}}}");
    assert_pinned(w, "blk0", "virtio-blk-pci", "4.0");
}

// Not through config_set(): these would be refused there already.
static void values_stay_values(void **state)
{
    struct world *w = *state;
    static const char evil[] = "x,format=raw -monitor stdio \"';\\,,$(id)";
    w->config.kernel = xstrdup(evil);
    w->config.initrd = xstrdup(evil);
    w->config.cmdline = xstrdup(evil);
    build(w);
    assert_value(w, "-kernel", evil);
    assert_value(w, "-initrd", evil);
    assert_value(w, "-append", evil);
    assert_int_equal(count(w, evil), 3);
    assert_int_equal(count(w, "-monitor"), 0);
    free(w->config.disk_format);
    w->config.disk_format = xstrdup("raw\",\"file\":{\"x\":\"");
    build(w);
    json_t *disk = find(w, "-blockdev", "node-name", "disk0");
    assert_string_equal(json_string_value(json_object_get(disk, "driver")), w->config.disk_format);
    json_decref(disk);
    w->engine.firmware = "/firm,ware\".fd";
    build(w);
    json_t *code = find(w, "-blockdev", "node-name", "fwcode");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(code, "file"), "filename")),
        "/firm,ware\".fd");
    json_decref(code);
}

static void a_kernel_is_optional(void **state)
{
    struct world *w = *state;
    set(w, "cmdline", "quiet");
    build(w);
    assert_int_equal(count(w, "-kernel") + count(w, "-initrd") + count(w, "-append"), 0);
    set(w, "kernel", "Kernel");
    set(w, "cmdline", "");
    build(w);
    assert_value(w, "-kernel", "Kernel");
    assert_int_equal(count(w, "-initrd") + count(w, "-append"), 0);
}

static void firmware_is_a_pair_of_flashes(void **state)
{
    struct world *w = *state;
    build(w);
    assert_absent(w, "-blockdev", "node-name", "fwcode");
    w->engine.firmware = "/code.fd";
    build(w);
    assert_value(w, "-machine",
                 "pc-q35-7.2,usb=off,memory-backend=ram,pflash0=fwcode,pflash1=fwvars");
    assert_json(w, "-blockdev", "node-name", "fwcode",
                "{\"driver\":\"raw\",\"node-name\":\"fwcode\",\"read-only\":true,\"file\":"
                "{\"driver\":\"file\",\"filename\":\"/code.fd\",\"read-only\":true}}");
    assert_json(w, "-blockdev", "node-name", "fwvars",
                "{\"driver\":\"raw\",\"node-name\":\"fwvars\",\"read-only\":false,\"file\":"
                "{\"driver\":\"file\",\"filename\":\"AuxiliaryStorage\",\"read-only\":false}}");
}

static void an_identity_and_a_state_are_passed_on(void **state)
{
    struct world *w = *state;
    struct engine_saved saved = {.dir_fd = -1, .stream_fd = -1};
    w->engine.machine.uuid = xstrdup("01234567-89ab-cdef-0123-456789abcdef");
    w->spec.saved = &saved;
    build(w);
    assert_value(w, "-uuid", "01234567-89ab-cdef-0123-456789abcdef");
    assert_value(w, "-incoming", "defer");
}

static void a_nic_may_use_a_stream(void **state)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const struct engine_nic nic = {.role = NIC_SOCKET, .socket_fd = ends[0]};
    json_t *want = json_pack("{s:s, s:s, s:s}", "type", "socket", "id", "nic1b", "fd", "name");
    json_t *is = nic_backend_args(&nic, 1, "name");
    assert_true(json_equal(is, want));
    json_decref(is);
    json_decref(want);
    close(ends[0]);
    close(ends[1]);
}

static void nics_sit_in_their_ports(void **state)
{
    struct world *w = *state;
    add_nic(w, NIC_NAT, 1);
    add_nic(w, NIC_SOCKET, 2);
    build(w);
    assert_json(w, "-netdev", "id", "nic0b",
                "{\"type\":\"user\",\"id\":\"nic0b\","
                "\"hostfwd\":[{\"str\":\"tcp:127.0.0.1:0-:22\"}]}");
    assert_json(w, "-netdev", "id", "nic1b",
                "{\"type\":\"dgram\",\"id\":\"nic1b\",\"local\":{\"type\":\"fd\",\"str\":\"25\"}}");
    for (int i = 0; i < 2; i++) {
        char id[16];
        char want[200];
        snprintf(id, sizeof id, "nic%dp", i);
        snprintf(want, sizeof want,
                 "{\"type\":\"hubport\",\"id\":\"nic%dp\",\"hubid\":%d,\"netdev\":\"nic%db\"}", i,
                 i, i);
        assert_json(w, "-netdev", "id", id, want);
        snprintf(id, sizeof id, "nic%dh", i);
        snprintf(want, sizeof want, "{\"type\":\"hubport\",\"id\":\"nic%dh\",\"hubid\":%d}", i, i);
        assert_json(w, "-netdev", "id", id, want);
        snprintf(id, sizeof id, "nic%d", i);
        snprintf(want, sizeof want,
                 "{\"driver\":\"virtio-net-pci\",\"id\":\"nic%d\",\"netdev\":\"nic%dh\",\"mac\":"
                 "\"52:cc:cc:cc:cc:%02d\",\"bus\":\"rp%d\",\"romfile\":\"\","
                 "\"guest_announce\":false}",
                 i, i, i + 1, i);
        assert_json(w, "-device", "id", id, want);
    }
}

static void without_nics_the_ports_wait(void **state)
{
    struct world *w = *state;
    build(w);
    assert_int_equal(count(w, "-netdev"), 0);
    assert_absent(w, "-device", "id", "nic0");
    assert_pinned(w, "rp0", "pcie-root-port", "2.0");
}

static void vsock_has_a_place_of_its_own(void **state)
{
    struct world *w = *state;
    build(w);
    assert_absent(w, "-device", "id", "rpv");
    w->spec.vsock = true;
    w->spec.vsock_fd = -1; // a saved guest gets its device later
    build(w);
    assert_pinned(w, "rpv", "pcie-root-port", "8.0");
    assert_absent(w, "-device", "id", "vsock0");
    w->spec.vsock_fd = 31;
    build(w);
    assert_pinned(w, "rpv", "pcie-root-port", "8.0");
    assert_true(has_pair(w, "-chardev", "socket,id=vsock0c,fd=31"));
    assert_json(w, "-device", "id", "vsock0",
                "{\"driver\":\"vhost-user-vsock-pci\",\"id\":\"vsock0\",\"chardev\":"
                "\"vsock0c\",\"bus\":\"rpv\"}");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_machine_is_as_asked),
        TEST(it_is_shut_in),
        TEST(channels_are_the_descriptors_given),
        TEST(devices_have_fixed_places),
        TEST(disks_in_layers_are_passed_open),
        TEST(values_stay_values),
        TEST(a_kernel_is_optional),
        TEST(firmware_is_a_pair_of_flashes),
        TEST(an_identity_and_a_state_are_passed_on),
        TEST(nics_sit_in_their_ports),
        TEST(a_nic_may_use_a_stream),
        TEST(without_nics_the_ports_wait),
        TEST(vsock_has_a_place_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
