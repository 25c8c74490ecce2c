"""The network behind a server socket: 192.168.77.1 with ARP, DHCP, echo and TCP, without I/O.

handle(frame, now) returns the frames to send; the server decides which guest gets them by their
destination address.
"""
import struct

from . import packet
from .packet import Arp, Dhcp, Ether, Icmp, Ipv4, Malformed, Tcp, Udp
from .tcp import TcpServer

IP, MAC, MASK = "192.168.77.1", "52:ee:ee:ee:ee:01", "255.255.255.0"
LEASE = 3600
UDP_ECHO = 7


def address_for(mac):
    """The one address that a MAC is given: by its last byte, as people number their guests."""
    return f"192.168.77.{100 + packet.mac_bytes(mac)[5] % 150}"


class Router:
    """`off` names what stays silent: any of arp, dhcp, icmp, udp, tcp."""

    def __init__(self, off=()):
        self.off = frozenset(off)
        self.forget()

    def forget(self):
        self.tcp = TcpServer()
        self.leases = {}  # mac -> address acknowledged
        self.macs = {IP: MAC}

    def handle(self, frame, now):
        try:
            ether = Ether.parse(frame)
            if ether.kind == packet.ETH_ARP:
                return self.on_arp(ether, Arp.parse(ether.payload))
            if ether.kind == packet.ETH_IPV4:
                return self.on_ipv4(ether, Ipv4.parse(ether.payload), now)
        except Malformed:
            pass
        return []

    def on_arp(self, ether, arp):
        if arp.sender_ip != "0.0.0.0":
            self.macs[arp.sender_ip] = arp.sender_mac
        if "arp" in self.off or arp.op != 1 or arp.target_ip != IP:
            return []
        reply = Arp(2, MAC, IP, arp.sender_mac, arp.sender_ip)
        return [Ether(ether.src, MAC, packet.ETH_ARP, reply.pack()).pack()]

    def on_ipv4(self, ether, ip, now):
        if ip.proto == packet.UDP:
            udp = Udp.parse(ip.payload, ip.src, ip.dst)
            if udp.dport == 67:
                return self.on_dhcp(ether, Dhcp.parse(udp.payload))
        if ip.dst != IP:
            return []
        self.macs[ip.src] = ether.src
        if ip.proto == packet.UDP:
            return self.on_udp(ether, ip, udp)
        if ip.proto == packet.ICMP:
            return self.on_icmp(ether, ip, Icmp.parse(ip.payload))
        if ip.proto == packet.TCP and "tcp" not in self.off:
            seg = Tcp.parse(ip.payload, ip.src, ip.dst)
            return self.tcp_frames(self.tcp.handle(ether.src, ip.src, ip.dst, seg, now))
        return []

    def on_udp(self, ether, ip, udp):
        if "udp" in self.off or udp.dport != UDP_ECHO:
            return []
        answer = Udp(udp.dport, udp.sport, udp.payload).pack(ip.dst, ip.src)
        return [packet.ip_frame(MAC, ether.src, ip.dst, ip.src, packet.UDP, answer)]

    def on_icmp(self, ether, ip, icmp):
        if "icmp" in self.off or icmp.kind != 8:
            return []
        answer = Icmp(0, 0, icmp.ident, icmp.seq, icmp.payload).pack()
        return [packet.ip_frame(MAC, ether.src, ip.dst, ip.src, packet.ICMP, answer)]

    def on_dhcp(self, ether, ask):
        """OFFER and ACK of the MAC's one address, NAK for any other, silence for the rest."""
        if "dhcp" in self.off or ask.op != 1:
            return []
        address = address_for(ask.mac)
        if ask.options.get(Dhcp.SERVER, packet.ip_bytes(IP)) != packet.ip_bytes(IP):
            return []  # the client took another server's offer
        if ask.message == Dhcp.DISCOVER:
            return [self.dhcp_reply(ask, Dhcp.OFFER, address)]
        if ask.message != Dhcp.REQUEST:
            return []
        wanted = ask.options.get(Dhcp.WANTED, packet.ip_bytes(ask.ciaddr))
        if wanted != packet.ip_bytes(address):
            return [self.dhcp_reply(ask, Dhcp.NAK, "0.0.0.0")]
        self.leases[ask.mac] = address
        self.macs[address] = ask.mac
        return [self.dhcp_reply(ask, Dhcp.ACK, address)]

    def dhcp_reply(self, ask, message, address):
        options = {Dhcp.MESSAGE: bytes([message]), Dhcp.SERVER: packet.ip_bytes(IP)}
        if message != Dhcp.NAK:
            options |= {1: packet.ip_bytes(MASK), 3: packet.ip_bytes(IP), 6: packet.ip_bytes(IP),
                        51: struct.pack("!I", LEASE)}
        broadcast = message == Dhcp.NAK or ask.flags & 0x8000  # RFC 2131, 4.1
        reply = Dhcp(2, ask.xid, ask.mac, options, ask.flags, yiaddr=address)
        dst_ip = "255.255.255.255" if broadcast else address
        return packet.ip_frame(MAC, packet.BROADCAST if broadcast else ask.mac, IP, dst_ip,
                               packet.UDP, Udp(67, 68, reply.pack()).pack(IP, dst_ip))

    @staticmethod
    def tcp_frames(pairs):
        return [packet.ip_frame(MAC, conn.guest_mac, conn.server[0], conn.guest[0], packet.TCP,
                                seg.pack(conn.server[0], conn.guest[0])) for conn, seg in pairs]

    def tick(self, now):
        return self.tcp_frames(self.tcp.tick(now))

    def say(self, text, now):
        return self.tcp_frames(self.tcp.say(text, now))
