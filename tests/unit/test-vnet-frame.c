// The bytes of frames: bounds, the pool, checksums, and the words for what is dropped.
#include "vnet-lab.h"

#include "vnet/ip/checksum.h"
#include "vnet/pool.h"

static void reads_stay_inside(void **state)
{
    const uint8_t data[] = {1, 2, 3, 4, 5};
    struct bytes b = {data, sizeof data};
    (void)state;
    assert_int_equal(get8(b, 4), 5);
    assert_int_equal(get8(b, 5), 0);
    assert_int_equal(get16(b, 3), 0x0405);
    assert_int_equal(get16(b, 4), 0x0500);
    assert_int_equal(get32(b, 1), 0x02030405);
    assert_int_equal(get32(b, SIZE_MAX - 9), 0);
    assert_int_equal(get_mac(b, 2).octet[2], 5);
    assert_int_equal(get_mac(b, 2).octet[3], 0);
}

static void pull_takes_all_or_nothing(void **state)
{
    const uint8_t data[] = {1, 2, 3};
    struct bytes rest = {data, sizeof data};
    struct bytes head;
    (void)state;
    assert_false(pull(&rest, 4, &head));
    assert_int_equal(rest.n, 3);
    assert_true(pull(&rest, 2, &head));
    assert_int_equal(head.n, 2);
    assert_int_equal(get8(rest, 0), 3);
    assert_true(pull(&rest, 1, &head));
    assert_true(pull(&rest, 0, &head));
    assert_false(pull(&rest, 1, &head));
}

static void writes_stay_inside(void **state)
{
    uint8_t data[6] = {0};
    struct frame f = {.data = data, .size = 5};
    (void)state;
    put8(&f, 1);
    put16(&f, 0x0203);
    patch16(&f, 1, 0x0809);
    patch16(&f, 2, 0xffff); // half of it was not written yet
    assert_false(f.full);
    put32(&f, 0x04050607);
    assert_true(f.full);
    assert_int_equal(f.n, 3);
    assert_memory_equal(data, ((uint8_t[]){1, 8, 9, 0, 0, 0}), 6);
    assert_int_equal(written(&f, 1).n, 2);
    assert_int_equal(written(&f, 9).n, 0);
}

static void pool_has_a_limit(void **state)
{
    struct vnet_limits limits = {.small_frames = 1, .frames = 1, .jumbo_frames = 1};
    struct pool p = {0};
    (void)state;
    pool_init(&p, &limits);
    struct frame *small = pool_take(&p, 60);
    struct frame *larger = pool_take(&p, 60); // the next size stands in
    struct frame *jumbo = pool_take(&p, VNET_FRAME_MAX);
    assert_int_equal(small->size, 256);
    assert_int_equal(larger->size, 2048);
    assert_int_equal(jumbo->size, VNET_FRAME_MAX);
    assert_null(pool_take(&p, 1));
    small->refs++;
    pool_release(&p, small);
    assert_null(pool_take(&p, 1));
    pool_release(&p, small);
    assert_ptr_equal(pool_take(&p, 256), small);
    pool_release(&p, jumbo);
    assert_null(pool_take(&p, VNET_FRAME_MAX + 1));
    pool_fini(&p);
}

static void checksums_are_right(void **state)
{
    static const uint8_t rfc1071[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; // section 3
    static const uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                     0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    (void)state;
    assert_int_equal(checksum_finish(checksum_add(0, (struct bytes){rfc1071, 8})), 0xffff - 0xddf2);
    assert_int_equal(checksum_finish(checksum_add(0, (struct bytes){header, 20})), 0);
    assert_int_equal(checksum_finish(checksum_add(0, (struct bytes){rfc1071, 3})), 0xffff - 0xf201);
    assert_int_equal(checksum_finish(0), 0xffff);
}

static void every_drop_has_its_words(void **state)
{
    (void)state;
    for (int i = 0; i < VNET_DROP_COUNT; i++) {
        assert_true(id_valid(vnet_drop_name((enum vnet_drop)i)));
        assert_true(strlen(vnet_drop_why((enum vnet_drop)i)) > 10);
    }
    assert_string_equal(vnet_drop_name(VNET_DROP_STOLEN_MAC), "stolen-mac");
}

static void bad_networks_are_refused(void **state)
{
#define LAN(...)                                                                                   \
    {                                                                                              \
        .name = "lan", .router = 0xac100001, .prefix = 24, .mtu = 1500, .lease_seconds = 1,        \
        __VA_ARGS__                                                                                \
    }
    static const struct vnet_network bad[] = {
        LAN(.name = ""),
        LAN(.prefix = 31),
        LAN(.prefix = 7),
        LAN(.router = 0xac100000),
        LAN(.router = 0xac1000ff),
        LAN(.router = 0x7f000001),
        LAN(.router = 0xe0000001),
        LAN(.router = 0), // no IPv6 either
        LAN(.mtu = 575),
        LAN(.mtu = 9217),
        LAN(.wan_mtu = 575),
        LAN(.lease_seconds = 0),
        LAN(.domain = ""),
        LAN(.nat = VNET_NAT_EASY), // without a WAN address
        LAN(.router6 = {{0x20, 1}}, .prefix6 = 48),
        LAN(.router6 = {{0xfe, 0x80}}, .prefix6 = 64),
        LAN(.router6 = {{0x20, 1}}, .prefix6 = 64, .mtu = 1279),
        LAN(.router6 = {{0x20, 1}}, .prefix6 = 64, .ra_seconds = 3),
        LAN(.router6 = {{0x20, 1}}, .prefix6 = 64, .ra_seconds = 1801),
    };
    static const struct vnet_network taken[] = {
        LAN(.name = "home"),
        LAN(.router = HOME + 1, .prefix = 16),
    };
#undef LAN
    struct lab *lab = *state;
    struct err e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vnet_add_network(lab->v, &bad[i], &e), -1);
        assert_int_equal(e.code, ERR_USAGE);
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        assert_int_equal(vnet_add_network(lab->v, &taken[i], &e), -1);
        assert_int_equal(e.code, ERR_EXISTS);
    }
    assert_int_equal(vnet_add_plug(lab->v, &(struct vnet_plug){"a", 2}, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_stay_inside),
        cmocka_unit_test(pull_takes_all_or_nothing),
        cmocka_unit_test(writes_stay_inside),
        cmocka_unit_test(pool_has_a_limit),
        cmocka_unit_test(checksums_are_right),
        cmocka_unit_test(every_drop_has_its_words),
        cmocka_unit_test_setup_teardown(bad_networks_are_refused, lab_setup, lab_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
