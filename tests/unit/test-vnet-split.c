// Segments of libslirp that are cut into what a guest takes, and how it is known what that is.
#include "vnet-segment.h"
#include "vnet/egress/fragment.h"
#include "vnet/egress/mss.h"
#include "vnet/egress/split.h"

enum {
    MTU = 1500,
    MOST = MTU - 40,
    SYN = 2,
    URGENT = 32,
    UDP = 17,
    AT_OPTIONS = AT_DATA,
    AT_MSS = AT_OPTIONS + 2
};

// Cuts a frame of its exact size; every part comes in one of its exact size, too.
static unsigned cut(const struct wire *w, size_t most, struct wire *out)
{
    struct split s;
    uint8_t *frame = malloc(w->n ? w->n : 1);
    unsigned count = 0;
    size_t n;
    memcpy(frame, w->at, w->n);
    if (split_begin(&s, frame, w->n)) {
        s.most = most;
        while ((n = split_size(&s)) > 0) {
            uint8_t *part = malloc(n);
            split_take(&s, part, (uint16_t)(7 + count));
            out[count].n = n;
            memcpy(out[count++].at, part, n);
            free(part);
        }
    }
    free(frame);
    return count;
}

static void assert_part(const struct wire *got, const struct segment *want, unsigned id)
{
    struct wire w = segment(want);
    set(&w, AT_LENGTH + 2, id, 2);
    finish(&w);
    assert_int_equal(got->n, w.n);
    assert_memory_equal(got->at, w.at, w.n);
}

static void test_parts(void **state)
{
    static struct wire out[4];
    struct wire whole = SEGMENT(.data = "abcdefg", .flags = ACK | PUSH | FIN);
    assert_int_equal(cut(&whole, 3, out), 3);
    assert_part(&out[0], &(struct segment){1000, 50, ACK, 9, "abc"}, 7);
    assert_part(&out[1], &(struct segment){1003, 50, ACK, 9, "def"}, 8);
    assert_part(&out[2], &(struct segment){1006, 50, ACK | PUSH | FIN, 9, "g"}, 9);
    whole = SEGMENT(.sequence = UINT32_MAX, .data = "abcd");
    assert_int_equal(cut(&whole, 2, out), 2);
    assert_part(&out[1], &(struct segment){1, 50, ACK, 9, "cd"}, 8);
    assert_int_equal(cut(&whole, 4, out), 1);
    assert_part(&out[0], &(struct segment){UINT32_MAX, 50, ACK, 9, "abcd"}, 7);
}

static void test_what_is_urgent(void **state)
{
    static struct wire out[4];
    struct wire whole = SEGMENT(.data = "abcdefg", .flags = ACK | URGENT);
    set(&whole, AT_TCP + 18, 4, 2); // to the end of "d"
    finish(&whole);
    assert_int_equal(cut(&whole, 3, out), 3);
    const unsigned flags[] = {ACK | URGENT, ACK | URGENT, ACK};
    const unsigned left[] = {4, 1, 0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(number_at(&out[i], AT_TCP + 13, 1), flags[i]);
        assert_int_equal(number_at(&out[i], AT_TCP + 18, 2), left[i]);
        assert_int_equal(tcp_sum(&out[i]), 0xffff);
    }
}

// What is no segment is cut as any router would.
static void test_fragments(void **state)
{
    static struct wire out[4];
    struct fragment f;
    struct wire whole = SEGMENT(.data = "abcdefgh");
    size_t n;
    unsigned count = 0;
    set(&whole, AT_TTL + 1, UDP, 1);
    set(&whole, AT_FRAGMENT, 0x2003, 2); // the fourth eight of one that goes on
    finish(&whole);
    assert_false(fragment_begin(&f, whole.at, whole.n, whole.n - 14));
    assert_false(fragment_begin(&f, whole.at, whole.n - 1, 36));
    assert_true(fragment_begin(&f, whole.at, whole.n, 20 + 17)); // two eights
    while ((n = fragment_size(&f)) > 0) {
        out[count].n = n;
        fragment_take(&f, out[count++].at);
    }
    assert_int_equal(count, 2);
    const unsigned places[] = {0x2003, 0x2005};
    const size_t payload[] = {16, 12};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(out[i].n, AT_TCP + payload[i]);
        assert_int_equal(number_at(&out[i], AT_LENGTH, 2), 20 + payload[i]);
        assert_int_equal(number_at(&out[i], AT_FRAGMENT, 2), places[i]);
        assert_int_equal(word_sum(out[i].at + 14, 20, 0), 0xffff);
        assert_memory_equal(out[i].at + AT_TCP, whole.at + AT_TCP + 16 * i, payload[i]);
    }
    set(&whole, AT_FRAGMENT, 0, 2);
    finish(&whole);
    assert_true(fragment_begin(&f, whole.at, whole.n, 36));
    for (unsigned place = 0x2000; fragment_size(&f) > 0; place = 2) {
        fragment_take(&f, out[0].at);
        assert_int_equal(number_at(&out[0], AT_FRAGMENT, 2), place);
    }
}

static void test_what_stays_whole(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
        int bytes;
    } changes[] = {
        {12, 0x86dd, 2},          // no IPv4
        {14, 0x46, 1},            // options of IP
        {AT_FRAGMENT, 0x2000, 2}, // a fragment
        {AT_TTL + 1, 17, 1},      // no TCP
        {AT_TCP + 12, 0x6010, 2}, // options of TCP
        {AT_TCP + 12, 0x5012, 2}, // a beginning
        {AT_TCP + 12, 0x5014, 2}, // a reset
        {AT_LENGTH, 41, 2},       // the packet ends before the frame
    };
    static struct wire out[8];
    struct wire w = SEGMENT(.data = "abcdefg");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct wire changed = w;
        set(&changed, changes[i].at, changes[i].value, changes[i].bytes);
        assert_int_equal(cut(&changed, 3, out), 0);
    }
    for (; w.n > 0; w.n--)
        if (w.n != AT_DATA + 7)
            assert_int_equal(cut(&w, 3, out), 0);
    w = SEGMENT(.data = "");
    assert_int_equal(cut(&w, 3, out), 0);
}

// --- how much a guest takes ---

static struct wire syn(const char *options)
{
    struct wire w = SEGMENT(.flags = SYN);
    hex(&w, options);
    set(&w, AT_LENGTH, (uint32_t)w.n - 14, 2);
    set(&w, AT_TCP + 12, (uint32_t)(w.n - AT_TCP) / 4 << 12 | SYN, 2);
    finish(&w);
    return w;
}

static void turn_round(struct wire *w)
{
    const struct wire before = *w;
    memcpy(w->at + 26, before.at + 30, 4);
    memcpy(w->at + 30, before.at + 26, 4);
    memcpy(w->at + AT_TCP, before.at + AT_TCP + 2, 2);
    memcpy(w->at + AT_TCP + 2, before.at + AT_TCP, 2);
    finish(w);
}

static size_t found(const struct mss *m)
{
    struct wire answer = SEGMENT(.data = "a");
    turn_round(&answer);
    return mss_find(m, answer.at, AT_DATA);
}

static void out(struct mss *m, struct wire *w)
{
    uint8_t *exact = malloc(w->n);
    memcpy(exact, w->at, w->n);
    mss_out(m, exact, w->n);
    memcpy(w->at, exact, w->n);
    free(exact);
}

static void test_what_a_guest_says(void **state)
{
    struct mss *m = mss_new(MTU, true);
    assert_int_equal(found(m), MOST);
    static const struct {
        const char *options;
        size_t most;
    } said[] = {
        {"020405b4", MOST},
        {"02040400", 0x400},
        {"0101 0204 0200 0101", 0x200},
        {"01 0204 0203 00 0000", 0x203}, // at an odd place
        {"020423f4", MOST},              // more than the way out takes
        {"02040001", 48},                // nonsense
        {"", 536},                       // nothing
        {"0303 0701", 536},              // another
        {"00 020402 00 000000", 536},    // behind the end
        {"0300 0204 0200 0000", 536},    // one that does not end
        {"0101 0204", 536},              // cut short
    };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        struct wire w = syn(said[i].options);
        out(m, &w);
        assert_int_equal(found(m), said[i].most);
        assert_int_equal(tcp_sum(&w), 0xffff);
    }
    struct wire w = syn("02040400");
    out(m, &w);
    assert_int_equal(number_at(&w, AT_MSS, 2), mss_large_mtu(m) - 40); // what libslirp hears
    w = SEGMENT(.data = "\2\4\2\1");
    out(m, &w);
    assert_int_equal(found(m), 0x400);
    mss_free(m);
}

static void test_what_it_is_told(void **state)
{
    struct mss *m = mss_new(MTU, true);
    struct wire large = syn("02043e80");
    struct wire small = syn("02040400");
    const struct wire before = small;
    mss_in(m, large.at, large.n);
    assert_int_equal(number_at(&large, AT_MSS, 2), MOST);
    assert_int_equal(tcp_sum(&large), 0xffff);
    mss_in(m, small.at, small.n);
    assert_memory_equal(&small, &before, sizeof small);
    mss_free(m);
}

static void test_how_large_segments_are(void **state)
{
    for (unsigned mtu = 576; mtu <= VNET_MTU_MAX; mtu++) {
        struct mss *m = mss_new(mtu, true);
        unsigned large = mss_large_mtu(m);
        assert_in_range(large, mtu, 40 + 32768); // its TCP_MAXSEG_MAX
        assert_int_equal((large - 40) % (mtu - 40), 0);
        mss_free(m);
        m = mss_new(mtu, false);
        assert_int_equal(mss_large_mtu(m), mtu);
        mss_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_what_is_urgent),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_what_stays_whole),
        cmocka_unit_test(test_what_a_guest_says),
        cmocka_unit_test(test_what_it_is_told),
        cmocka_unit_test(test_how_large_segments_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
