#!/usr/bin/env python3
"""The network of scripts/demo.sh: a datagram socket that guests' NICs are plugged into.

    demo-net.py SOCKET

Prints every Ethernet frame that a guest sends, one a line: time, source MAC, EtherType, and what it
is. Answers ARP, DHCP and ping as 192.168.77.1. Ends on SIGTERM. A server of your own may be as small
as this: a datagram is a frame.
"""
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "e2e"))
sys.dont_write_bytecode = True

from lab import packet  # noqa: E402
from lab.router import Router  # noqa: E402

DHCP_NAMES = {1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK", 7: "RELEASE"}


def describe_udp(ip):
    udp = packet.Udp.parse(ip.payload, ip.src, ip.dst)
    if udp.dport != 67:
        return f"UDP {ip.src}:{udp.sport} > {ip.dst}:{udp.dport}"
    return "DHCP " + DHCP_NAMES.get(packet.Dhcp.parse(udp.payload).message, "?")


def describe_ip(ip):
    if ip.proto == packet.UDP:
        return describe_udp(ip)
    if ip.proto == packet.ICMP:
        icmp = packet.Icmp.parse(ip.payload)
        name = {0: "echo reply", 8: "echo request"}.get(icmp.kind, f"type {icmp.kind}")
        return f"ICMP {ip.src} > {ip.dst} {name}"
    return f"IPv4 {ip.src} > {ip.dst} protocol {ip.proto}"


def describe(ether):
    try:
        if ether.kind == packet.ETH_ARP:
            arp = packet.Arp.parse(ether.payload)
            return (f"ARP who has {arp.target_ip}" if arp.op == 1
                    else f"ARP {arp.sender_ip} is at {arp.sender_mac}")
        if ether.kind == packet.ETH_IPV4:
            return describe_ip(packet.Ipv4.parse(ether.payload))
    except packet.Malformed as why:
        return f"malformed: {why}"
    return "IPv6" if ether.kind == 0x86DD else f"{len(ether.payload)} bytes"


def show(frame):
    ether = packet.Ether.parse(frame)
    now = time.time()
    clock = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
    print(f"{clock} {ether.src} 0x{ether.kind:04x} {describe(ether)}", flush=True)


def serve(sock):
    router = Router(off=("tcp",))
    while True:
        frame, sender = sock.recvfrom(65536)
        show(frame)
        for answer in router.handle(frame, time.monotonic()):
            try:
                sock.sendto(answer, sender)
            except OSError as why:
                print(f"an answer was lost: {why}", file=sys.stderr)


def main():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(sys.argv[1])
        print(f"listening on {sys.argv[1]}", flush=True)
        serve(sock)


main()
