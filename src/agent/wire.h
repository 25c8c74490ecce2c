// The frames that Host and the guest agent exchange over the virtio-serial port
// "org.tailmac.agent.0". Both ends compile this file; it needs nothing but libc and
// allocates nothing.
//
// A frame is a header of 20 bytes, little endian, and a payload:
//
//     0  u32  magic    WIRE_MAGIC
//     4  u16  type     enum wire_type
//     6  u16  version  WIRE_VERSION
//     8  u32  length   of the payload, at most WIRE_PAYLOAD_MAX
//    12  u32  nonce    of the session, never 0
//    16  u32  check    FNV-1a (32 bits) of the 16 bytes before
//    20       payload  lines "key=value\n"; a value holds no newline, nothing holds a NUL.
//                      The last line may be "data=…\n": bytes of any value, encoded
//
// The port lives through save and restore, the byte stream does not: bytes get lost and
// duplicated. Hence the two rules that make any stream usable again:
//
//   - No payload holds a NUL and every payload ends in a newline. A header starts with five
//     bytes of which none is a newline, and the sixth is a NUL. So a frame that was cut short,
//     and takes the start of the next one for the rest of its payload, is found out at once:
//     a lost byte costs the frame it was in and none that follows.
//   - Host opens a session with HELLO and a fresh random nonce, and repeats it until READY
//     with that nonce comes back. From then on both ends drop every frame with another nonce.
//
// Binary data is therefore encoded so that no NUL is left, by consistent overhead byte stuffing:
// groups of a byte N and N - 1 bytes that are not 0; a 0 follows in the data, unless N is 255 or
// the data ends there. That costs a byte in 254. It may hold newlines, so "data" is the last key
// and its value goes up to the last byte of the payload.
//
// Streams. A command in the guest is a stream with a number that Host chooses and never uses again
// in its session. Many are open at once, and each direction of each has a credit: how many bytes
// its sender may have sent since the stream's beginning (WIRE_CREDIT; both outputs begin with
// WIRE_WINDOW, the input with 0 until the guest has started the command). The receiver has room for
// that, so nothing on the port ever waits for a slow reader. A data frame says at which byte it
// begins ("at"): a stream that misses bytes or has some twice ends with an error.
//
// A stream lives no longer than its session. Host closes the session before a save, the guest's
// kernel knows nothing of it; so the guest ends all streams, with the commands' sessions, when a
// HELLO with another nonce comes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_PORT_NAME "org.tailmac.agent.0"
#define WIRE_MAGIC 0x31416d74u
#define WIRE_VERSION 1
#define WIRE_HEADER_SIZE 20
#define WIRE_PAYLOAD_MAX 65536
#define WIRE_FRAME_MAX (WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX)

// Numbers are for ever: append only, stay below 256, leave out 10, a newline (see above).
enum wire_type {
    WIRE_HELLO = 1,     // host → guest: opens a session; no keys needed
    WIRE_READY = 2,     // guest → host: version= agent= hostname= uptime= nic=…
    WIRE_INFO = 3,      // guest → host: like READY, whenever a NIC, address or link changes
    WIRE_SET_MAC = 4,   // host → guest: id= from=MAC to=MAC; SET does more
    WIRE_OK = 5,        // guest → host: id= of the request
    WIRE_ERROR = 6,     // guest → host: id= of the request, message=
    WIRE_SET_CLOCK = 7, // host → guest: id= time=seconds.nanoseconds since 1970, UTC
    // Streams, for agents that say "can=exec". All have stream=.
    WIRE_EXEC = 8,    // host → guest: tty= rows= cols= detach=; data: see below
    WIRE_STDIN = 9,   // host → guest: at= data; end=1: no more will follow
    WIRE_STDOUT = 11, // guest → host: the same
    WIRE_STDERR = 12,
    WIRE_CREDIT = 13, // both ways: in= (guest), out= err= (host): bytes that may be sent in all
    WIRE_EXIT = 14,   // guest → host: the stream's end: code= or signal=, else job= (detached) or
                      // message= (it was never started)
    WIRE_KILL = 15,   // host → guest: ends the stream and its session; not a detached job
    WIRE_SIGNAL = 16, // host → guest: signal=INT|TERM|…, to the process group
    WIRE_RESIZE = 17, // host → guest: rows= cols=
    WIRE_SHUT = 18,   // host → guest: part=out|err: nobody reads it any more
    WIRE_WAIT = 19,   // host → guest: job=; EXIT comes when it ended. KILL then forgets the job
    WIRE_STARTED = 20, // guest → host, with any nonce: the agent has just started, and knows of no
                       // session; HELLO is due
    WIRE_LOOK = 21, // host → guest: id=; the OK has uptime= load= memory-total=
                    // memory-available= (bytes)
    WIRE_SET = 22, // host → guest, for agents that say "can=set": id= and items, see below; the OK
                   // has done=KEY NOTE or failed=KEY REASON for each
    WIRE_TYPE_END
};

// SET gives the guest any of these, in this order whatever the request's, each as often as wanted,
// 64 in all. NICs are named by the MACs that they have after it.
//
//     clock=SECONDS.NANOSECONDS    since 1970, UTC
//     entropy=HEX                  up to 256 random bytes, which the guest counts as such
//     nodename=NAME                the running kernel's alone
//     hostname=NAME                and in /etc/hostname
//     machine-id=HEX               16 bytes
//     mac=OLD NEW                  of a NIC
//     address=MAC ADDRESS/PREFIX   instead of others of that family but link-local ones
//     route=MAC ADDRESS/PREFIX [GATEWAY]
//     dns=ADDRESS [ADDRESS…]
//     search=DOMAIN [DOMAIN…]      of names without a dot
//     announce=MAC                 its first frames on a network (announce.c), for agents that say
//                                  "can=announce"
//     sync=1                       what was written goes to the disk
//
// A key that the agent does not know has failed; nothing else has because of it.
//
// The data of EXEC: words, each a letter and a text up to a NUL. 'a' an argument, 'e' a variable of
// the environment as "NAME=value", 'c' the working directory, 'u' the user, by name or number.
//
// Bytes of a stream's direction that may be on their way, and those in one frame.
#define WIRE_WINDOW 131072
#define WIRE_DATA_MAX 32768
// A data frame with all its keys.
#define WIRE_DATA_FRAME_MAX (WIRE_HEADER_SIZE + 128 + WIRE_DATA_MAX + WIRE_DATA_MAX / 254 + 2)

// "hello", "ready", …; "unknown" for anything else.
const char *wire_type_name(unsigned type);

// A decoded frame. The payload is not NUL-terminated and belongs to the decoder's buffer.
struct wire_frame {
    unsigned type;    // maybe none of enum wire_type: a newer peer
    unsigned version; // maybe not WIRE_VERSION: the receiver's business
    uint32_t nonce;
    const char *payload;
    size_t length;
};

// Building a frame in the caller's buffer. Errors (no room, forbidden byte in a key or value)
// stick, and show only in wire_end.
//
//     wire_begin(&w, buf, sizeof buf, WIRE_SET_MAC, nonce);
//     wire_put(&w, "id", "%u", id);
//     size_t n = wire_end(&w);
struct wire_writer {
    unsigned char *buf;
    size_t cap, len;
    unsigned type;
    uint32_t nonce;
    bool failed;
};

void wire_begin(struct wire_writer *w, void *buf, size_t cap, unsigned type, uint32_t nonce);
void wire_put(struct wire_writer *w, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// The last key, "data". n may be 0.
void wire_put_data(struct wire_writer *w, const void *data, size_t n);
// Writes the header. Returns the size of the whole frame, or 0 after an error.
size_t wire_end(struct wire_writer *w);

// Bytes in, frames out. The buffer is the caller's, holds at least WIRE_FRAME_MAX bytes and
// outlives the decoder.
struct wire_decoder {
    unsigned char *buf;
    size_t cap;
    size_t pos;       // where the next frame may start
    size_t len;       // bytes held
    size_t clean;     // payload bytes from pos on that are known to hold no NUL
    uint64_t skipped; // bytes thrown away since init: not 0 after a cut stream
};

void wire_decoder_init(struct wire_decoder *d, void *buf, size_t cap);
// Takes up to n bytes, returns how many: fewer only if frames wait to be taken out.
size_t wire_feed(struct wire_decoder *d, const void *data, size_t n);
// The same without a copy: room for *n bytes to read into (never 0 after wire_next returned
// false), then how many were read. Both wire_feed and wire_space end the life of frames
// handed out before.
void *wire_space(struct wire_decoder *d, size_t *n);
void wire_added(struct wire_decoder *d, size_t n);
// True and a frame, or false: feed more first.
bool wire_next(struct wire_decoder *d, struct wire_frame *f);

// Reading a payload. *pos starts at 0 and walks; lines without '=' or with an empty key are
// passed over, as is a last line without its newline. "data" is handed out encoded.
struct wire_pair {
    const char *key, *value; // not NUL-terminated
    size_t key_len, value_len;
};

bool wire_pair_next(const struct wire_frame *f, size_t *pos, struct wire_pair *out);
// Copies the next value of key from *pos on, NUL-terminated; walks a repeated key. Returns its
// length, -1 if there is none, -2 if it does not fit (out is then "", *pos is past it).
long wire_value_next(const struct wire_frame *f, size_t *pos, const char *key, char *out,
                     size_t cap);
// The first value of key, returned as above.
long wire_get(const struct wire_frame *f, const char *key, char *out, size_t cap);
// The first value of key as a decimal number, or -1 where there is none.
int64_t wire_get_number(const struct wire_frame *f, const char *key);
// Decodes "data" into out. Returns its length, -1 if there is none, -2 if it does not fit or is
// wrongly encoded.
long wire_get_data(const struct wire_frame *f, void *out, size_t cap);
