"""The way out: what leads to the host, what does not, and what becomes of a lab when it breaks."""
import pytest

from lab.web import DIGEST, Web, fetch

LAB = """
networks:
  home: { lan: 192.168.1.1/24 }
  flat: { lan: 192.168.9.1/24, wan: 2.1.1.1 }
nodes:
  a: { mac: "52:cc:cc:cc:cc:01", network: home }
  b: { mac: "52:cc:cc:cc:cc:02", network: flat }
internet:
  dns: { web.test: 5.0.0.1 }
  forward: { "5.0.0.1:80": "127.0.0.1:%d" }
"""
SITE, MAC_A, MAC_B = "5.0.0.1", "52:cc:cc:cc:cc:01", "52:cc:cc:cc:cc:02"


@pytest.fixture
def web(world):
    return world.keep(Web())


@pytest.fixture
def lab(web, make_vnet):
    return make_vnet(lab=LAB % web.port)


@pytest.fixture
def node(lab, make_node):
    a = make_node(lab, MAC_A)
    a.dhcp()
    return a


def test_a_page_comes_through_a_lab_address(lab, node, make_node):
    behind_nat = make_node(lab, MAC_B)
    behind_nat.dhcp()
    for client in (node, behind_nat):
        assert fetch(client, f"http://{SITE}/") == DIGEST
    node.ping(SITE)
    assert not lab.drops()


def test_without_a_way_out_there_is_no_route(lab, node, web):
    assert "unreachable" in fetch(node, f"http://198.51.100.1:{web.port}/")
    assert lab.drops() == {"no-route": 1}


def test_nothing_else_of_the_host_is_reached(node, web, lab):
    for url in (f"http://{SITE}:{web.port}/", f"http://192.0.0.1:{web.port}/",
                f"http://192.0.0.6:1/"):
        assert fetch(node, url) != DIGEST
