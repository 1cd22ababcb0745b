# SPDX-License-Identifier: Apache-2.0
"""What limits an endpoint: by whose word, changed while it lives, and what that is to its neighbours."""
import json
import os
import signal
import struct

import pytest
from harness import EGRESS, INGRESS, CniError, wait_for
from harness.frames import GSO_TCPV4, NEEDS_CSUM, VnetHeader
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from test_guard_tap import pseudo
from test_picketd_networks import reload
from fake import FakeNomad, serving

ALLOC = "3f1c7a52-0000-4000-8000-00000000000a"
GATEWAY = "02:70:6b:00:00:01"
BURST_BYTES, BURST_PACKETS = 131072, 256    # that any rate has
ALONE = {"nomad": None, "consul": None}


def entry(endpoint):
    """((out, in) bytes, (out, in) packets, (out, in) new flows, flows, (out, in) burst) of the tables."""
    raw = endpoint.node.tables.get("endpoints", struct.pack("I", endpoint.slot))
    v = struct.unpack_from("9I", raw, 80)
    return v[0:2], v[2:4], v[4:6], v[6], v[7:9]


def configure(node, limits):
    node.write_config({**ALONE, "limits": limits})
    reload(node)


def conflist(node, limits):
    """From now on; picketd isn't told."""
    node.options.conf["limits"] = limits
    node.write_config(ALONE)


def becomes(endpoint, *want):
    wait_for(lambda: entry(endpoint)[:len(want)] == want, lambda: f"{entry(endpoint)}, not {want}")


def shown(node, endpoint):
    """{limit: (value, source, denied)} as `picket endpoint show` has them."""
    one = json.loads(node.picket("endpoint", "show", endpoint.id, "-json").stdout)
    return {row["limit"]: (row["value"], row["source"], row["denied"]) for row in one["limits"]}


def udp(a, b, size=60, sport=5000):
    return bytes(Ether(src=a.mac, dst=GATEWAY) / IP(src=a.address(), dst=b.address()) / UDP(sport=sport, dport=9) / bytes(size - 42))


def test_a_reload_changes_every_limit(node):
    node.start_picketd(ALONE)
    a = node.add("acme", "api", "web")
    assert entry(a) == ((0, 0), (0, 0), (0, 0), 0, (0, 0))
    limits = {"bytesPerSecond": {"in": 2000, "out": 1000}, "packetsPerSecond": 30, "newFlowsPerSecond": 7, "flowsPerEndpoint": 50}
    configure(node, limits)
    want = (1000, 2000), (30, 30), (7, 7), 50, (0, 0)
    becomes(a, *want)
    node.check(a)
    assert entry(a) == want
    # A picketd that starts anew finds nothing to change; without one ADD takes its last word.
    node.kill_picketd()
    b = node.add("acme", "api", "web")
    assert entry(b) == want
    node.start_picketd({**ALONE, "limits": limits})
    assert entry(a) == entry(b) == want and "op=limits" not in node.log().split("op=start")[-1]
    configure(node, {"bytesPerSecond": 500, "flowsPerEndpoint": 4096})
    becomes(a, (500, 500), (0, 0), (0, 0), 0)
    becomes(b, (500, 500), (0, 0), (0, 0), 0)
    assert shown(node, a) == {"bytes out": (500, "picketd.json", 0), "bytes in": (500, "picketd.json", 0),
                              "new flows out": (500, "default", 0), "new flows in": (500, "default", 0), "live flows": (4096, "default", 0)}


def test_a_conflists_limits_are_followed(node):
    conflist(node, {"bytesPerSecond": 1000, "flows": 9})
    node.start_picketd(ALONE)
    a = node.add("acme", "api", "web")
    assert entry(a) == ((1000, 1000), (0, 0), (0, 0), 9, (0, 0))
    conflist(node, {"packetsPerSecond": {"out": 5}})
    reload(node)
    becomes(a, (0, 0), (5, 0), (0, 0), 0)
    node.check(a)
    # Another ADD's conflist is newer than what picketd knows: both live by it.
    conflist(node, {"newFlowsPerSecond": {"in": 9, "out": 3}})
    b = node.add("acme", "api", "web")
    becomes(a, (0, 0), (0, 0), (3, 9), 0)
    becomes(b, (0, 0), (0, 0), (3, 9), 0)
    # What the plugin would refuse, or a file that is gone, is no word.
    conflist(node, {"newFlows": 4})
    reload(node)
    os.unlink(os.path.join(node.root, "opt/cni/config/picket.conflist"))
    reload(node)
    assert entry(a)[2] == entry(b)[2] == (3, 9)
    # Of both words of the operator's the lower holds.
    node.options.conf["limits"] = {"newFlowsPerSecond": 3}
    configure(node, {"newFlowsPerSecond": 2})
    becomes(a, (0, 0), (0, 0), (2, 2), 0)
    configure(node, {"newFlowsPerSecond": 4})
    becomes(a, (0, 0), (0, 0), (3, 3), 0)
    assert shown(node, a)["new flows in"] == (3, "conflist", 0)


def bandwidth(**more):
    return {"runtimeConfig": {"bandwidth": more}}


def test_a_runtimes_bandwidth(node):
    """cnitool, containerd: bits; into the endpoint is ingress."""
    node.start_picketd(ALONE)
    said = bandwidth(ingressRate=8000, ingressBurst=1600000, egressRate=80, egressBurst=80)
    other = {"name": "other", "pool": ["10.50.7.0/24"]}         # a network of which picketd has no conflist
    a = node.add("acme", "api", "web", conf=node.plugin_conf(**other, **said, limits={"bytesPerSecond": {"in": 500}}))
    assert entry(a) == ((10, 500), (0, 0), (0, 0), 0, (10, 0))       # the lower of both, each way
    b = node.add("acme", "api", "web", conf=node.plugin_conf(**said))
    assert entry(b) == ((10, 1000), (0, 0), (0, 0), 0, (10, 200000))
    node.check(b, conf=node.plugin_conf())                      # which CHECK isn't told
    node.picketd.send_signal(signal.SIGHUP)
    configure(node, {"bytesPerSecond": 100})
    becomes(b, (10, 100), (0, 0), (0, 0), 0, (10, 0))
    configure(node, {})
    becomes(b, (10, 1000), (0, 0), (0, 0), 0, (10, 200000))
    assert shown(node, b)["bytes in"][:2] == (1000, "bandwidth")
    vmm, frame = b.tap(), udp(b, a, 1400)
    fits = BURST_BYTES // 1400
    for _ in range(fits + 20):
        vmm.send(frame)
    wait_for(lambda: denied(b, EGRESS, "rate-limit") + denied(b, EGRESS, "ok") == fits + 20, "all of them to be judged")
    assert 0 < denied(b, EGRESS, "rate-limit") <= 20
    assert shown(node, b)["bytes out"] == (10, "bandwidth", denied(b, EGRESS, "rate-limit"))
    for bad in ({"ingressRate": 1}, {"egressRate": -8, "egressBurst": 8}, {"ingressRate": 8, "ingressBurst": 8, "rate": 1}):
        with pytest.raises(CniError) as refused:
            node.add("acme", "api", "web", conf=node.plugin_conf(**bandwidth(**bad)))
        assert refused.value.code == 7 and "bandwidth" in refused.value.msg and "fix:" in refused.value.details


def denied(endpoint, direction, reason):
    return endpoint.node.tables.counters(endpoint.slot).get((direction, reason), 0)


@pytest.fixture
def nomad(node):
    with serving(node, FakeNomad, "here") as fake:
        yield fake


def asks(nomad, **limits):
    nomad.put(ALLOC, "acme", "api", "web", meta={"picket.limits": json.dumps(limits), "tier": "web"})


def with_nomad(nomad, **limits):
    return {"nomad": {"address": nomad.address, "node": "here"}, "consul": None, "limits": limits}


def test_a_jobs_meta_sets_what_the_operator_lets_it(node, nomad):
    node.options.conf.update(limits={"bytesPerSecond": 1000})
    node.start_picketd(with_nomad(nomad))
    asks(nomad, bytesPerSecond=5000)
    a = node.add("acme", "api", "web", alloc_id=ALLOC)
    # Nobody lets it: what holds is the conflist's, and that is said.
    wait_for(lambda: "picketd.json lets none" in node.picket("endpoint", "list").stdout, "why it is refused")
    assert entry(a)[0] == (1000, 1000)
    assert "picketd.json lets none" in node.picket("policy", "explain", a.id, a.id, "80/tcp", check=False).stdout
    one = node.api(f"/v1/endpoints/{ALLOC}")
    assert "meta:tier=web" in one["labels"] and not [label for label in one["labels"] if "picket.limits" in label]
    node.write_config(with_nomad(nomad, jobMost={"bytesPerSecond": 5000, "flows": 20}))
    reload(node)
    becomes(a, (5000, 5000), (0, 0), (0, 0), 0)
    assert shown(node, a)["bytes out"] == (5000, "job", 0) and not node.api(f"/v1/endpoints/{ALLOC}")["limitsRefused"]
    # Over the most, or of another kind: nothing of it counts.
    for limits, why in (({"bytesPerSecond": 5001}, "5001 bytes out, and the most is 5000"),
                        ({"bytesPerSecond": 1, "packetsPerSecond": 1}, "1 packets out, and the most is 0")):
        asks(nomad, **limits)
        wait_for(lambda why=why: why in node.picket("endpoint", "list").stdout, why)
        becomes(a, (1000, 1000), (0, 0), (0, 0), 0)
    asks(nomad, bytesPerSecond={"in": 10}, flows=3)
    becomes(a, (1000, 10), (0, 0), (0, 0), 3)
    # Kept over a restart, Nomad silent.
    node.kill_picketd()
    nomad.token = "another"
    node.start_picketd(with_nomad(nomad, jobMost={"bytesPerSecond": 5000, "flows": 20}))
    assert entry(a)[:4] == ((1000, 10), (0, 0), (0, 0), 3) and "op=limits" not in node.log().split("op=start")[-1]


def test_what_another_namespaces_job_asks_for_is_nobodys(node, nomad):
    node.start_picketd(with_nomad(nomad, jobMost={"bytesPerSecond": 5000}))
    nomad.put(ALLOC, "other", "api", "web", meta={"picket.limits": '{"bytesPerSecond":5000}'})
    a = node.add("acme", "api", "web", alloc_id=ALLOC)
    wait_for(lambda: node.api(f"/v1/endpoints/{ALLOC}")["confirmed"] == "contradicted", "Nomad's word")
    assert entry(a)[0] == (0, 0)


LIMITS = {"bytes": ({"bytesPerSecond": {"out": 1}}, "rate-limit"), "packets": ({"packetsPerSecond": {"out": 1}}, "rate-limit"),
          "new flows": ({"newFlowsPerSecond": 1}, "flow-rate"), "flows": ({"flows": 4}, "flow-budget")}


@pytest.mark.parametrize("kind", LIMITS)
def test_a_neighbour_of_one_at_its_limits(node, kind):
    """Far beyond them, while a neighbour's flow goes on: each of its packets arrives."""
    limits, reason = LIMITS[kind]
    a = node.add("acme", "noisy", "web", conf=node.plugin_conf(limits=limits))
    b, c, d = (node.add("acme", name, "web") for name in ("quiet", "peer", "sink"))
    noise = [udp(a, d, 1400, 1000 + i) if "flows" in kind else udp(a, d, 1400) for i in range(20)]
    frame, out, into, sink, noisy = udp(b, c), b.tap(), c.tap(), d.tap(), a.tap()
    for _ in range(40):
        for other in noise:
            noisy.send(other)
        out.send(frame)
        got = into.receive(lambda raw: raw[42:] == frame[42:] and raw[34:38] == frame[34:38])
        assert got, f"a packet of the neighbour's, while {a.node.tables.counters(a.slot)}"
        sink.drain()
    wait_for(lambda: denied(a, EGRESS, reason) > 400, lambda: node.tables.counters(a.slot))
    for endpoint in (b, c):
        assert not [key for key in node.tables.counters(endpoint.slot) if key[1] in ("rate-limit", "flow-rate", "flow-budget")]


@pytest.mark.parametrize("direction", [EGRESS, INGRESS])
def test_a_long_frame_counts_its_segments(node, direction):
    """60 KB of TCP in one frame are 42 packets: six of them fit into a burst of 256, and four more packets."""
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "web")
    node.start_picketd(ALONE)
    key = "out" if direction == EGRESS else "in"
    payload, size, pieces = bytes(60000), 1448, 42
    header = VnetHeader(gso_type=GSO_TCPV4, gso_size=size, hdr_len=54, flags=NEEDS_CSUM, csum_start=34, csum_offset=16)
    frame = pseudo(Ether(src=a.mac, dst=GATEWAY) / IP(src=a.address(), dst=b.address()) /
                   TCP(sport=9, dport=80, flags="S") / payload, TCP)
    configure(node, {"packetsPerSecond": {key: 1}})
    limited = a if direction == EGRESS else b
    becomes(limited, (0, 0), (1, 0) if direction == EGRESS else (0, 1))
    vmm, other = a.tap(), b.tap()
    for _ in range(BURST_PACKETS // pieces):
        vmm.send(frame, header)
        other.drain()
    assert not denied(limited, direction, "rate-limit")
    vmm.send(frame, header)
    wait_for(lambda: denied(limited, direction, "rate-limit") == 1, "the seventh")
