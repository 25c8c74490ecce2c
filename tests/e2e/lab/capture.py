"""A pcapng file, read by tshark and by our own few lines."""
import struct
import subprocess

SECTION = 0x0A0D0D0A


class Capture:
    def __init__(self, path):
        self.path = path

    def tshark(self, *args):
        """Its lines; whatever it warns of is a failure."""
        done = subprocess.run(["tshark", "-n", "-r", self.path, *args], check=False, text=True,
                              capture_output=True)
        said = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
        assert done.returncode == 0 and not said, f"tshark: {done.stderr}"
        return done.stdout.splitlines()

    def fields(self, *names, only=""):
        options = [option for name in names for option in ("-e", name)]
        lines = self.tshark("-T", "fields", *options, *(["-Y", only] if only else []))
        return [line.split("\t") for line in lines]

    def check(self):
        """Every frame is well-formed, its checksums right. A frame is in the file once for each plug
        that it passed, which would be repetitions within a TCP stream."""
        bad = self.tshark("-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
                          "-o", "udp.check_checksum:TRUE", "-o", "tcp.desegment_tcp_streams:FALSE",
                          "-o", "tcp.analyze_sequence_numbers:FALSE", "-Y",
                          "_ws.malformed or ip.checksum.status==0 or tcp.checksum.status==0 or "
                          "udp.checksum.status==0 or icmp.checksum.status==0 or "
                          "icmpv6.checksum.status==0")
        assert not bad, "\n".join(bad[:20])

    def interfaces(self):
        return sorted({name for (name,) in self.fields("frame.interface_name")})

    def macs(self, interface):
        """Source MACs of the frames at interfaces whose name the function accepts."""
        return {mac for name, mac in self.fields("frame.interface_name", "eth.src")
                if interface(name)}

    @staticmethod
    def router_mac(network):
        """By the order in the lab's file."""
        return {"home": "52:ee:ee:ee:ee:01", "office": "52:ee:ee:ee:ee:02"}[network]

    def sections(self):
        """How many sections the file has; every block is whole."""
        data, at, count = self.path.read_bytes(), 0, 0
        while at < len(data):
            kind, length = struct.unpack_from("<II", data, at)
            assert length % 4 == 0 and at + length <= len(data), f"a torn block at {at}"
            assert struct.unpack_from("<I", data, at + length - 4)[0] == length
            count += kind == SECTION
            at += length
        return count
