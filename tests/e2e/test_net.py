"""`tailmac net`: a vnet by its commands, with a client that speaks a datagram a frame."""
import json
import re
import socket

import pytest

from lab import packet
from lab.wait import eventually

MAC = "52:cc:cc:cc:cc:01"


class Client:
    """An unconnected datagram socket, as a user's own program may have."""

    def __init__(self, world, net, mac=MAC):
        self.server, self.mac = net.path, mac
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(world.sock(f"client-{mac[-2:]}"))

    def speak(self):
        """A broadcast, by which vnet knows of it."""
        question = packet.Arp(1, self.mac, "0.0.0.0", "00:00:00:00:00:00", "192.168.0.1")
        frame = packet.Ether(packet.BROADCAST, self.mac, packet.ETH_ARP, question.pack())
        self.sock.sendto(frame.pack(), self.server)

    def close(self):
        self.sock.close()


@pytest.fixture
def net(tm):
    return tm.network()


@pytest.fixture
def client(net, world):
    net.up()
    client = world.keep(Client(world, net))
    client.speak()
    eventually(lambda: net.json("links")["links"], what="a plug")
    return client


def test_up_once_and_down_as_often_as_you_like(net):
    net.up()
    status = net.json("status")
    assert status["listen"] == net.path
    assert f"pid {status['pid']}" in net.fail(5, "up")
    assert net.json("down")["seconds"] < 10
    assert "was not running" in net.down().stdout
    assert net.fail(6, "status").endswith("('tailmac net up' starts one)")
    net.up()


def test_up_with_another_program_at_the_path(net):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(net.path)
        assert net.path in net.fail(5, "up")
    assert "no vnet" in net.fail(6, "status")


def test_what_a_client_did_is_told(net, client):
    link, = net.json("links")["links"]
    assert (link["kind"], link["macs"]) == ("datagram", [MAC])
    for shown in net.run("links").stdout, net.run("counters").stdout:
        assert re.search(rf"\b{link['name']}\b", shown)


LINE = re.compile(r"""(?:\#\ HELP\ (\w+)\ [^\\\n]+|\#\ TYPE\ (\w+)\ counter|
                      (\w+)\{((?:\w+="(?:[^"\\]|\\["\\n])*",?)+)\}\ (\d+))""", re.VERBOSE)


def test_counters_for_prometheus(net, client):
    lines = [LINE.fullmatch(line) for line in net.run("counters", "--prometheus").stdout.splitlines()]
    assert all(lines)
    names = [line[1] or line[2] or line[3] for line in lines]
    assert sorted(names, key=names.index) == names, "the samples of a metric stand apart"
    samples = {(line[3], *re.findall(r'"(.*?)"', line[4])): int(line[5]) for line in lines if line[3]}
    counters = net.json("counters")["plugs"][0]
    assert samples["vnet_plug_frames_total", "net", "0", counters["name"], "in"] == counters["frames_in"] == 1


@pytest.mark.parametrize("format, pattern", [
    ([], r'\{"event":"unplug",.*\}\n'),
    (["--format", "json"], r'\{"event":"unplug",.*\}\n'),
    (["--format", "table"], r"\d\d:\d\d:\d\d unplug .*plug=0\b.*\n"),
], ids=["usual", "json", "table"])
def test_events_until_interrupted(tm, net, client, format, pattern):
    events = tm.spawn("-v", *format, *net.words("events"))
    events.until(lambda: "waiting for events" in events.err, "greeting", 30)
    client.close()  # found out by vnet's own looking
    said = events.expect(pattern)[0]
    if "table" not in format:
        json.loads(said)
    events.interrupt()
    assert events.wait() == 0


def test_events_end_with_vnet(tm, net):
    net.up()
    events = tm.spawn("-v", *net.words("events"))
    events.until(lambda: "waiting for events" in events.err, "greeting", 30)
    net.kill()
    assert events.wait() == 0
