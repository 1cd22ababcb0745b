# SPDX-License-Identifier: Apache-2.0
"""ADD, DEL, CHECK, GC and STATUS on real devices: what they make, leave and take away."""
import json
import os
import re
import socket
import threading
import uuid

import pytest
from harness import EGRESS, CniError, Snapshot, wait_for
from harness.servers import PINGED, QUICK

MODES = ("vm", "process")
VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")


def conf(node, **more):
    return node.plugin_conf(**more)


def open_word(node, slot):
    return node.tables.word(slot)[2] != 0


def filters(where, device, hook):
    """Names of the bpf programs of a clsact hook, in order."""
    text = where.run(["tc", "-j", "filter", "show", "dev", device, hook]).stdout
    return [f["options"]["bpf_name"] for f in json.loads(text or "[]")
            if "bpf_name" in f.get("options", {})]


def reaches(a, b, family=4):
    """A ping in process mode: from one allocation to another's address."""
    return a.pings(b, family)


def is_kept_from(a, b, family=4):
    return not a.pings(b, family, timeout=QUICK)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", VERSIONS)
def test_result_and_devices(make_node, mode, version, no_leaks):
    node = make_node(cni_version=version, conf={"mode": mode, "mtu": 1400})
    warm = node.add("acme", "warm", "up")
    node.delete(warm)
    wait_for(lambda: gone(node, warm), "the first endpoint's device to go")
    no_leaks(node, ignore=LEFT)
    a = node.add("acme", "api", "web")
    names = [(i["name"], i.get("sandbox", "")) for i in a.result["interfaces"]]
    want = [(f"pk{a.slot}", ""), ("eth0", a.path)]
    want += [("tap0", a.path), ("tap0", a.id)] if mode == "vm" else []
    assert a.result["cniVersion"] == version and names == want
    at = [(ip["interface"], ip["address"], ip["gateway"]) for ip in a.result["ips"]]
    four, six = f"{a.address()}/24", f"{a.address(6)}/128"
    assert at == [(1, four, "10.40.7.1"), *([(3, four, "10.40.7.1")] if mode == "vm" else []),
                  (1, six, "fe80::1")]
    assert all(("version" in ip) == (version < "1") for ip in a.result["ips"])
    assert all(("mtu" in i) == (version == "1.1.0") for i in a.result["interfaces"])
    check_inside(a, mode)
    check_home(node, a)
    node.delete(a)
    wait_for(lambda: gone(node, a), "the device to go")


# A closed endpoint whose device is gone waits for the next ADD or the sweep; labels and rule sets stay.
LEFT = ("records", "leases", "table slots", "table labels", "table bases", "table verdicts", "table peer_class",
        "table cidr", "pins")


def gone(node, alloc):
    links = node.json(["ip", "-j", "link"])
    return f"pk{alloc.slot}" not in {link["ifname"] for link in links}


def check_inside(a, mode):
    links = a.links()
    assert set(links) == ({"lo", "eth0", "tap0"} if mode == "vm" else {"lo", "eth0"})
    eth0 = links["eth0"]
    assert eth0["address"] == a.mac and a.mac.startswith("02:70:") and eth0["mtu"] == 1400
    assert "UP" in eth0["flags"] and "UP" in links["lo"]["flags"]
    assert eth0["ifindex"] % 2 == 0
    held = {i["local"] for i in json.loads(a.run(["ip", "-j", "addr", "show", "eth0"]).stdout)[0]
            ["addr_info"]}
    assert held == {a.address(), a.address(6)}
    for family, via in (("-4", "10.40.7.1"), ("-6", "fe80::1")):
        routes = json.loads(a.run(["ip", "-j", family, "route", "show", "default"]).stdout)
        assert [r["gateway"] for r in routes] == [via]
    if mode == "vm":
        tap0 = links["tap0"]
        assert tap0["ifindex"] == eth0["ifindex"] + 1 and tap0["mtu"] == 1400
        assert tap0["linkinfo"]["info_data"]["type"] == "tap"
        assert tap0["linkinfo"]["info_data"].get("user") in ("root", "0", 0)
        assert not json.loads(a.run(["ip", "-j", "addr", "show", "tap0"]).stdout)[0]["addr_info"]
        assert filters(a, "eth0", "ingress") == ["pk_forward_eth"]
        assert filters(a, "tap0", "ingress") == ["pk_forward_tap"]
    else:
        assert filters(a, "eth0", "ingress") == []


def check_home(node, a):
    host = f"pk{a.slot}"
    assert filters(node, host, "ingress") == ["pk_from_endpoint"]
    assert filters(node, host, "egress") == ["pk_to_endpoint"]
    assert open_word(node, a.slot)
    assert node.records()[-1].startswith(f"{a.id}@eth0@{a.slot}") or any(
        r == f"{a.id}@eth0@{a.slot}" for r in node.records())
    assert {a.address(), a.address(6)} <= node.leases()
    routes = node.json(["ip", "-j", "route", "show", "dev", host])
    assert [r["dst"] for r in routes] == [a.address()]
    mode = os.stat(node.path(f"run/picket/vm/{a.id}.json")).st_mode & 0o777
    assert mode == 0o640
    driver = a.driver_file()
    assert driver["mac"] == a.mac and driver["ipv4"]["address"] == a.address()
    assert driver["kernelIp"].startswith(f"ip={a.address()}::10.40.7.1:255.255.255.0::eth0:off:")


@pytest.mark.parametrize("hook", ("clsact", "tcx"))
def test_same_tenant_reaches_another_does_not(make_node, hook):
    """Before any controller: the tenant's base, from the first packet."""
    node = make_node(conf={"mode": "process", "hook": hook})
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    other = node.add("evil", "db", "db")
    for family in (4, 6):
        assert reaches(a, b, family) and reaches(b, a, family)
        assert is_kept_from(a, other, family) and is_kept_from(other, a, family)
    assert node.tables.counters(a.slot).get((EGRESS, "policy-denied"), 0) > 0


def test_no_namespace_is_quarantine(make_node):
    node = make_node(conf={"mode": "process"})
    a, b = node.add(), node.add()
    acme = node.add("acme", "api", "web")
    for x, y in ((a, b), (a, acme), (acme, a)):
        assert is_kept_from(x, y)
    assert record(node, a)["quarantined"] is True


def record(node, alloc):
    name, = [r for r in node.records() if r.startswith(f"{alloc.id}@")]
    with open(node.path(f"var/lib/picket/endpoints/{name}"), encoding="utf-8") as file:
        return json.load(file)


def test_broken_policy_files_are_quarantine(make_node):
    """Documents that are there and can't be used never open anything."""
    node = make_node(conf={"mode": "process"})
    os.makedirs(os.path.join(node.root, "var/lib/picket/policies/file"))
    with open(os.path.join(node.root, "var/lib/picket/policies/file/x.json"), "w",
              encoding="ascii") as file:
        file.write("not a stored document")
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    assert is_kept_from(a, b) and is_kept_from(b, a)


def test_tap_belongs_to_who_is_named(make_node):
    node = make_node()
    cases = (({}, "", 0, None), ({"owner": 1001}, "", 1001, None),
             ({"group": 1002}, "", None, 1002), ({"owner": 1001, "group": 1002}, "", 1001, 1002),
             ({"owner": 1001}, "TC_REDIRECT_TAP_UID=4007;TC_REDIRECT_TAP_GID=4008", 4007, 4008))
    for more, args, owner, group in cases:
        a = node.new_netns(str(uuid.uuid4()))
        a.result = node.cni("ADD", a.id, a.path, args=args, conf=conf(node, **more))
        data = a.run(["ip", "-d", "-o", "link", "show", "tap0"]).stdout
        user = re.search(r" user (\S+)", data)
        found = re.search(r" group (\S+)", data.split("tun type", 1)[1])
        assert number(user) == owner and number(found) == group, data
        stat = os.stat(node.path(f"run/picket/vm/{a.id}.json"))
        assert stat.st_gid == (group or 0)


def number(match):
    if not match:
        return None
    return 0 if match.group(1) == "root" else int(match.group(1))


def test_unprivileged_owner_opens_the_tap_and_nobody_else(make_node):
    node = make_node(conf={"owner": 1001})
    a = node.add("acme", "api", "web")
    with pytest.raises(OSError):
        a.tap(credentials=(1002, 1002))
    with a.tap(credentials=(1001, 1001)) as tap:
        tap.send(b"\xff" * 6 + bytes.fromhex(a.mac.replace(":", "")) + b"\x88\x99" + b"x" * 50)
        wait_for(lambda: node.tables.counters(a.slot).get((EGRESS, "ethertype")),
                 "the guard to count the frame")


@pytest.mark.parametrize("mode", MODES)
def test_add_again_answers_the_same(make_node, mode):
    node = make_node(conf={"mode": mode})
    a = node.add("acme", "api", "web")
    word = node.tables.word(a.slot)
    for _ in range(2):
        assert node.cni("ADD", a.id, a.path, args=a.args) == a.result
    assert node.records() == [f"{a.id}@eth0@{a.slot}"] and node.tables.word(a.slot) == word
    assert node.leases() == {a.address(), a.address(6)}


def test_add_again_mends_what_is_broken(make_node):
    node = make_node()
    a = node.add("acme", "api", "web")
    node.run(["tc", "qdisc", "del", "dev", f"pk{a.slot}", "clsact"])
    a.run(["ip", "link", "del", "tap0"])
    a.run(["ip", "route", "del", "default"])
    assert node.cni("ADD", a.id, a.path, args=a.args) == a.result
    assert filters(node, f"pk{a.slot}", "ingress") == ["pk_from_endpoint"]
    assert filters(a, "tap0", "ingress") == ["pk_forward_tap"]
    assert json.loads(a.run(["ip", "-j", "route", "show", "default"]).stdout)


def test_add_again_in_another_netns_moves_the_address(make_node):
    """What Nomad does after a failed CHECK: a task may live on in the old netns."""
    node = make_node(conf={"mode": "process"})
    b = node.add("acme", "db", "db")
    a = node.add("acme", "api", "web")
    old, slot = a.popen(["sleep", "300"]), a.slot
    node.run(["umount", "-l", a.path])
    node.run(["unshare", f"--net={a.path}", "true"])
    again = node.cni("ADD", a.id, a.path, args=a.args)
    assert [ip["address"] for ip in again["ips"]] == [ip["address"] for ip in a.result["ips"]]
    assert again["interfaces"][0]["name"] != f"pk{slot}"
    assert not open_word(node, slot)
    enter = ["nsenter", f"--net=/proc/{old.pid}/ns/net"]
    assert node.run([*enter, "ping", "-c", "1", "-W", "1", b.address()],
                    check=False).returncode != 0
    new = [*["nsenter", f"--net={a.path}"], "ping", "-c", "1", "-W", str(PINGED), b.address()]
    assert node.run(new).returncode == 0
    old.kill()
    old.wait()
    wait_for(lambda: f"pk{slot}" not in node.run(["ip", "-o", "link"]).stdout, "the old device's end")
    c = node.add("acme", "c", "c")			# its ADD buries the old record
    assert c.address() != a.address()
    assert {a.address(), a.address(6)} <= node.leases()
    assert node.run(new).returncode == 0


def test_reboot_keeps_the_address(make_node):
    node = make_node(conf={"mode": "process"})
    a = node.add("acme", "api", "web")
    b = node.add("acme", "db", "db")
    old, ids = a.result, (a.id, b.id)
    node.reboot()
    again = node.new_netns(ids[0])
    again.result = node.cni("ADD", ids[0], again.path,
                            args=node.cni_args(ids[0], "acme", "api", "web"))
    assert again.result["ips"] == old["ips"]
    fresh = node.add("acme", "c", "c")		# b's address is still b's
    assert fresh.address() not in (a.address(), b.address())
    second = node.new_netns(ids[1])
    second.result = node.cni("ADD", ids[1], second.path,
                             args=node.cni_args(ids[1], "acme", "db", "db"))
    assert second.address() == b.address()
    assert reaches(again, second) and reaches(second, fresh)
    assert len(node.records()) == 3


def test_an_interface_of_another_is_left_alone(make_node, no_leaks):
    node = make_node(uplink=False)
    node.delete(node.add("acme", "warm", "up"))
    alloc = node.new_netns(str(uuid.uuid4()))
    alloc.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"])
    wait_for(lambda: "pk1" not in node.run(["ip", "-o", "link"]).stdout, "the first device's end")
    no_leaks(node, ignore=LEFT)
    with pytest.raises(CniError) as error:
        node.cni("ADD", alloc.id, alloc.path, args="NOMAD_NAMESPACE=acme")
    assert error.value.code == 100 and "eth0" in error.value.msg
    assert set(alloc.links()) == {"lo", "eth0", "other"}


def test_delete_needs_nothing_but_the_id(make_node):
    node = make_node()
    a = node.add("acme", "api", "web")
    node.drop_netns(a)
    node.cni("DEL", a.id, "", conf={"cniVersion": "1.0.0", "name": "picket", "type": "picket",
                                    "root": node.root, "pol": "unknown keys don't stop a DEL"})
    assert not open_word(node, a.slot)
    wait_for(lambda: gone(node, a), "the device to go")
    node.cni("DEL", a.id, "")
    node.cni("DEL", a.id, "/run/netns/never")
    b = node.add("acme", "api", "web")
    assert node.records() == [f"{b.id}@eth0@{b.slot}"]


def test_delete_of_the_unknown_makes_nothing(make_node):
    node = make_node(uplink=False)
    node.cni("DEL", "never-added", "")
    assert os.listdir(os.path.join(node.root, "var/lib")) == []
    node.add("acme", "api", "web")
    before = Snapshot(node)
    node.cni("DEL", "never-added", "")
    before.assert_same(Snapshot(node))


def test_a_freed_address_rests(make_node):
    node = make_node(pool=("10.40.7.0/29",))		# .2 to .6
    first = node.add("acme", "api", "web")
    node.delete(first)
    wait_for(lambda: gone(node, first), "the device to go")
    second = node.add("acme", "api", "web")
    assert second.address() != first.address()
    assert first.address() in node.resting()
    others = [node.add("acme", "api", "web") for _ in range(4)]
    got = {a.address() for a in [second, *others]}
    assert got == {f"10.40.7.{n}" for n in range(2, 7)}	# the last one had no other choice
    with pytest.raises(CniError) as error:
        node.add("acme", "api", "web")
    assert error.value.code == 102


def test_an_address_of_the_node_is_not_given_away(make_node):
    """A pool that covers the uplink's network: the node's own address stays its own."""
    node = make_node(pool=("192.0.2.0/29",))		# the node is .2, the world's end .1
    assert node.add("acme", "api", "web").address() == "192.0.2.3"


def test_a_process_left_in_the_netns_reaches_nothing(make_node):
    node = make_node(conf={"mode": "process"}, pool=("10.40.7.0/30",))
    other = make_node("n2", conf={"mode": "process"})
    assert other
    a = node.add("acme", "api", "web")
    left = a.popen(["sleep", "300"])
    with node.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 9999))
        server.settimeout(0.5)
    node.delete(a)
    enter = ["nsenter", f"--net=/proc/{left.pid}/ns/net"]
    targets = ("192.0.2.2", "192.0.2.1", "10.40.7.1", "10.40.7.3")
    for target in targets:
        node.run([*enter, "sh", "-c", f"echo x > /dev/udp/{target}/9999 || true"], check=False)
        answer = node.run([*enter, "ping", "-c", "1", "-W", "1", target], check=False)
        assert answer.returncode != 0
    with pytest.raises(TimeoutError):
        server.recv(10)
    server.close()
    # Slot, address and name are not handed out while the device lives.
    assert f"pk{a.slot}" in node.run(["ip", "-o", "link"]).stdout
    with pytest.raises(CniError) as error:
        node.add("acme", "api", "web")
    assert error.value.code == 102
    left.kill()
    left.wait()
    wait_for(lambda: gone(node, a), "the device to go")
    b = node.add("acme", "api", "web")
    assert b.address() == a.address() and b.slot == a.slot


def test_prev_result_is_passed_through(make_node):
    node = make_node()
    alloc = node.new_netns(str(uuid.uuid4()))
    before = {"cniVersion": "1.0.0", "interfaces": [{"name": "lo", "sandbox": alloc.path}],
              "ips": [{"interface": 0, "address": "127.0.0.1/8"}], "dns": {}}
    result = node.cni("ADD", alloc.id, alloc.path, args="NOMAD_NAMESPACE=acme", prev=before)
    assert result["interfaces"][0]["name"] == "lo" and result["ips"][0]["interface"] == 0
    assert result["interfaces"][result["ips"][1]["interface"]]["name"] == "eth0"


def test_published_ports_are_taken_once(make_node):
    node = make_node()
    ports = {"portMappings": [{"HostPort": 24722, "ContainerPort": 22, "Protocol": p, "HostIP": ""}
                              for p in ("tcp", "udp")]}
    a = node.add("acme", "api", "web", conf=conf(node, runtimeConfig=ports))
    assert node.tables.count("published") == 2 and node.tables.count("open_ports") == 2
    with pytest.raises(CniError) as error:
        node.add("acme", "api", "web", conf=conf(node, runtimeConfig=ports))
    assert error.value.code == 11
    assert len(node.records()) == 1 and node.tables.count("published") == 2
    node.delete(a)
    assert node.tables.count("published") == 0 and node.tables.count("open_ports") == 0
    b = node.add("acme", "api", "web", conf=conf(node, baseline="deny", runtimeConfig=ports))
    assert node.tables.count("published") == 2 and node.tables.count("open_ports") == 0
    node.delete(b)


@pytest.mark.parametrize("answer", (None, b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{",
                                    b"\0\xff garbage"))
def test_a_controller_that_misbehaves_never_stops_an_add(make_node, answer):
    """It hangs, closes, knows no such path, cuts short, talks nonsense: the base stands."""
    node = make_node(conf={"waitForController": "200ms"})
    os.makedirs(node.path("run/picket"), exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(node.path("run/picket/picketd.sock"))
    server.listen(1)

    def serve():
        peer, _ = server.accept()
        asked.append(peer.recv(4096))
        if answer is not None:
            peer.sendall(answer)
            peer.close()
        held.append(peer)

    asked, held = [], []
    thread = threading.Thread(target=serve)
    thread.start()
    a = node.add("acme", "api", "web")
    thread.join()
    server.close()
    assert open_word(node, a.slot)
    head, body = asked[0].split(b"\r\n\r\n", 1)
    assert head.startswith(b"POST /v1/endpoints HTTP/1.1")
    assert json.loads(body) == {"containerId": a.id, "ifname": "eth0", "slot": a.slot,
                                "namespace": "acme", "job": "api", "group": "web", "ports": []}


def test_job_arguments_only_where_allowed(make_node):
    node = make_node()
    more = conf(node, allowJobArgs=["picket.ip", "picket.mac", "picket.limits"])
    a = node.add("acme", "api", "web", conf=more,
                 **{"picket.ip": "10.40.7.77", "picket.mac": "02:70:00:00:00:77",
                    "picket.limits": '{"bytesPerSecond":1000}'})
    assert a.address() == "10.40.7.77" and a.mac == "02:70:00:00:00:77"
    for bad, code in (("10.40.7.77", 102), ("10.40.7.1", 105), ("10.40.8.9", 105)):
        with pytest.raises(CniError) as error:
            node.add("acme", "api", "web", conf=more, **{"picket.ip": bad})
        assert error.value.code == code
    with pytest.raises(CniError) as error:
        node.add("acme", "api", "web", conf=more, **{"picket.limits": '{"bytes":1}'})
    assert error.value.code == 105
