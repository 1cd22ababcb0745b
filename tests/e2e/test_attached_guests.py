# SPDX-License-Identifier: Apache-2.0
"""VMMs that are started by hand behind `picket attach`: QEMU, unprivileged, on a tap in the netns and on a host tap."""
from harness import Guest, wait_for
from harness.attach import attach, detach
from harness.servers import QUICK, connect


def test_guests_by_hand(make_node):
    """Each gets its address by DHCP; of one tenant they reach each other, another tenant's doesn't; detach cuts a VM off that runs on."""
    node = make_node(config={"nomad": None}, conf={"owner": 65534})
    node.start_picketd()
    api = attach(node, "api", "-tenant", "acme", "-publish", "8080:8080/tcp")
    db = attach(node, "db", "-tenant", "acme", "-mode", "host-tap")
    spy = attach(node, "spy", "-tenant", "spies", "-mode", "process")
    guest, other = Guest(api), Guest(db)
    lease = guest.boot()
    other.boot()
    assert api.address() in " ".join(lease)
    assert guest.reaches("tcp", db.address()) and other.reaches("tcp", api.address())
    with connect(node.world, "tcp", node.options.up_address.split("/")[0], 8080) as world:
        world.sendall(b"hello\n")
        assert world.recv(100) == b"hello\n", "its published port"
    assert not spy.pings(api, timeout=QUICK) and not spy.pings(db, timeout=QUICK)
    wait_for(lambda: guest.reaches("ping", db.address(6)), "IPv6, once its address is proven")
    detach(node, "api")
    assert not other.reaches("tcp", api.address()) and guest.process.poll() is None
    for each in (guest, other):
        each.off()
