#!/usr/bin/python3
"""Makes an input of fuzz-vnet out of a lab's capture: the frames that its guests sent.

    from-capture.py CAPTURE.pcapng [PLUG=NAME ...] > corpus/vnet/NAME

PLUG is 0 to 3 (tests/fuzz/lab.h: two of `home`, one of `tiny`, one of `nat`), NAME the end of an interface's
name in the capture. The capture's lab should have the addresses of lab.h, else routers and DHCP
servers do not find themselves in it.
"""
import math
import struct
import sys

INTERFACE, PACKET = 1, 6  # draft-ietf-opsawg-pcapng, 4.2 and 4.3
NAME, FLAGS, INBOUND = 2, 2, 1
LONGEST_GAP = 63  # its square in units of 50 ms


def blocks(data):
    while data:
        kind, length = struct.unpack_from("<II", data)
        yield kind, data[8:length - 4]
        data = data[length:]


def options(data):
    while len(data) >= 4:
        code, length = struct.unpack_from("<HH", data)
        yield code, data[4:4 + length]
        data = data[4 + length + -length % 4:]


def frames(data):
    """Who sent it, when (ns), and the frame."""
    names = []
    for kind, body in blocks(data):
        if kind == INTERFACE:
            names.append(dict(options(body[8:]))[NAME].decode())
        elif kind == PACKET:
            interface, high, low, size = struct.unpack_from("<IIII", body)
            flags = dict(options(body[20 + size + -size % 4:])).get(FLAGS, bytes(4))
            if struct.unpack("<I", flags)[0] & 3 == INBOUND:
                yield names[interface], high << 32 | low, body[20:20 + size]


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    plugs = dict(reversed(pair.split("=", 1)) for pair in sys.argv[2:])
    before = None
    for name, time, frame in frames(data):
        plug = next((int(number) for end, number in plugs.items() if name.endswith(end)), None)
        if plug is None:
            continue
        gap = round(math.sqrt((time - (before or time)) / 50e6))
        before = time
        sys.stdout.buffer.write(struct.pack(">BH", min(gap, LONGEST_GAP) << 2 | plug, len(frame)) + frame)


if __name__ == "__main__":
    main()
