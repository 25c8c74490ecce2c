"""The routers' DNS servers, asked by dig from a node."""
import pytest

from lab.dhcp import Dhclient
from lab.dig import dig
from lab.vnet import Refused
from lab.wait import eventually

LAB = """
networks:
  home:
    lan: 192.168.1.1/24
    lan6: "2000:52::1/64"
    domain: home.lab
    dns: { only.home.test: 192.168.1.80, intranet: 192.168.1.81 }
  office:
    lan: 10.2.0.1/16
    lan6: "2000:53::1/64"
    dns: { only.office.test: 10.2.0.80, intranet: 10.2.0.81 }
nodes:
  a: { network: home, ip6: "2000:52::a" }
  b: { network: office }
internet:
  dns:
    example.test: [5.0.0.1, "2052::1"]
    web.example.test: { cname: example.test }
    www.example.test: { cname: web.example.test }
    dangling.test: { cname: nowhere.test }
    four.test: 5.0.0.4
    hint.test: { txt: [one, 'two "quoted" words'] }
    long.test: { txt: [%s] }
    big.test: { txt: [%s] }
""" % tuple(", ".join(str(n) * 200 for n in range(count)) for count in (5, 9))
MAC = {"a": "52:cc:cc:cc:cc:01", "b": "52:cc:cc:cc:cc:02"}
HOME, HOME6, OFFICE = "192.168.1.1", "2000:52::1", "10.2.0.1"
CLASSIC = 512  # bytes without EDNS (RFC 1035, 4.2.1)


@pytest.fixture
def vnet(make_vnet):
    return make_vnet(lab=LAB)


@pytest.fixture
def node(vnet, make_node):
    node = make_node(vnet, MAC["a"], name="a")
    node.dhcp()
    return node


@pytest.fixture(params=[4, 6])
def family(request):
    return request.param


@pytest.fixture
def ask(node, family):
    """ask(*words) → dig's Answer, by IPv4 and then by IPv6."""
    if family == 6:
        node.wait_for_address(6)
    server = HOME if family == 4 else HOME6
    return lambda *words, **options: dig(node, server, *words, **options)


def test_answers(ask):
    answer = ask("example.test")
    assert answer.status == "NOERROR" and {"qr", "aa", "rd"} <= answer.flags
    assert answer.records == {"ANSWER": [("example.test.", "A", "5.0.0.1")]}
    assert ask("example.test", "AAAA").values == ["2052::1"]
    assert ask("hint.test", "TXT").values == ['"one"', r'"two \"quoted\" words"']


def test_nodes_and_routers(ask):
    for name in ("a", "a.home.lab"):
        assert ask("-q", name, "A").values == ["192.168.1.101"]  # or dig takes it for a type
        assert ask("-q", name, "AAAA").values == ["2000:52::a"]
    assert ask("b.office.internal", "A").values == ["10.2.0.102"]


def test_aliases(ask):
    assert ask("www.example.test").records["ANSWER"] == [
        ("www.example.test.", "CNAME", "web.example.test."),
        ("web.example.test.", "CNAME", "example.test."),
        ("example.test.", "A", "5.0.0.1")]
    assert ask("www.example.test", "CNAME").values == ["web.example.test."]
    dangling = ask("dangling.test")  # the status is that of the last name (RFC 6604, 3)
    assert dangling.status == "NXDOMAIN" and dangling.values == ["nowhere.test."]


@pytest.mark.parametrize("address, name", [("192.168.1.101", "a.home.lab."),
                                           ("10.2.0.102", "b.office.internal."),
                                           ("5.0.0.1", "example.test."),
                                           ("2000:52::a", "a.home.lab."),
                                           ("2052::1", "example.test.")])
def test_addresses_have_names(ask, address, name):
    assert ask("-x", address).values == [name]


@pytest.mark.parametrize("question", [["nowhere.test"], ["nowhere.test", "TXT"], ["-x", "5.9.9.9"],
                                      ["-x", "2052::9"], ["nobody.home.lab"]])
def test_there_is_no_such_name(ask, question):
    answer = ask(*question)
    assert (answer.status, answer.values) == ("NXDOMAIN", [])
    assert answer.types("AUTHORITY") == ["SOA"]  # RFC 2308, 3


@pytest.mark.parametrize("question", [("four.test", "AAAA"), ("example.test", "MX"),
                                      ("hint.test", "A")])
def test_the_name_has_nothing_of_the_kind(ask, question):
    answer = ask(*question)
    assert (answer.status, answer.values) == ("NOERROR", [])
    assert answer.types("AUTHORITY") == ["SOA"]


def test_case_is_echoed_and_does_not_matter(ask):
    answer = ask("eXaMpLe.TeSt")
    assert answer.question == "eXaMpLe.TeSt."
    assert answer.values == ["5.0.0.1"]


# EDNS (RFC 6891), truncation, TCP


def test_edns(ask):
    assert ask("+noedns", "example.test").edns == {}
    answer = ask("+bufsize=4096", "example.test")
    assert answer.edns["version"] == "0" and answer.edns["udp"] >= CLASSIC
    assert answer.values == ["5.0.0.1"]


def test_a_version_that_is_not_known(ask):
    answer = ask("+edns=1", "+noednsneg", "example.test")
    assert (answer.status, answer.edns["version"], answer.values) == ("BADVERS", "0", [])
    assert ask("+edns=1", "+ednsneg", "example.test").values == ["5.0.0.1"]  # dig asks again


@pytest.mark.parametrize("options, most", [(["+noedns"], CLASSIC), (["+bufsize=512"], CLASSIC),
                                           (["+bufsize=100"], CLASSIC), (["+bufsize=1232"], 1232)])
def test_an_answer_that_is_too_big(ask, options, most):
    answer = ask("+ignore", *options, "big.test", "TXT")
    assert "tc" in answer.flags and answer.size <= most
    assert answer.status == "NOERROR"


def test_a_big_answer_where_there_is_room(ask):
    answer = ask("+ignore", "+bufsize=1400", "long.test", "TXT")
    assert "tc" not in answer.flags and len(answer.values) == 5 and answer.size > 5 * 200


@pytest.mark.parametrize("question", [("+tcp", "example.test"), ("+noedns", "big.test", "TXT")])
def test_tcp(ask, family, question):
    """The second one goes there by itself. By IPv6 there is none, and that is told at once."""
    if family == 4:
        answer = ask(*question)
        assert answer.status == "NOERROR" and answer.values and "tc" not in answer.flags
        return
    done = ask(*question, check=False)
    assert done.returncode != 0 and "connection refused" in done.stdout + done.stderr


# Whose names


def test_split_zones(vnet, node, make_node):
    other = make_node(vnet, MAC["b"], name="b")
    other.dhcp()
    for asks, server, own, foreign, intranet in (
            (node, HOME, "only.home.test", "only.office.test", "192.168.1.81"),
            (other, OFFICE, "only.office.test", "only.home.test", "10.2.0.81")):
        assert dig(asks, server, own).status == "NOERROR"
        assert dig(asks, server, foreign).status == "NXDOMAIN"
        assert dig(asks, server, "intranet").values == [intranet]
        assert dig(asks, server, "example.test").values == ["5.0.0.1"]
    assert dig(node, HOME, "b").status == "NXDOMAIN"
    assert dig(node, HOME, "b.office.internal").values == ["10.2.0.102"]


def test_a_client_names_itself(vnet, make_node):
    node = make_node(vnet, "02:00:00:00:00:77")
    client = Dhclient(node)
    client.file("conf").write_text(Dhclient.CONF + 'send host-name "laptop";\n')
    client.start()
    address = client.told("BOUND")["new_ip_address"]
    for name in ("laptop", "LAPTOP.home.lab"):
        assert dig(node, HOME, name).values == [address]
    assert dig(node, HOME, "-x", address).values == ["laptop.home.lab."]
    client.release()
    client.told("RELEASE")
    client.node.run("ip", "address", "add", f"{address}/24", "dev", "c0")
    assert dig(node, HOME, "laptop").status == "NXDOMAIN"


# Faults


@pytest.mark.parametrize("fault, status", [("servfail", "SERVFAIL"), ("refused", "REFUSED"),
                                           ("nxdomain", "NXDOMAIN")])
def test_faults_with_a_status(vnet, ask, fault, status):
    assert vnet.ask("dns", network="home", fault=fault) == {}
    answer = ask("example.test")
    assert (answer.status, answer.values) == (status, [])
    vnet.ask("dns", network="home", fault="ok")
    assert ask("example.test").values == ["5.0.0.1"]


def test_truncated_by_fault(vnet, ask):
    vnet.ask("dns", network="home", fault="truncated")
    answer = ask("+ignore", "example.test")
    assert "tc" in answer.flags and answer.values == []
    vnet.ask("dns", network="home", fault="ok")
    assert "tc" not in ask("+ignore", "example.test").flags


def test_silent(vnet, node):
    vnet.ask("dns", network="home", fault="silent")
    done = node.run("dig", f"@{HOME}", "+tries=1", "+time=1", "example.test", check=False)
    assert done.returncode != 0 and "timed out" in done.stdout
    eventually(lambda: vnet.drops().get("dns-fault") == 1, what="the drop")
    node.ping(HOME)  # nothing else is silent
    vnet.ask("dns", network="home", fault="ok")
    assert dig(node, HOME, "example.test").values == ["5.0.0.1"]


def test_a_fault_is_one_networks(vnet, node, make_node):
    other = make_node(vnet, MAC["b"], name="b")
    other.dhcp()
    vnet.ask("dns", network="home", fault="refused")
    assert dig(node, HOME, "example.test").status == "REFUSED"
    assert dig(other, OFFICE, "example.test").status == "NOERROR"


@pytest.mark.parametrize("args, why", [({"network": "nowhere", "fault": "ok"}, "nowhere"),
                                       ({"network": "home", "fault": "fire"}, "fire")])
def test_faults_that_there_are_not(vnet, node, args, why):
    with pytest.raises(Refused, match=why):
        vnet.ask("dns", **args)
    assert dig(node, HOME, "example.test").status == "NOERROR"


def test_a_fault_from_the_start(make_vnet, make_node):
    vnet = make_vnet(lab="networks: { home: { lan: 192.168.1.1/24, dns-fault: servfail } }")
    node = make_node(vnet, MAC["a"])
    node.dhcp()
    assert dig(node, HOME, "a.home.internal").status == "SERVFAIL"
