# SPDX-License-Identifier: Apache-2.0
"""
Which resolvers guests get: the machine's own where the conflist names none, behind systemd-resolved's stub those
that it asks itself; and what is said where there are none that a guest reaches.
"""
import json
import os
import socket

import pytest
from harness import binary, wait_for
from harness.servers import SILENCE, Resolver, connect
from test_uplinks import run
from test_world import query

STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n"
REAL = "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch upstream.example\n"


def put(node, resolv_conf, behind=None):
    for path, text in (("etc/resolv.conf", resolv_conf), ("run/systemd/resolve/resolv.conf", behind)):
        path = os.path.join(node.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


def add_raw(node, **conf):
    """(result, what the plugin logged): one that succeeds may still have something to say."""
    alloc = node.new_netns("3f1c7a52-0000-4000-8000-000000000001")
    env = {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0",
           "CNI_ARGS": node.cni_args(alloc.id, "acme", "api", "web")}
    done = node.cni_raw("ADD", env, json.dumps(node.plugin_conf(mode="process", **conf)))
    assert done.returncode == 0, done.stdout
    alloc.result = json.loads(done.stdout)
    return alloc, done.stderr


# What is in the files, what the conflist says; what a guest is told, and what is said of it.
ROWS = [
    ("the stub and what it asks", STUB, REAL, None, ["192.0.2.1", "2001:db8::1"], ["corp.example"], None),
    ("the other stub", "nameserver 127.0.0.54\n", REAL, None, ["192.0.2.1", "2001:db8::1"], [], None),
    ("a server beside the stub", STUB + "nameserver 10.0.0.53\n", REAL, None, ["10.0.0.53"], ["corp.example"], None),
    ("the stub alone", STUB, None, None, [], [], "/etc/resolv.conf names only 127.0.0.53"),
    ("the stub, which asks loopback", STUB, "nameserver 127.0.0.1\n", None, [], [], "only 127.0.0.53"),
    ("a resolver of the node's own", "nameserver 127.0.0.1\n", REAL, None, [], [], "names only 127.0.0.1"),
    ("IPv6's loopback", "nameserver ::1\n", None, None, [], [], "names only ::1"),
    ("none", "search corp.example\n", None, None, [], [], "/etc/resolv.conf names none"),
    ("no file", None, None, None, [], [], "/etc/resolv.conf names none"),
    ("the conflist's", STUB, REAL, {"servers": ["10.0.0.53"]}, ["10.0.0.53"], [], None),
    ("the conflist's, under CNI's name", STUB, REAL, {"nameservers": ["10.0.0.53"]}, ["10.0.0.53"], [], None),
    ("the conflist wants none", STUB, REAL, {"servers": []}, [], [], None),
    ("the conflist has a search list alone", STUB, REAL, {"search": ["svc.test"]}, ["192.0.2.1", "2001:db8::1"],
     ["svc.test"], None),
    ("the conflist's is loopback", STUB, REAL, {"servers": ["127.0.0.1"]}, ["127.0.0.1"], [],
     "only the node itself reaches the resolver 127.0.0.1"),
]


@pytest.mark.parametrize("what,resolv_conf,behind,dns,servers,search,said", ROWS,
                         ids=[row[0].replace(" ", "-") for row in ROWS])
def test_what_a_guest_gets_and_what_is_said(node, what, resolv_conf, behind, dns, servers, search, said):
    put(node, resolv_conf, behind)
    conf = {} if dns is None else {"dns": dns}
    alloc, log = add_raw(node, **conf)
    told = alloc.result.get("dns", {})
    assert (told.get("nameservers", []), told.get("search", [])) == (servers, search), what
    if said is None:
        assert "resolver" not in log, log
    else:
        assert said in log and 'fix="name resolvers that guests reach' in log, log
    node.options.conf.update(conf)
    node.start_picketd()
    checked = [c for c in json.loads(node.picket("check", "-json", check=False,
                                                 env={"NOMAD_ADDR": "http://127.0.0.1:1"}).stdout) if c["what"] == "dns"]
    mine = [c for c in checked if node.root in c["text"] or c["text"].startswith("network")]
    logged = [line for line in node.log().splitlines() if "op=config" in line]
    if said is None:
        assert not logged and mine[0]["state"] == ("warn" if dns == {"servers": []} else "ok"), (logged, mine)
        return
    assert mine[0]["state"] in ("warn", "fail") and said in mine[0]["text"] and mine[0]["fix"], mine
    # What the conflist names is its own word: check and the plugin say that it is wrong.
    assert len(logged) == (0 if dns else 1) and all(said in line for line in logged), logged


def test_picketd_opens_what_the_stub_asks(node):
    """The baseline's configured resolvers are the same ones, also where no other way is open."""
    put(node, STUB, REAL)
    node.start_picketd()
    shown = node.run([binary("picketd"), "-root", node.root, "-print-config"]).stdout
    assert '"resolvers": ["192.0.2.1","2001:db8::1"]' in shown.replace(", ", ","), shown


def test_the_node_serves_by_an_address_that_is_not_loopback(node):
    """What the fix says works: its resolver on an address of the node, named in the conflist."""
    run(node, "ip addr add 10.53.0.1/32 dev lo")
    Resolver(node.inside())
    alloc, log = add_raw(node, dns={"servers": ["10.53.0.1"]})
    assert "resolver" not in log
    with connect(alloc, "udp", "10.53.0.1", 53) as asking:
        asking.send(query("www.example.com"))
        assert asking.recv(512).endswith(socket.inet_aton("198.51.100.80"))
    with connect(alloc, "udp", "10.53.0.1", 54) as other:		# its other ports stay closed
        other.send(b"x")
        other.settimeout(SILENCE)
        with pytest.raises(OSError):
            other.recv(10)
    node.options.conf["dns"] = {"servers": ["10.53.0.1"]}
    node.start_picketd()
    wait_for(lambda: node.api("/v1/status")["endpoints"]["inStep"] == 1, "picketd's pass")
    with connect(alloc, "udp", "10.53.0.1", 53) as asking:
        asking.send(query("www.example.com"))
        assert asking.recv(512)
