// TCP segments that become one before libslirp sees them, and those that must not.
#include "vnet-segment.h"
#include "vnet/egress/join.h"

enum { ROOM = VNET_FRAME_MAX };

// From allocations of their exact sizes, so that a read beyond them shows.
static bool joins(struct wire *a, const struct wire *b)
{
    uint8_t *next = malloc(b->n ? b->n : 1);
    memcpy(next, b->at, b->n);
    const struct wire before = *a;
    size_t n = join_segment(a->at, a->n, ROOM, next, b->n);
    free(next);
    if (n == 0)
        assert_memory_equal(a->at, before.at, a->n);
    else
        a->n = n;
    return n > 0;
}

static void assert_joined(struct wire a, struct wire b, const struct segment *want)
{
    const struct wire w = segment(want);
    assert_true(joins(&a, &b));
    assert_int_equal(a.n, w.n);
    assert_memory_equal(a.at, w.at, w.n);
}

static void assert_apart(struct wire a, struct wire b)
{
    assert_false(joins(&a, &b));
}

static void test_data_follow_data(void **state)
{
    assert_joined(
        SEGMENT(.data = "abcd"),
        SEGMENT(.sequence = 1004, .data = "efg", .ack = 60, .window = 7, .flags = ACK | PUSH),
        &(struct segment){1000, 60, ACK | PUSH, 7, "abcdefg"});
    assert_joined(SEGMENT(.sequence = UINT32_MAX - 1, .ack = UINT32_MAX, .data = "abcd"),
                  SEGMENT(.sequence = 2, .ack = 3, .data = "e"),
                  &(struct segment){UINT32_MAX - 1, 3, ACK, 9, "abcde"});
}

static void test_the_last_acknowledgement_counts(void **state)
{
    assert_joined(SEGMENT(.ack = 50), SEGMENT(.ack = 51), &(struct segment){1000, 51, ACK, 9, ""});
    assert_joined(SEGMENT(.ack = 50), SEGMENT(.data = "a"),
                  &(struct segment){1000, 50, ACK, 9, "a"});
    assert_apart(SEGMENT(.ack = 50), SEGMENT(.ack = 50)); // something was lost
    assert_apart(SEGMENT(.ack = 50), SEGMENT(.ack = 49));
    assert_apart(SEGMENT(.ack = 50), SEGMENT(.window = 10));
}

static void test_what_is_special_stays_so(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
        int bytes;
    } changes[] = {
        {6, 0x99, 1},             // sender
        {12, 0x86dd, 2},          // no IPv4
        {14, 0x46, 1},            // options of IP
        {15, 4, 1},               // kind of service
        {AT_FRAGMENT, 0x2000, 2}, // a fragment
        {AT_FRAGMENT, 0, 2},      // may be fragmented
        {AT_TTL, 63, 1},          // hops
        {AT_TTL + 1, 17, 1},      // no TCP
        {26, 0xc0000003, 4},      // addresses
        {30, 0xcb007106, 4},      //
        {AT_TCP, 4001, 2},        // ports
        {AT_TCP + 2, 81, 2},      //
        {AT_TCP + 4, 1005, 4},    // something is missing in between
        {AT_TCP + 4, 1002, 4},    // some came already
        {AT_TCP + 12, 0x6010, 2}, // options of TCP
        {AT_TCP + 12, 0x5011, 2}, // the end
        {AT_TCP + 12, 0x5014, 2}, // a reset
        {AT_TCP + 12, 0x5030, 2}, // urgent
        {AT_TCP + 12, 0x5008, 2}, // no acknowledgement
        {AT_LENGTH, 40, 2},       // the packet ends before the frame
        {AT_LENGTH, 60, 2},       // and after it
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct wire b = SEGMENT(.sequence = 1004, .data = "ef");
        set(&b, changes[i].at, changes[i].value, changes[i].bytes);
        assert_apart(SEGMENT(.data = "abcd"), b);
    }
    assert_apart(SEGMENT(.data = "abc"), SEGMENT(.sequence = 1003, .data = "d")); // sums shift
    assert_apart(SEGMENT(.data = "ab", .flags = ACK | FIN),
                 SEGMENT(.sequence = 1002, .data = "cd"));
}

static void test_wrong_stays_wrong(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct wire a = SEGMENT(.data = "abcd");
        struct wire b = SEGMENT(.sequence = 1004, .data = "efgh");
        (i ? &b : &a)->at[AT_DATA + 1] ^= 0x40;
        assert_true(joins(&a, &b));
        assert_int_not_equal(tcp_sum(&a), 0xffff);
    }
    struct wire a = SEGMENT(.data = "abcd");
    const struct wire b = SEGMENT(.sequence = 1004, .data = "ef");
    a.at[AT_SUM] ^= 1;
    assert_true(joins(&a, &b));
    assert_int_not_equal(fold(add(a.at + 14, 20, 0)), 0xffff);
}

static void test_bounds(void **state)
{
    struct wire a = SEGMENT(.data = "abcd");
    const struct wire b = SEGMENT(.sequence = 1004, .data = "ef");
    assert_int_equal(join_segment(a.at, a.n, a.n + 1, b.at, b.n), 0);
    assert_int_equal(join_segment(a.at, 0, ROOM, b.at, b.n), 0);
    for (size_t n = 0; n < b.n; n++) { // cut short
        struct wire cut = b;
        cut.n = n;
        assert_apart(a, cut);
    }
    static uint8_t big[1 << 17];
    static char data[VNET_MTU_MAX - 40 + 1];
    memset(data, 'x', sizeof data - 1);
    struct wire next = SEGMENT(.data = data);
    size_t n = next.n;
    memcpy(big, next.at, n);
    for (size_t joined = n; joined > 0; n = joined ? joined : n) {
        next = SEGMENT(.sequence = 1000 + (uint32_t)n - AT_DATA, .data = data);
        joined = join_segment(big, n, sizeof big, next.at, next.n);
    }
    assert_in_range(n, 14 + UINT16_MAX - VNET_MTU_MAX, 14 + UINT16_MAX); // a packet's length
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_follow_data),
        cmocka_unit_test(test_the_last_acknowledgement_counts),
        cmocka_unit_test(test_what_is_special_stays_so),
        cmocka_unit_test(test_wrong_stays_wrong),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
