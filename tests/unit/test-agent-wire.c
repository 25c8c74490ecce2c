// The frames between Host and agent: what is written is read, whatever the stream does.
#include "agent/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NONCE 0x12345678u

static unsigned char held[WIRE_FRAME_MAX];
static unsigned char stream[4 * WIRE_FRAME_MAX];

static size_t make(unsigned char *at, size_t cap, unsigned type, const char *id)
{
    struct wire_writer w;

    wire_begin(&w, at, cap, type, NONCE);
    wire_put(&w, "id", "%s", id);
    wire_put(&w, "from", "%s", "52:cc:cc:cc:cc:01");
    return wire_end(&w);
}

static void assert_id(const struct wire_frame *f, const char *id)
{
    char got[64];

    assert_int_equal(f->version, WIRE_VERSION);
    assert_int_equal(f->nonce, NONCE);
    assert_int_equal(wire_get(f, "id", got, sizeof got), strlen(id));
    assert_string_equal(got, id);
}

static void assert_next(struct wire_decoder *d, unsigned type, const char *id)
{
    struct wire_frame f;

    assert_true(wire_next(d, &f));
    assert_int_equal(f.type, type);
    assert_id(&f, id);
}

static void assert_none(struct wire_decoder *d)
{
    struct wire_frame f;

    assert_false(wire_next(d, &f));
}

static void feed(struct wire_decoder *d, const void *data, size_t n)
{
    assert_int_equal(wire_feed(d, data, n), n);
}

static void header_is_as_documented(void **state)
{
    static const unsigned char want[] = {
        't',  'm',  'A',  '1',  5,    0,    1,    0,   5,   0,   0,   0,    0x78,
        0x56, 0x34, 0x12, 0x39, 0xb6, 0x8a, 0x14, 'i', 'd', '=', '7', '\n',
    };
    struct wire_writer w;

    (void)state;
    wire_begin(&w, stream, sizeof stream, WIRE_OK, NONCE);
    wire_put(&w, "id", "%d", 7);
    assert_int_equal(wire_end(&w), sizeof want);
    assert_memory_equal(stream, want, sizeof want);
}

static void frames_come_back(void **state)
{
    struct wire_decoder d;
    size_t n = make(stream, sizeof stream, WIRE_SET_MAC, "one");

    (void)state;
    n += make(stream + n, sizeof stream - n, WIRE_OK, "two");
    wire_decoder_init(&d, held, sizeof held);
    feed(&d, stream, n);
    assert_next(&d, WIRE_SET_MAC, "one");
    assert_next(&d, WIRE_OK, "two");
    assert_none(&d);
    assert_int_equal(d.skipped, 0);
}

static void frames_come_back_byte_by_byte(void **state)
{
    struct wire_decoder d;
    struct wire_frame f;
    size_t n = make(stream, sizeof stream, WIRE_SET_MAC, "one");
    unsigned seen = 0;

    (void)state;
    wire_decoder_init(&d, held, sizeof held);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < n; i++) {
            feed(&d, stream + i, 1);
            if (!wire_next(&d, &f))
                continue;
            assert_int_equal(i, n - 1);
            assert_id(&f, "one");
            seen++;
        }
    }
    assert_int_equal(seen, 3);
}

static void largest_payload_passes(void **state)
{
    static char big[WIRE_PAYLOAD_MAX - 2]; // "k=", the value, "\n"
    static char got[WIRE_PAYLOAD_MAX];
    struct wire_decoder d;
    struct wire_writer w;
    struct wire_frame f;

    (void)state;
    memset(big, 'x', sizeof big - 1);
    wire_begin(&w, stream, sizeof stream, WIRE_INFO, NONCE);
    wire_put(&w, "k", "%s", big);
    assert_int_equal(wire_end(&w), WIRE_FRAME_MAX);
    wire_decoder_init(&d, held, sizeof held);
    feed(&d, stream, WIRE_FRAME_MAX);
    assert_int_equal(wire_feed(&d, stream, 1), 0); // full until the frame is taken
    assert_true(wire_next(&d, &f));
    assert_int_equal(f.length, WIRE_PAYLOAD_MAX);
    assert_int_equal(wire_get(&f, "k", got, sizeof got), sizeof big - 1);
    assert_int_equal(wire_feed(&d, stream, 1), 1);
}

static void garbage_is_scanned_over(void **state)
{
    struct wire_decoder d;
    size_t n;

    (void)state;
    wire_decoder_init(&d, held, sizeof held);
    feed(&d, "tmA", 3);
    feed(&d, "tmA1 no header after the magic number", 37);
    feed(&d, "\0\0ttttmAtmA", 11);
    n = make(stream, sizeof stream, WIRE_OK, "one");
    feed(&d, stream, n);
    assert_next(&d, WIRE_OK, "one");
    assert_none(&d);
    assert_int_equal(d.skipped, 3 + 37 + 11);
}

// Whatever number of bytes is lost from wherever, the next frame arrives at once.
static void lost_bytes_cost_one_frame(void **state)
{
    struct wire_decoder d;
    size_t first = make(stream, sizeof stream, WIRE_SET_MAC, "one");
    size_t n = first + make(stream + first, sizeof stream - first, WIRE_OK, "two");

    (void)state;
    for (size_t from = 0; from < first; from++) {
        for (size_t to = from + 1; to <= first; to++) {
            wire_decoder_init(&d, held, sizeof held);
            feed(&d, stream, from);
            assert_none(&d);
            feed(&d, stream + to, n - to);
            assert_next(&d, WIRE_OK, "two");
            assert_none(&d);
        }
    }
}

// A stretch that comes twice leaves every frame whole before and after it.
static void doubled_bytes_lose_no_later_frame(void **state)
{
    struct wire_decoder d;
    struct wire_frame f;
    size_t first = make(stream, sizeof stream, WIRE_SET_MAC, "one");
    size_t second = first + make(stream + first, sizeof stream - first, WIRE_OK, "two");
    size_t n = second + make(stream + second, sizeof stream - second, WIRE_OK, "three");

    (void)state;
    for (size_t from = 0; from < second; from++) {
        for (size_t to = from + 1; to <= second; to++) {
            bool got = false;

            wire_decoder_init(&d, held, sizeof held);
            feed(&d, stream, to);
            feed(&d, stream + from, n - from);
            while (wire_next(&d, &f)) {
                char id[16];

                wire_get(&f, "id", id, sizeof id);
                got = !strcmp(id, "three");
            }
            assert_true(got);
        }
    }
}

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t check(const unsigned char *p)
{
    uint32_t h = 2166136261u;

    for (int i = 0; i < 16; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

static void bad_headers_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
    } bad[] = {
        {4, 0x00010000},                    // type 0
        {4, 0x00010100},                    // type 256
        {4, 0x0001000a},                    // type 10, a newline
        {8, WIRE_PAYLOAD_MAX + 1},          // too long
        {8, 0xffffffff},           {12, 0}, // no session has nonce 0
    };
    struct wire_decoder d;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n = make(stream, sizeof stream, WIRE_SET_MAC, "one");

        put32(stream + bad[i].at, bad[i].value);
        put32(stream + 16, check(stream));
        n += make(stream + n, sizeof stream - n, WIRE_OK, "two");
        wire_decoder_init(&d, held, sizeof held);
        feed(&d, stream, n);
        assert_next(&d, WIRE_OK, "two");
    }
}

static void every_flipped_header_bit_is_noticed(void **state)
{
    struct wire_decoder d;
    size_t n = make(stream, sizeof stream, WIRE_OK, "one");

    (void)state;
    for (size_t bit = 0; bit < 8 * WIRE_HEADER_SIZE; bit++) {
        stream[bit / 8] ^= (unsigned char)(1 << bit % 8);
        wire_decoder_init(&d, held, sizeof held);
        feed(&d, stream, n);
        assert_none(&d);
        stream[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void other_versions_are_handed_on(void **state)
{
    struct wire_decoder d;
    struct wire_frame f;
    size_t n = make(stream, sizeof stream, WIRE_HELLO, "one");

    (void)state;
    stream[6] = 2;
    put32(stream + 16, check(stream));
    wire_decoder_init(&d, held, sizeof held);
    feed(&d, stream, n);
    assert_true(wire_next(&d, &f));
    assert_int_equal(f.version, 2);
}

static void writer_refuses(void **state)
{
    static const struct {
        const char *key, *value;
        size_t cap;
        size_t want;
    } cases[] = {
        {"k", "v", 24, 24},    {"k", "v", 23, 0}, {"k", "v", 19, 0},
        {"k", "a\nb", 100, 0}, {"", "v", 100, 0}, {"a=b", "v", 100, 0},
        {"a\n", "v", 100, 0},  {"k", "", 23, 23}, {"k", "a=b", 100, 20 + 6},
    };
    struct wire_writer w;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wire_begin(&w, stream, cases[i].cap, WIRE_OK, NONCE);
        wire_put(&w, cases[i].key, "%s", cases[i].value);
        assert_int_equal(wire_end(&w), cases[i].want);
    }
    wire_begin(&w, stream, sizeof stream, WIRE_OK, NONCE);
    wire_put(&w, "k", "a%cb", 0);
    assert_int_equal(wire_end(&w), 0);
    wire_begin(&w, stream, sizeof stream, WIRE_OK, 0);
    assert_int_equal(wire_end(&w), 0);
    wire_begin(&w, stream, sizeof stream, '\n', NONCE);
    assert_int_equal(wire_end(&w), 0);
    wire_begin(&w, stream, sizeof stream, 256, NONCE);
    assert_int_equal(wire_end(&w), 0);
}

static struct wire_frame payload(const char *text)
{
    return (struct wire_frame){.payload = text, .length = strlen(text)};
}

static void values_are_bounded(void **state)
{
    struct wire_frame f = payload("nonsense\n=x\nlong=12345\nempty=\nlo=1\nlast=cut");
    char out[6] = "?";

    (void)state;
    assert_int_equal(wire_get(&f, "long", out, 6), 5);
    assert_string_equal(out, "12345");
    assert_int_equal(wire_get(&f, "long", out, 5), -2);
    assert_string_equal(out, "");
    assert_int_equal(wire_get(&f, "long", out, 0), -2);
    assert_int_equal(wire_get(&f, "empty", out, 1), 0);
    assert_int_equal(wire_get(&f, "lo", out, 6), 1);
    assert_int_equal(wire_get(&f, "nonsense", out, 6), -1);
    assert_int_equal(wire_get(&f, "", out, 6), -1);
    assert_int_equal(wire_get(&f, "last", out, 6), -1);
}

static void repeated_keys_are_walked(void **state)
{
    struct wire_frame f = payload("nic=a\nx=1\nnic=too long\nnic=b\n");
    char out[4];
    size_t pos = 0;

    (void)state;
    assert_int_equal(wire_value_next(&f, &pos, "nic", out, sizeof out), 1);
    assert_string_equal(out, "a");
    assert_int_equal(wire_value_next(&f, &pos, "nic", out, sizeof out), -2);
    assert_int_equal(wire_value_next(&f, &pos, "nic", out, sizeof out), 1);
    assert_string_equal(out, "b");
    assert_int_equal(wire_value_next(&f, &pos, "nic", out, sizeof out), -1);
}

// Bytes of any value are carried, and none of them can be taken for a key or a header.
static void data_is_carried_as_it_is(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 253, 254, 255, 256, 507, 508, 509, WIRE_DATA_MAX};
    static unsigned char frame[WIRE_DATA_FRAME_MAX], out[WIRE_DATA_MAX];
    static char data[WIRE_DATA_MAX];

    (void)state;
    for (int shape = 0; shape < 4; shape++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct wire_decoder d;
            struct wire_writer w;
            struct wire_frame f;

            for (size_t k = 0; k < sizes[i]; k++)
                data[k] = (char)(shape == 0   ? 0
                                 : shape == 1 ? 1 + k % 255
                                 : shape == 2 ? k
                                              : k / 7);
            if (shape == 3 && sizes[i] > 20)
                memcpy(data + 5, "\nend=1\ndata=x\n", 14);
            wire_begin(&w, frame, sizeof frame, WIRE_STDIN, NONCE);
            wire_put(&w, "stream", "%u", UINT32_MAX);
            wire_put(&w, "at", "%llu", 999999999999999999ull);
            wire_put_data(&w, data, sizes[i]);
            wire_decoder_init(&d, held, sizeof held);
            feed(&d, frame, wire_end(&w));
            assert_true(wire_next(&d, &f));
            assert_int_equal(wire_get_number(&f, "at"), 999999999999999999ll);
            assert_int_equal(wire_get_number(&f, "end"), -1);
            assert_int_equal(wire_get_data(&f, out, sizeof out), sizes[i]);
            assert_memory_equal(out, data, sizes[i]);
            if (sizes[i])
                assert_int_equal(wire_get_data(&f, out, sizes[i] - 1), -2);
        }
}

static void types_have_names(void **state)
{
    (void)state;
    assert_string_equal(wire_type_name(WIRE_SET_MAC), "set-mac");
    assert_string_equal(wire_type_name(0), "unknown");
    assert_string_equal(wire_type_name(WIRE_TYPE_END), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_as_documented),
        cmocka_unit_test(frames_come_back),
        cmocka_unit_test(frames_come_back_byte_by_byte),
        cmocka_unit_test(largest_payload_passes),
        cmocka_unit_test(garbage_is_scanned_over),
        cmocka_unit_test(lost_bytes_cost_one_frame),
        cmocka_unit_test(doubled_bytes_lose_no_later_frame),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(every_flipped_header_bit_is_noticed),
        cmocka_unit_test(other_versions_are_handed_on),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(repeated_keys_are_walked),
        cmocka_unit_test(data_is_carried_as_it_is),
        cmocka_unit_test(types_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
