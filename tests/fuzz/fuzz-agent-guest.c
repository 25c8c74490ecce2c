// Fuzzes what Host says to the guest's agent about streams, with a command and a job that are
// there. Inputs are frames with a NUL after each: the type in the first byte, then lines
// "key=value". What would change this computer or start programs of the input is left out.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NONCE 7

static struct session session;

static void feed(unsigned char *frame, size_t n)
{
    static struct pollfd p[COMMANDS_POLL_MAX];

    wire_feed(&session.in, frame, n);
    session_work(&session);
    session_fill(&session);
    unsigned watched = commands_poll(&session.commands, p);
    if (poll(p, watched, 0) > 0)
        commands_ready(&session.commands, p, watched);
    commands_reap(&session.commands);
    session_sent(&session, session.out_len);
}

static void start(unsigned id, const char *words, size_t n, const char *detach)
{
    static unsigned char frame[WIRE_FRAME_MAX];
    struct wire_writer w;

    wire_begin(&w, frame, sizeof frame, WIRE_EXEC, NONCE);
    wire_put(&w, "stream", "%u", id);
    wire_put(&w, "detach", "%s", detach);
    wire_put_data(&w, words, n);
    feed(frame, wire_end(&w));
}

static bool is_harmless(unsigned type)
{
    return type != WIRE_EXEC && type != WIRE_SET_MAC && type != WIRE_SET_CLOCK &&
           type != WIRE_SET && type != '\n' && type != 0 && type != WIRE_HELLO;
}

static void say(const uint8_t *data, size_t size)
{
    static unsigned char frame[WIRE_FRAME_MAX];
    static char text[WIRE_PAYLOAD_MAX];
    struct wire_writer w;
    char *rest = text;

    if (size == 0 || size > sizeof text || !is_harmless(data[0]))
        return;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    wire_begin(&w, frame, sizeof frame, data[0], NONCE);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, '=');

        if (!value || value == line)
            continue;
        *value = 0;
        wire_put(&w, line, "%s", value + 1);
    }
    feed(frame, wire_end(&w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    session_init(&session);
    session.nonce = NONCE;
    start(1, "acat", 5, "0");
    start(2, "atrue", 6, "1");
    while (size > 0) {
        const uint8_t *end = memchr(data, 0, size);
        size_t n = end ? (size_t)(end - data) : size;

        say(data, n);
        data += end ? n + 1 : n;
        size -= end ? n + 1 : n;
    }
    session_reset(&session);
    commands_free(&session.commands);
    return 0;
}
