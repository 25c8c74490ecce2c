// A packet of virtio-vsock (virtio 1.2, 5.10.6): this header, then for RW its data. All numbers are
// little-endian, as are all machines that we run on.
#pragma once

#include <assert.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packets are read as they are");

enum {
    VSOCK_HOST_CID = 2,
    VSOCK_STREAM = 1,
    VSOCK_DATA_MAX = 64 << 10, // Linux takes no more at once
    VSOCK_PARTS_MAX = 32,      // pieces of guest memory that a packet may lie in
};

enum vsock_op {
    VSOCK_REQUEST = 1,
    VSOCK_RESPONSE,
    VSOCK_RST,
    VSOCK_SHUTDOWN,
    VSOCK_RW,
    VSOCK_CREDIT_UPDATE,
    VSOCK_CREDIT_REQUEST,
};

// Of SHUTDOWN: what its sender will not do any more.
enum { VSOCK_NO_RECEIVE = 1, VSOCK_NO_SEND = 2, VSOCK_CLOSED = 3 };

struct vsock_header {
    uint64_t src_cid;
    uint64_t dst_cid;
    uint32_t src_port;
    uint32_t dst_port;
    uint32_t len;
    uint16_t type;
    uint16_t op;
    uint32_t flags;
    uint32_t buf_alloc; // the sender's buffer for this connection
    uint32_t fwd_cnt;   // bytes that ever left it, modulo 2^32
} __attribute__((packed));
static_assert(sizeof(struct vsock_header) == 44, "as on the wire");
