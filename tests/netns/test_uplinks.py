# SPDX-License-Identifier: Apache-2.0
"""
Which devices lead out of the node, what the tables say of them, and pk_from_uplink at each: by whoever loads,
by an ADD, by picketd as netlink tells it. What crosses them is test_world.py's.
"""
import json
import signal

import pytest
from harness import CniError, wait_for
from harness.shell import binary
from test_upgrade import as_old, current

PROGRAM = "pk_from_uplink"
MORE_BLOCKS, DEFAULT4, DEFAULT6 = 1, 2, 4		# node.flags
PORTS = {"runtimeConfig": {"portMappings": [
    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]}}


def ifindex(node, device):
    return node.json(["ip", "-j", "link", "show", device])[0]["ifindex"]


def uplinks(node):
    """{device: (MTU, IPv4, IPv6)} of the tables, in their order."""
    names = {link["ifindex"]: link["ifname"] for link in node.json(["ip", "-j", "link"])}
    return {names.get(u.ifindex, u.ifindex): (u.mtu, u.ipv4, u.ipv6) for u in node.tables.node().uplinks}


def filters(node, device, way="ingress"):
    """Names of the filters there, in their order."""
    shown = node.json(["tc", "-j", "filter", "show", "dev", device, way])
    return [f["options"]["bpf_name"] for f in shown if "bpf_name" in f.get("options", {})]


def program_id(node, device):
    shown = node.json(["tc", "-j", "filter", "show", "dev", device, "ingress"])
    return [f["options"]["prog"]["id"] for f in shown if f.get("options", {}).get("bpf_name") == PROGRAM]


def add(node, *names, conf=None, **kw):
    return node.add(*(names or ("acme", "api", "web")), conf=conf and node.plugin_conf(**conf), **kw)


def veth(node, device, *addresses, mtu=None):
    """Another device with its other end beside it."""
    node.run(["ip", "link", "add", device, "type", "veth", "peer", "name", f"{device}p"])
    for name in (device, f"{device}p"):
        node.run(["ip", "link", "set", name, "addrgenmode", "none", *(["mtu", str(mtu)] if mtu else [])])
        node.run(["ip", "link", "set", name, "up"])
    for address in addresses:
        node.run(["ip", "addr", "add", address, "dev", device, *(["nodad"] if ":" in address else [])])


def run(node, *lines):
    for line in lines:
        node.run(line.split())


def wait_uplinks(node, wanted):
    wait_for(lambda: uplinks(node) == wanted, lambda: f"{wanted}, now {uplinks(node)}")


UP0 = {"up0": (1500, "192.0.2.2", "2001:db8::2")}

# Which devices they are. Each row: what is done to a node with up0, and what the first load finds.
ROUTES = [
    ("up0", [], {**UP0}),
    ("a lower metric comes first", ["ip route add default via 198.51.100.1 dev two metric 10",
                                    "ip route replace default via 192.0.2.1 dev up0 metric 100",
                                    "ip route del default via 192.0.2.1 metric 0"],
     {"two": (1500, "198.51.100.2", None), **UP0}),
    ("a table that a rule names", ["ip rule add from 10.40.0.0/16 table 77",
                                   "ip route add default via 198.51.100.1 dev two table 77"],
     {**UP0, "two": (1500, "198.51.100.2", None)}),
    ("a table that no rule names", ["ip route add default via 198.51.100.1 dev two table 78"], {**UP0}),
    ("two hops of one route", ["ip route replace default nexthop via 192.0.2.1 dev up0 nexthop via 198.51.100.1 dev two"],
     {**UP0, "two": (1500, "198.51.100.2", None)}),
    ("a next hop by its id alone", ["sysctl -qw net.ipv4.nexthop_compat_mode=0",
                                    "ip nexthop add id 7 via 198.51.100.1 dev two",
                                    "ip nexthop add id 8 via 192.0.2.1 dev up0", "ip nexthop add id 9 group 7/8",
                                    "ip route del default", "ip route add default nhid 9"],
     {"two": (1500, "198.51.100.2", None), **UP0}),
    ("IPv6 alone", ["ip route del default", "ip addr del 192.0.2.2/24 dev up0"],
     {"up0": (1500, None, "2001:db8::2")}),
    ("the address that the route names", ["ip addr add 192.0.2.7/24 dev up0",
                                          "ip route replace default via 192.0.2.1 dev up0 src 192.0.2.7"],
     {"up0": (1500, "192.0.2.7", "2001:db8::2")}),
    ("an address on the loopback", ["ip addr add 203.0.113.5/32 dev lo",
                                    "ip route replace default via 192.0.2.1 dev up0 src 203.0.113.5"],
     {"up0": (1500, "203.0.113.5", "2001:db8::2")}),
    ("no default route", ["ip route del default", "ip -6 route del default"], {}),
    ("a blackhole", ["ip route del default", "ip route add blackhole default", "ip -6 route del default"], {}),
    ("no address of global scope", ["ip addr flush dev up0", "ip addr add 169.254.1.1/16 dev up0 scope link",
                                    "ip route add default dev up0"], {"up0": (1500, None, None)}),
]


@pytest.mark.parametrize("what,lines,wanted", ROUTES, ids=[row[0].replace(" ", "-") for row in ROUTES])
def test_the_devices_of_the_default_routes(node, what, lines, wanted):
    veth(node, "two", "198.51.100.2/24")
    run(node, *lines)
    add(node)
    assert list(uplinks(node).items()) == list(wanted.items()), what
    defaults = {family: any(route["dst"] == "default" and route.get("type", "unicast") == "unicast"
                            for route in node.json(["ip", "-j", f"-{family}", "route"])) for family in (4, 6)}
    assert node.tables.node().flags == DEFAULT4 * defaults[4] + DEFAULT6 * defaults[6]
    for device in ("up0", "two"):
        assert filters(node, device) == ([PROGRAM] if device in wanted else []), (what, device)


@pytest.mark.parametrize("conf", ({"uplinks": ["two", "up0"]}, {"uplinks": "two"}, {"uplink": "two"}))
def test_named_devices(node, conf):
    veth(node, "two", "198.51.100.2/24", mtu=1450)
    a = add(node, conf=conf)
    assert list(uplinks(node)) == (["two", "up0"] if isinstance(conf.get("uplinks"), list) else ["two"])
    assert uplinks(node)["two"] == (1450, "198.51.100.2", None)
    assert a.links()["eth0"]["mtu"] == 1450


def test_a_fifth_device_is_said(node):
    for metric, name in enumerate(("two", "up3", "up4", "up5"), 9):
        veth(node, name)
        run(node, f"ip route add default dev {name} metric {metric}")
    add(node)
    assert len(uplinks(node)) == 4 and filters(node, "up5") == []
    node.write_config()
    assert ("warn", "up5 is no uplink: a node has at most 4") in uplink_lines(node)


def uplink_lines(node, what="uplink"):
    found = json.loads(node.picket("check", "-json", check=False, env={"NOMAD_ADDR": "http://127.0.0.1:1"}).stdout)
    return [(c["state"], c["text"]) for c in found if c["what"] == what]


# Devices that have an Ethernet header, and ones that don't.

def make_bridge(node):
    """The node's address is the bridge's; up0 is its port."""
    run(node, "ip link add br0 type bridge", "ip link set br0 addrgenmode none", "ip -6 route del default", "ip addr flush dev up0", "ip link set up0 master br0",
        "ip link set br0 up", "ip addr add 192.0.2.2/24 dev br0", "ip addr add 2001:db8::2/64 dev br0 nodad",
        "ip route add default via 192.0.2.1", "ip -6 route add default via 2001:db8::1")
    return "br0"


def with_vlan(place, lower, *addresses):
    """VLAN 5 on a device of place (a node or its world); its name."""
    device = f"{lower}.5"
    if place.run(["ip", "link", "add", "link", lower, "name", device, "type", "vlan", "id", "5"], check=False).returncode:
        pytest.skip("this kernel has no VLAN devices")
    run(place, f"ip link set {device} addrgenmode none", f"ip link set {device} up")
    for address in addresses:
        place.run(["ip", "addr", "add", address, "dev", device, *(["nodad"] if ":" in address else [])])
    return device


def make_vlan(node):
    run(node, "ip -6 route del default", "ip addr flush dev up0")
    device = with_vlan(node, "up0", "192.0.2.2/24", "2001:db8::2/64")
    run(node, "ip route add default via 192.0.2.1", "ip -6 route add default via 2001:db8::1")
    return device


def make_bond(node):
    if node.run(["ip", "link", "add", "bond7", "type", "bond", "mode", "active-backup"],
                check=False).returncode:
        pytest.skip("this kernel has no bonds")
    run(node, "ip -6 route del default", "ip addr flush dev up0", "ip link set up0 down", "ip link set up0 master bond7", "ip link set bond7 addrgenmode none",
        "ip link set bond7 up",
        "ip addr add 192.0.2.2/24 dev bond7", "ip addr add 2001:db8::2/64 dev bond7 nodad",
        "ip route add default via 192.0.2.1", "ip -6 route add default via 2001:db8::1")
    return "bond7"


KINDS = {"bridge": make_bridge, "vlan": make_vlan, "bond": make_bond}


@pytest.mark.parametrize("kind", KINDS)
def test_devices_made_of_others(node, kind):
    device = KINDS[kind](node)
    add(node)
    assert uplinks(node) == {device: UP0["up0"]}
    assert filters(node, device) == [PROGRAM] and filters(node, "up0") == []


def make_tun(node):
    run(node, "ip tuntap add dev vpn0 mode tun", "ip link set vpn0 up", "ip addr add 10.99.0.2/24 dev vpn0")
    return "vpn0"


def make_wireguard(node):
    if node.run(["ip", "link", "add", "wg0", "type", "wireguard"], check=False).returncode:
        pytest.skip("this kernel has no WireGuard")
    run(node, "ip link set wg0 up", "ip addr add 10.99.0.2/24 dev wg0")
    return "wg0"


BARE = {"tun": make_tun, "wireguard": make_wireguard}


@pytest.mark.parametrize("kind", BARE)
def test_a_device_without_an_ethernet_header_is_refused_by_name(node, kind):
    device = BARE[kind](node)
    with pytest.raises(CniError) as refused:
        add(node, conf={"uplinks": [device]})
    assert refused.value.code == 7 and refused.value.msg.startswith(f"{device} can be no uplink: a device of kind ")
    assert "fix: name a device that has one" in refused.value.details


@pytest.mark.parametrize("kind", BARE)
def test_a_default_route_through_such_a_device_is_said(node, kind):
    device = BARE[kind](node)
    run(node, f"ip route add default dev {device} metric 1 table 99", "ip rule add from 10.40.0.0/16 table 99")
    node.start_picketd()
    said = f"{device} can be no uplink: a device of kind "
    add(node)
    assert uplinks(node) == UP0
    wait_for(lambda: said in node.log() and any(r["text"].startswith(said) and r["fix"] for r in node.reasons("uplink")), said)
    failed = [text for state, text in uplink_lines(node) if state == "fail"]
    assert len(failed) == 1 and failed[0].startswith(said), failed


def test_a_port_of_a_bridge_is_refused(node):
    make_bridge(node)
    with pytest.raises(CniError) as refused:
        add(node, conf={"uplinks": ["up0"]})
    assert refused.value.code == 7 and refused.value.msg == "up0 can be no uplink: it is a port of br0"
    assert "name br0" in refused.value.details


def test_a_name_that_is_not_there_yet(node):
    node.write_config({"uplinks": ["wan0"], "nomad": None, "consul": None})
    node.start_picketd(config={"uplinks": ["wan0"], "nomad": None, "consul": None})
    add(node)
    assert uplinks(node) == {}
    assert ("warn", "uplink wan0: this node has no such device") in uplink_lines(node)
    veth(node, "wan0", "203.0.113.9/24")
    wait_uplinks(node, {"wan0": (1500, "203.0.113.9", None)})
    wait_for(lambda: filters(node, "wan0") == [PROGRAM], "its program")
    wait_for(lambda: not [r for r in node.api("/v1/status")["reasons"] if r["what"] == "uplink"], "no reason")


# What stands at them.

def plant(node, device, way="ingress", pref=1):
    """A program of somebody else that passes all on, by tc."""
    node.run(["tc", "filter", "add", "dev", device, way, "pref", str(pref), "bpf", "da", "pinned",
              f"{node.path('sys/fs/bpf/picket')}/{current(node)}/pk_forward_eth"])


def test_an_ADD_puts_it_back(node):
    a = add(node)
    run(node, "tc qdisc del dev up0 clsact")
    assert filters(node, "up0") == []
    b = add(node, "acme", "db", "db")
    assert filters(node, "up0") == [PROGRAM]
    run(node, "tc qdisc del dev up0 clsact")
    # An endpoint that neither publishes nor is masqueraded has no need of it.
    add(node, "acme", "x", "x", conf={"masquerade": False})
    assert filters(node, "up0") == []
    add(node, "acme", "y", "y", conf={"masquerade": False, **PORTS})
    assert filters(node, "up0") == [PROGRAM]
    for alloc in (a, b):
        node.delete(alloc)
    assert filters(node, "up0") == [PROGRAM]


def test_an_ADD_sees_another_address_and_another_MTU(node):
    add(node)
    run(node, "ip addr del 192.0.2.2/24 dev up0", "ip addr add 192.0.2.9/24 dev up0", "ip link set up0 mtu 9000",
        "ip route add default via 192.0.2.1")
    a = add(node, "acme", "db", "db")
    mtu, ipv4, _ = uplinks(node)["up0"]
    assert (mtu, ipv4) == (9000, "192.0.2.9")
    assert a.links()["eth0"]["mtu"] == 9000


def test_an_ingress_qdisc_of_somebody_else_is_enough(node):
    run(node, "tc qdisc add dev up0 ingress")
    add(node)
    assert filters(node, "up0") == [PROGRAM]
    add(node, "acme", "db", "db")
    assert filters(node, "up0") == [PROGRAM]


def test_it_is_first(node):
    add(node)
    run(node, "tc qdisc del dev up0 clsact", "tc qdisc add dev up0 clsact")
    plant(node, "up0")
    add(node, "acme", "db", "db")
    assert filters(node, "up0")[0] == PROGRAM and len(filters(node, "up0")) == 2
    plant(node, "up0", way="egress")
    assert filters(node, "up0", "egress") != []
    assert PROGRAM not in filters(node, "up0", "egress")


def test_one_of_an_earlier_load_gives_way(node):
    """The pins are gone, as after an operator's rm; the filter goes on with maps that nobody writes."""
    a = add(node)
    old = program_id(node, "up0")
    node.delete(a)
    node.run(["rm", "-r", node.path("sys/fs/bpf/picket")])
    add(node, "acme", "db", "db")
    assert len(program_id(node, "up0")) == 1 and program_id(node, "up0") != old
    assert filters(node, "up0") == [PROGRAM]


# picketd.

def test_picketd_follows_addresses_MTU_and_routes(node):
    node.start_picketd()
    add(node)
    assert uplinks(node) == UP0
    run(node, "ip addr del 192.0.2.2/24 dev up0", "ip addr add 192.0.2.9/24 dev up0")
    # The route went with its address; the device is IPv6's uplink all the same.
    wait_for(lambda: uplinks(node)["up0"][1] == "192.0.2.9", lambda: f"the other address: {uplinks(node)}")
    run(node, "ip link set up0 mtu 1400")
    wait_uplinks(node, {"up0": (1400, "192.0.2.9", "2001:db8::2")})
    run(node, "ip addr del 2001:db8::2/64 dev up0", "ip addr add 2001:db8::77/64 dev up0 nodad")
    run(node, "ip route replace default via 192.0.2.1", "ip -6 route replace default via 2001:db8::1")
    wait_uplinks(node, {"up0": (1400, "192.0.2.9", "2001:db8::77")})
    wait_for(lambda: "op=uplink device=up0 ipv4=192.0.2.9 ipv6=2001:db8::77 mtu=1400" in node.log(), "its line")


def test_picketd_follows_devices(node):
    node.start_picketd()
    add(node)
    veth(node, "two", "198.51.100.2/24")
    run(node, "ip route add default via 198.51.100.1 dev two metric 10")
    wait_uplinks(node, {**UP0, "two": (1500, "198.51.100.2", None)})
    wait_for(lambda: filters(node, "two") == [PROGRAM], "two's program")
    run(node, "ip route del default via 192.0.2.1", "ip -6 route del default")
    wait_uplinks(node, {"two": (1500, "198.51.100.2", None)})
    wait_for(lambda: filters(node, "up0") == [], "up0 without the program")
    run(node, "ip link del two")
    wait_uplinks(node, {})
    wait_for(lambda: "this node has no way out any more" in node.log() and node.tables.node().flags == 0, "that it is said")
    run(node, "ip route add default via 192.0.2.1")
    wait_for(lambda: list(uplinks(node)) == ["up0"] and filters(node, "up0") == [PROGRAM], "up0 again")


def test_picketd_puts_it_back(node):
    node.start_picketd()
    add(node)
    run(node, "tc qdisc del dev up0 clsact")
    wait_for(lambda: filters(node, "up0") == [PROGRAM], "the program")


def test_a_killed_picketd_is_made_good(node):
    """What happened while nobody listened: another uplink, and up0 is none any more."""
    node.start_picketd()
    add(node)
    node.kill_picketd()
    veth(node, "two", "198.51.100.2/24")
    run(node, "ip route add default via 198.51.100.1 dev two metric 10", "ip route del default via 192.0.2.1",
        "ip -6 route del default")
    node.start_picketd()
    wait_uplinks(node, {"two": (1500, "198.51.100.2", None)})
    wait_for(lambda: filters(node, "up0") == [] and filters(node, "two") == [PROGRAM], "the programs")


def test_another_configuration_counts_at_once(node):
    veth(node, "two", "198.51.100.2/24")
    node.start_picketd()
    add(node)
    assert uplinks(node) == UP0
    node.write_config({"uplinks": ["two"], "nomad": None, "consul": None})
    node.picketd.send_signal(signal.SIGHUP)
    wait_uplinks(node, {"two": (1500, "198.51.100.2", None)})
    wait_for(lambda: filters(node, "up0") == [], "up0 without the program")
    # The plugin lives by picketd's word.
    node.kill_picketd()
    run(node, "ip link set two mtu 1300")
    add(node, "acme", "db", "db")
    assert uplinks(node) == {"two": (1300, "198.51.100.2", None)}


def test_a_new_build_takes_the_uplinks_over(node):
    node.start_picketd()
    add(node)
    old = program_id(node, "up0")
    assert len(old) == 1
    node.kill_picketd(signal.SIGTERM)
    own = as_old(node)
    node.start_picketd()
    wait_for(lambda: current(node) == own, "the build of this picketd")
    wait_for(lambda: len(program_id(node, "up0")) == 1 and program_id(node, "up0") != old, "its program")
    wait_for(lambda: filters(node, "up0") == [PROGRAM], "and no other")


def test_sweep_all_takes_it_away(node):
    a = add(node)
    node.delete(a)
    shown = node.picket("sweep", "-all", check=False).stdout
    assert "program at uplink up0" in shown and filters(node, "up0") == [PROGRAM]
    assert "uplink" not in node.picket("sweep", check=False).stdout
    node.picket("sweep", "-all", "-apply")
    assert filters(node, "up0") == []
    assert "clsact" not in node.run(["tc", "qdisc", "show", "dev", "up0"]).stdout


def test_sweep_all_leaves_the_filters_of_others(node):
    add(node)
    plant(node, "up0", pref=7)
    node.picket("sweep", "-all", "-apply", "-force")
    assert filters(node, "up0") == ["pk_forward_eth:[*fsobj]"] or len(filters(node, "up0")) == 1


def test_check_says_what_it_found(node):
    node.write_config()
    assert ("ok", "up0: 192.0.2.2, 2001:db8::2, MTU 1500") in uplink_lines(node)	# nothing is loaded yet
    add(node)
    assert ("ok", "up0: 192.0.2.2, 2001:db8::2, MTU 1500") in uplink_lines(node)
    run(node, "tc qdisc del dev up0 clsact")
    assert ("warn", f"up0: {PROGRAM} is not attached") in uplink_lines(node)
    run(node, "ip link set up0 mtu 1400")
    assert ("warn", "up0: the tables don't have it as it is now") in uplink_lines(node)
    run(node, "ip route del default", "ip -6 route del default")
    assert uplink_lines(node) == [("ok", "no default route: endpoints reach nothing outside of this node")]


# Blocks, and the ports of masquerading.

def test_the_blocks_follow_the_pools(make_node):
    node = make_node(pool=("10.40.7.0/24", "fd00:40:7::/64"))
    add(node)
    assert set(node.tables.node().blocks) == {"10.40.7.0/24", "fd00:40:7::/64"}
    assert not node.tables.node().flags & MORE_BLOCKS
    # Another conflist, on the same node.
    add(node, "acme", "db", "db", conf={"pool": ["10.41.0.0/16"]})
    assert set(node.tables.node().blocks) == {"10.40.7.0/24", "fd00:40:7::/64", "10.41.0.0/16"}
    add(node, "acme", "x", "x", conf={"pool": ["10.42.0.0/16", "10.43.0.0/16"]})
    assert len(node.tables.node().blocks) == 4 and node.tables.node().flags & MORE_BLOCKS
    assert node.tables.count("pools") == 5
    # picketd's pools are the whole.
    node.start_picketd({"nomad": None, "consul": None, "pools": ["10.40.0.0/14", "fd00:40::/32"]})
    wait_for(lambda: set(node.tables.node().blocks) == {"10.40.0.0/14", "fd00:40::/32"}, "the blocks")
    assert not node.tables.node().flags & MORE_BLOCKS


def ports(node):
    return node.tables.node()[:2]


def test_the_ports_of_masquerading(node):
    add(node, conf={"masquerade": {"ports": "11000-11999"}})
    assert ports(node) == (11000, 11999)
    node.start_picketd({"nomad": None, "consul": None, "masquerade": {"ports": "12000-12999"}})
    wait_for(lambda: ports(node) == (12000, 12999), "picketd's ports")
    node.write_config({"nomad": None, "consul": None, "masquerade": {"ports": "13000-13999"}})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: ports(node) == (13000, 13999), "the other ports")


OVERLAPS = [
    ("1024 65535", "", "10000-19999", "net.ipv4.ip_local_port_range (1024-65535)"),
    ("1024 65535", "10000-19999", "10000-19999", None),
    ("1024 15000", "10000-15000", "10000-19999", None),
    ("1024 15000", "10001-15000", "10000-19999", "ip_local_port_range"),
    ("32768 60999", "", "19000-20000", "20000-32000"),
    ("32768 60999", "", "32000-33000", "20000-32000"),
    ("32768 60999", "", "33000-34000", "ip_local_port_range"),
]


@pytest.mark.parametrize("local,reserved,masquerade,said", OVERLAPS)
def test_ports_that_are_not_free_for_it(node, local, reserved, masquerade, said):
    node.run(["sysctl", "-qw", f"net.ipv4.ip_local_port_range={local}"])
    node.run(["sysctl", "-qw", f"net.ipv4.ip_local_reserved_ports={reserved}"])
    config = {"nomad": None, "consul": None, "masquerade": {"ports": masquerade}}
    conflist = node.options.conf
    conflist["masquerade"] = {"ports": masquerade}
    node.write_config(config)
    lines = uplink_lines(node, "masquerade")
    done = node.run([binary("picketd"), "-root", node.root, "-print-config"])
    assert f'"ports": "{masquerade}"' in done.stdout			# shown all the same
    if said is None:
        node.start_picketd(config)
        assert [state for state, _ in lines] == ["ok"], lines
        return
    assert [state for state, _ in lines] == ["fail"] and said in lines[0][1], lines
    done = node.run([binary("picketd"), "-root", node.root], check=False)
    assert done.returncode == 1 and said in done.stderr and "fix:" in done.stderr, done.stderr


def test_ports_do_not_matter_where_nothing_is_masqueraded(node):
    node.run(["sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535"])
    config = {"nomad": None, "consul": None, "masquerade": False}
    node.start_picketd(config)
    assert uplink_lines(node, "masquerade") == [("ok", "off: endpoints leave with their own addresses")]
    # A reload that would masquerade is refused, whole.
    node.write_config({**config, "masquerade": True})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: [r for r in node.api("/v1/status")["reasons"] if r["what"] == "config"], "the refusal")


MASQUERADE, MASQUERADE6 = 2, 8


def masquerades(node, alloc):
    return node.tables.word(alloc.slot)[1] & (MASQUERADE | MASQUERADE6)


@pytest.mark.parametrize("said,wanted", (
    (None, MASQUERADE), (True, MASQUERADE), (False, 0), ({"ipv6": True}, MASQUERADE | MASQUERADE6),
    ({"ipv4": False}, 0), ({"ipv4": False, "ipv6": True}, MASQUERADE6)))
def test_what_the_conflist_says_of_masquerading(node, said, wanted):
    a = add(node, conf=None if said is None else {"masquerade": said})
    assert masquerades(node, a) == wanted
    node.start_picketd()			# of which it says nothing: the endpoint keeps its conflist's
    wait_for(lambda: node.api("/v1/status")["endpoints"]["inStep"] == 1, "picketd's pass")
    assert masquerades(node, a) == wanted


def test_live_endpoints_follow_the_configuration(node):
    a, b = add(node), add(node, "acme", "db", "db", conf={"masquerade": {"ipv6": True}})
    node.start_picketd({"nomad": None, "consul": None, "masquerade": {"ipv4": False, "ipv6": True}})
    wait_for(lambda: masquerades(node, a) == masquerades(node, b) == MASQUERADE6, "picketd's word")
    c = add(node, "acme", "x", "x")
    assert masquerades(node, c) == MASQUERADE6
    for config, wanted in (({"masquerade": False}, (0, 0)), ({"masquerade": True}, (MASQUERADE, MASQUERADE)),
                           ({}, (MASQUERADE, MASQUERADE | MASQUERADE6))):
        before = [node.tables.word(x.slot) for x in (a, b)]
        node.write_config({"nomad": None, "consul": None, **config})
        node.picketd.send_signal(signal.SIGHUP)
        wait_for(lambda w=wanted: (masquerades(node, a), masquerades(node, b)) == w, f"{config}")
        after = [node.tables.word(x.slot) for x in (a, b)]
        assert all(y[2] > x[2] for x, y in zip(before, after) if x[1] != y[1])	# flows are judged anew
