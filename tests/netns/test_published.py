# SPDX-License-Identifier: Apache-2.0
"""
Published ports, by real stacks: from the world, from the other endpoints of the node and from the one that
publishes them, TCP and UDP of both families, on every address of the node or on a single one.
"""
import pytest
from harness import EGRESS, INGRESS, CniError, wait_for
from harness.servers import SILENCE, Mirror, ask, connect, exchange
from test_uplinks import run
from test_world import MODES, NODE, Stage

OWN, HOST = 80, 28080		# the endpoint's port, the node's


def mapping(host=HOST, own=OWN, address="", protocols=("tcp", "udp")):
    return [{"hostPort": host, "containerPort": own, "protocol": p, "hostIP": address} for p in protocols]


class Published(Stage):
    """acme's web publishes a port; others ask."""

    def __init__(self, node, mode="process", mappings=None, **conf):
        super().__init__(node, mode, **conf)
        self.web = self.add("acme", "web", runtimeConfig={"portMappings": mapping() if mappings is None else mappings})
        self.servers = [Mirror(self.web.inside(), OWN, OWN + 1)]

    def serve(self, machine, *ports, name=""):
        self.servers.append(Mirror(machine.inside(), *ports, name=name))

    def close(self):
        for server in self.servers:
            server.close()
        super().close()


@pytest.fixture
def published(node):
    made = []

    def make(*args, **kw):
        made.append(Published(node, *args, **kw))
        return made[-1]
    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ("tcp", "udp"))
@pytest.mark.parametrize("family", (4, 6))
def test_from_the_world(published, mode, kind, family):
    s = published(mode)
    world = s.node.world
    for _ in range(3):
        seen = ask(world, kind, NODE[family], HOST)
        assert seen and seen[0] == s.world(family), seen		# who asks is not hidden
    assert ask(world, kind, NODE[family], HOST + 1, SILENCE) is None
    with connect(world, kind, NODE[family], HOST) as lasting:
        assert all(exchange(lasting) for _ in range(20))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ("tcp", "udp"))
@pytest.mark.parametrize("family", (4, 6))
def test_from_other_endpoints_of_the_node(published, mode, kind, family):
    """Policy sees the endpoint behind the port: its own tenant reaches it, another one doesn't."""
    s = published(mode)
    same, other = s.add("acme", "api"), s.add("beta", "api")
    seen = ask(same, kind, NODE[family], HOST)
    assert seen and seen[0] == same.address(family), seen
    before = {m: s.node.tables.counters(m.slot) for m in (other, s.web)}
    assert ask(other, kind, NODE[family], HOST, SILENCE) is None
    wait_for(lambda: any((way, "policy-denied") in s.node.tables.counted(m.slot, before[m])
                         for m, way in ((other, EGRESS), (s.web, INGRESS))), "the denial's count")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ("tcp", "udp"))
@pytest.mark.parametrize("family", (4, 6))
def test_from_itself(published, mode, kind, family):
    """The hairpin: it sees the address that it asked as the one who asks, never its own."""
    s = published(mode)
    seen = ask(s.web, kind, NODE[family], HOST)
    assert seen and seen[0] == NODE[family], seen


@pytest.mark.parametrize("kind", ("tcp", "udp"))
@pytest.mark.parametrize("family", (4, 6))
def test_nothing_else_is_caught(published, kind, family):
    """P31: another endpoint's traffic to the published number of the endpoint itself, of a third one and of the world comes to who has that address."""
    s = published("process")
    same, third = s.add("acme", "api"), s.add("acme", "db")
    world = s.node.world
    for machine, name in (s.web, "own"), (third, "third"), (world, "world"):
        s.serve(machine, HOST, name=name)
    asked = {"own": s.web.address(family), "third": third.address(family), "world": s.world(family)}
    if family == 6:		# which isn't masqueraded: no answer of the world's finds a way back
        del asked["world"]
    for name, address in asked.items():
        seen = ask(same, kind, address, HOST)
        assert seen and seen[2] == name, (name, seen)
    assert len(ask(same, kind, NODE[family], HOST)) == 2, "the node's own, by the mapping"


SECOND = {4: "192.0.2.3", 6: "2001:db8::3"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_on_a_single_address(published, node, mode, family):
    """And another endpoint has the port on another one."""
    run(node, "ip addr add 192.0.2.3/24 dev up0", "ip addr add 2001:db8::3/64 dev up0 nodad")
    first, second = NODE[family], SECOND[family]
    s = published(mode, mapping(address=first))
    db = s.add("beta", "db", runtimeConfig={"portMappings": mapping(address=second)})
    s.serve(db, OWN, name="db")
    for kind in ("tcp", "udp"):
        assert len(ask(node.world, kind, first, HOST)) == 2
        assert len(ask(s.web, kind, first, HOST)) == 2
        assert ask(node.world, kind, second, HOST)[2] == "db"
        assert ask(node.world, kind, NODE[10 - family], HOST, SILENCE) is None
    node.delete(db.alloc)
    for kind in ("tcp", "udp"):
        assert ask(node.world, kind, second, HOST, SILENCE) is None
        assert len(ask(node.world, kind, first, HOST)) == 2


@pytest.mark.parametrize("mode", MODES)
def test_DEL_ends_it(published, mode):
    s = published(mode)
    with connect(s.node.world, "tcp", NODE[4], HOST) as lasting:
        assert exchange(lasting)
        s.node.delete(s.web.alloc, drop=False)
        lasting.settimeout(SILENCE)
        assert exchange(lasting) is None
    for kind in ("tcp", "udp"):
        assert ask(s.node.world, kind, NODE[4], HOST, SILENCE) is None
    assert s.node.tables.items("published") == []
    # The next endpoint takes it at once.
    other = s.add("beta", "web", runtimeConfig={"portMappings": mapping()})
    s.serve(other, OWN, name="other")
    wait_for(lambda: (ask(s.node.world, "tcp", NODE[4], HOST) or "???")[2] == "other", "the other's answer")


def test_picketd_opens_it_and_a_policy_closes_it(published):
    """From the world, whoever asks; the rule is that of published ports until a document says else."""
    s = published()
    s.node.start_picketd()
    wait_for(lambda: s.node.api("/v1/status")["endpoints"]["inStep"] == 1, "picketd's pass")
    assert ask(s.node.world, "tcp", NODE[4], HOST)
    s.node.policy("shut.json", {"namespace": "acme", "rules": [
        {"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["world"]}]}]})
    wait_for(lambda: s.denied(s.web, INGRESS, lambda: ask(s.node.world, "tcp", NODE[4], HOST, SILENCE)), "the denial")
    s.node.policy("shut.json", None)
    wait_for(lambda: ask(s.node.world, "tcp", NODE[4], HOST), "the way again")


def test_the_baseline_deny_publishes_nothing_by_itself(published):
    s = published(baseline="deny")
    before = s.node.tables.counters(s.web.slot)
    assert ask(s.node.world, "tcp", NODE[4], HOST, SILENCE) is None
    wait_for(lambda: (INGRESS, "policy-denied") in s.node.tables.counted(s.web.slot, before), "the denial's count")


def test_the_port_of_a_process_of_the_node_stays_its_own(published):
    """What nobody publishes is the host's, on the same address."""
    s = published()
    s.serve(s.node, HOST + 5, name="host")
    for kind in ("tcp", "udp"):
        assert ask(s.node.world, kind, NODE[4], HOST + 5)[2] == "host"


def test_a_port_in_the_range_of_masquerading(published):
    s = published(mappings=mapping(host=15000))
    for kind in ("tcp", "udp"):
        for family in (4, 6):
            assert ask(s.node.world, kind, NODE[family], 15000)[0] == s.world(family)
    # Nobody is masqueraded with it.
    a = s.add("acme", "api", masquerade={"ports": "15000-15063"})
    seen = {ask(a, "tcp", s.world(), 80)[1] for _ in range(30)}
    assert 15000 not in seen


# Two endpoints, one port.

TAKEN = [
    ("", "", True), ("", "192.0.2.2", True), ("192.0.2.2", "", True), ("192.0.2.2", "192.0.2.2", True),
    ("0.0.0.0", "192.0.2.2", True), ("192.0.2.2", "0.0.0.0", True), ("0.0.0.0", "0.0.0.0", True), ("0.0.0.0", "", True),
    ("0.0.0.0", "::", True), ("::", "192.0.2.2", True), ("192.0.2.2", "192.0.2.3", False),
    ("192.0.2.2", "2001:db8::2", False), ("2001:db8::2", "2001:db8::2", True), ("2001:db8::2", "2001:db8::3", False),
    ("2001:db8::2", "", True), ("::", "2001:db8::2", True), ("2001:db8::2", "0.0.0.0", True),
]


@pytest.mark.parametrize("first,second,taken", TAKEN)
def test_no_two_endpoints_hold_one_mapping(node, first, second, taken):
    def add(job, address, protocols=("tcp",)):
        conf = node.plugin_conf(runtimeConfig={"portMappings": mapping(address=address, protocols=protocols)})
        return node.add("acme", job, job, conf=conf)
    holder = add("web", first)
    before = node.tables.items("published")
    if not taken:
        other = add("other", second)
        node.delete(other)
        assert node.tables.items("published") == before
        return
    with pytest.raises(CniError) as refused:
        add("other", second)
    assert refused.value.code == 11
    assert refused.value.msg.startswith(f"host port {HOST} of ")
    assert f"fix: stop acme/web/web ({holder.id}, pk{holder.slot})" in refused.value.details
    assert node.tables.items("published") == before		# nothing of it is left
    add("other", second, protocols=("udp",))
    node.delete(holder)
    add("again", second)


def test_the_sweep_takes_away_what_a_dead_endpoint_published(node):
    node.start_picketd()
    web = node.add("acme", "web", "web", conf=node.plugin_conf(
        runtimeConfig={"portMappings": mapping(address="192.0.2.2")}))
    assert len(node.tables.items("published")) == 4		# two mappings and their markers
    node.drop_netns(web)
    wait_for(lambda: node.tables.items("published") == [], "nothing published")
