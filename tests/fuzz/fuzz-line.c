// Fuzzes JSON lines: in whatever pieces they come, the same lines are taken, and what is an object
// is written and read back as the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "proto/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(const json_t *object)
{
    struct evbuffer *buffer = evbuffer_new();
    struct err e;
    json_t *again;
    line_put(buffer, object);
    if (line_take(buffer, &again, &e) != LINE_OK || !json_equal(object, again) ||
        evbuffer_get_length(buffer) != 0)
        abort();
    json_decref(again);
    evbuffer_free(buffer);
}

// Takes the lines that are there; *seen stands for all of them and their results.
static void take_lines(struct evbuffer *in, uint64_t *seen)
{
    struct err e;
    json_t *object;
    enum line_result r;
    while ((r = line_take(in, &object, &e)) != LINE_NONE && r != LINE_TOO_LONG) {
        uint64_t step[3] = {*seen, r, 0};
        if ((r == LINE_OK) != (object != NULL))
            abort();
        if (object) {
            char *text = json_dumps(object, JSON_COMPACT);
            step[2] = hash_bytes(text, strlen(text));
            free(text);
            read_back(object);
            json_decref(object);
        }
        *seen = hash_bytes(step, sizeof step);
    }
}

static uint64_t take_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct evbuffer *in = evbuffer_new();
    uint64_t seen = 0;
    for (size_t at = 0; at < size; at += piece) {
        evbuffer_add(in, data + at, size - at < piece ? size - at : piece);
        take_lines(in, &seen);
    }
    evbuffer_free(in);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > LINE_MAX_BYTES)
        return 0;
    size_t piece = data[0] + 1;
    if (take_in_pieces(data + 1, size - 1, size) != take_in_pieces(data + 1, size - 1, piece))
        abort();
    return 0;
}
