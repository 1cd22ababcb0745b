# SPDX-License-Identifier: Apache-2.0
"""A real VMM on a host tap: QEMU, unprivileged in its netns, with the descriptor that `picket tap` was handed."""
from harness import Guest, wait_for


def test_a_guest_and_its_next_vmm(make_node):
    """It gets its address by DHCP, reaches its tenant's guest behind the other kind of tap, and its VMM may be started anew."""
    node = make_node(config={"nomad": None}, conf={"owner": 65534})
    node.start_picketd()
    api = node.add("acme", "api", "web", conf=node.plugin_conf(attach="host-tap"))
    db = node.add("acme", "db", "db")
    guest, other = Guest(api), Guest(db)
    guest.boot()
    other.boot()
    assert guest.reaches("tcp", db.address()) and other.reaches("tcp", api.address())
    wait_for(lambda: guest.reaches("ping", db.address(6)), "IPv6, once its address is proven")
    guest.off()
    again = Guest(api)
    again.boot()
    assert again.reaches("tcp", db.address()) and other.reaches("ping", api.address())
    for each in (again, other):
        each.off()
