// Nodes, and leases as the lab's owner sees them and puts them back.
#include "vnet-lab.h"

#include "vnet/services/leases.h"

#define NODE(...)                                                                                  \
    &(struct vnet_node)                                                                            \
    {                                                                                              \
        .name = "web", .mac = {{2, 0, 0, 0, 0, 9}}, .address = HOME + 9, __VA_ARGS__               \
    }

static void assert_node_refused(struct lab *lab, enum err_code code, const struct vnet_node *n)
{
    struct err e;
    assert_int_equal(vnet_add_node(lab->v, n, &e), -1);
    assert_int_equal(e.code, code);
}

static void nodes_are_checked(void **state)
{
    const struct ip6 six = {{0x20, 1, 0xd, 0xb8, [15] = 9}};
    struct lab *lab = *state;
    struct err e;
    assert_node_refused(lab, ERR_USAGE, NODE(.network = 2));
    assert_node_refused(lab, ERR_USAGE, NODE(.name = ""));
    assert_node_refused(lab, ERR_USAGE, NODE(.name = "a.b"));
    assert_node_refused(lab, ERR_USAGE, NODE(.mac = {{1}}));
    assert_node_refused(lab, ERR_USAGE, NODE(.mac = {{0}}));
    assert_node_refused(lab, ERR_USAGE, NODE(.address = HOME));
    assert_node_refused(lab, ERR_USAGE, NODE(.address = HOME | 255));
    assert_node_refused(lab, ERR_USAGE, NODE(.address = OFFICE + 9));
    assert_node_refused(lab, ERR_USAGE, NODE(.address6 = six)); // no IPv6 here
    assert_node_refused(lab, ERR_EXISTS, NODE(.name = "Router"));
    assert_int_equal(vnet_add_node(lab->v, NODE(), &e), 0);
    assert_node_refused(lab, ERR_EXISTS, NODE(.mac = {{2, 1}}, .address = HOME + 8));
    assert_node_refused(lab, ERR_EXISTS, NODE(.name = "other", .address = HOME + 8));
    assert_node_refused(lab, ERR_EXISTS, NODE(.name = "other", .mac = {{2, 1}}));
    assert_node_refused(lab, ERR_EXISTS,
                        NODE(.name = "WEB", .mac = {{2, 1}}, .network = 1, .address = OFFICE + 8));
}

static void nothing_is_told_of_idle_nodes(void **state)
{
    struct lab *lab = *state;
    struct vnet_lease l;
    struct err e;
    assert_int_equal(vnet_add_node(lab->v, NODE(), &e), 0);
    for (unsigned i = 0; i < vnet_default_limits.leases; i++)
        assert_false(vnet_lease(lab->v, 0, i, &l));
}

static void leases_are_put_back(void **state)
{
    struct lab *lab = *state;
    struct vnet_lease l = {.address = HOME + 49,
                           .mac = {{2, 1}},
                           .until = 100 * (uint64_t)SECOND,
                           .id_length = 2,
                           .id = {1, 2},
                           .host = "Tiny"};
    struct vnet_lease out;
    struct err e;
    uint64_t changes = vnet_lease_changes(lab->v);
    assert_int_equal(vnet_restore_lease(lab->v, 0, &l, &e), 0);
    assert_int_not_equal(vnet_lease_changes(lab->v), changes);
    assert_true(vnet_lease(lab->v, 0, 0, &out));
    assert_string_equal(out.host, "tiny");
    assert_int_equal(out.address, l.address);
    assert_true(out.until == l.until);
    assert_memory_equal(out.id, l.id, 2);
    assert_int_equal(vnet_restore_lease(lab->v, 0, &l, &e), 0); // is there already
    l.mac.octet[5] = 1;
    assert_int_equal(vnet_restore_lease(lab->v, 0, &l, &e), -1); // another's
    l.address = HOME + 101;
    assert_int_equal(vnet_restore_lease(lab->v, 0, &l, &e), -1); // a node's
    l.address = OFFICE + 9;
    assert_int_equal(vnet_restore_lease(lab->v, 0, &l, &e), -1);
    assert_int_equal(vnet_restore_lease(lab->v, 2, &l, &e), -1);
    assert_int_equal(vnet_restore_lease(lab->v, 1, &l, &e), 0);
    l.id_length = 0;
    assert_int_equal(vnet_restore_lease(lab->v, 1, &l, &e), -1);
    assert_false(vnet_lease(lab->v, 0, 1, &out));
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(nodes_are_checked),
        LAB_TEST(nothing_is_told_of_idle_nodes),
        LAB_TEST(leases_are_put_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
