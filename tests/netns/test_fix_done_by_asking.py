# SPDX-License-Identifier: Apache-2.0
"""What picketd's status, its listener and the CLI beside a store say as a `fix:` is done, and then they are content."""
import json
import os
import signal
import urllib.error
import urllib.request

import pytest
from fake.consul import PREFIX
from harness.attach import command, conflist
from harness.servers import ask
from harness.shell import wait_for
from test_fix_done import is_refused
from test_fix_done_at_add import reload
from test_fix_done_by_operator import complains, is_content
from test_policy_consul import OPEN, Cli
from test_services import PG, TO_PG
from test_sock import cgroup  # noqa: F401 pylint: disable=unused-import

ID = "7f3a21c4-0000-4000-8000-00000000000e"


@pytest.fixture
def cli(node, consul):
    return Cli(node, consul)


def over(consul, **more):
    """Settings of a node in a fabric."""
    return {"node": "n1", "nomad": None, "consul": {"address": consul.address}, **more}


def test_the_listener_of_metrics(node):
    node.start_picketd({"nomad": None, "http": {"listen": "127.0.0.1:4680"}})
    with node.inside():
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen("http://127.0.0.1:4680/v1/policies")
        assert refused.value.code == 404
        assert "only /metrics and /v1/health are; picketd's socket has the rest" in refused.value.read().decode()
        for path in ("/metrics", "/v1/health"):
            with urllib.request.urlopen("http://127.0.0.1:4680" + path) as answer:
                assert answer.status == 200
    assert node.api("/v1/policies")["policies"] == []


def test_a_node_that_removes_itself(node, consul):
    node.start_picketd(over(consul, fabric="routed"))
    is_refused(node.picket("node", "remove", "n1", check=False), "ask another node for it")
    is_refused(node.picket("node", "remove", "n7", check=False), "picket node list")
    assert "n1" in node.picket("node", "list", check=False).stdout


def test_a_removal_that_picketd_never_read(node, consul):
    """Whoever hangs goes on with nothing."""
    node.start_picketd(over(consul, fabric="routed"))
    node.picketd.send_signal(signal.SIGSTOP)
    silent = node.picket("node", "remove", "-wait", "0.05s", "n7", check=False)
    node.picketd.send_signal(signal.SIGCONT)
    assert silent.returncode == 2 and "timed out" in silent.stderr and "goes on" not in silent.stderr, silent


def test_an_underlay_that_no_uplink_has(node, consul):
    fix = 'give the uplink one, or say "underlay": "ipv4" in "vxlan", on every node'
    node.run(["ip", "-6", "addr", "flush", "dev", "up0"])
    config = over(consul, fabric="vxlan", vxlan={"underlay": "ipv6"})
    node.start_picketd(config)
    complains(node, fix)
    node.run(["ip", "addr", "add", node.options.up_address6, "dev", "up0", "nodad"])
    is_content(node, fix)
    node.run(["ip", "-6", "addr", "flush", "dev", "up0"])
    complains(node, fix)
    reload(node, {**config, "vxlan": {"underlay": "ipv4"}})
    is_content(node, fix)


def test_an_uplink_too_narrow_for_the_overlay(node, consul):
    fix = "give the uplink an MTU of at least 626"
    node.run(["ip", "link", "set", "up0", "mtu", "600"])
    node.start_picketd(over(consul, fabric="vxlan"))
    complains(node, fix)
    node.run(["ip", "link", "set", "up0", "mtu", "626"])
    is_content(node, fix)


def test_a_service_of_a_catalogue_that_nobody_asks(node, consul):
    fix = 'configure "consul" or "nomad", or take the declaration back'
    nobody = {"nomad": None, "consul": None}
    node.policy("pg.json", TO_PG)
    node.start_picketd({**nobody, "services": [PG]})
    node.add("acme", "api", "web")
    complains(node, fix)
    reload(node, over(consul, services=[PG]))
    is_content(node, fix)
    reload(node, {**nobody, "services": [PG]})
    complains(node, fix)
    reload(node, nobody)
    is_content(node, fix)


def test_a_key_in_no_policys_place(node, consul):
    """The first look is at picketd's start."""
    fix = "below the prefix are operator/NAME and tenants/NAMESPACE/NAME"
    consul.put("acme/db", OPEN)
    node.start_picketd(over(consul))
    node.add("acme", "db", "pg")
    complains(node, fix)
    consul.remove("acme/db")
    consul.put("tenants/acme/db", OPEN)
    node.kill_picketd()
    node.start_picketd(over(consul))
    wait_for(lambda: [p for p in node.api("/v1/policies")["policies"] if p["name"] == "db"], "the document")
    is_content(node, fix)


def test_more_rules_than_a_tenant_has(node, consul):
    fix = "have fewer, with more peers and ports in each"
    node.start_picketd(over(consul))
    node.add("acme", "db", "pg")

    def errors():
        return [e["fix"] or "" for p in node.api("/v1/policies")["policies"] for e in p["errors"]]
    consul.put("tenants/acme/db", {"rules": OPEN["rules"] * 2049})
    wait_for(lambda: any(fix in said for said in errors()), lambda: f"the refusal: {errors()}")
    consul.put("tenants/acme/db", {"rules": [{"endpointSelector": {}, "ingress": [{}] * 200}] * 10})
    wait_for(lambda: node.api("/v1/policies")["policies"] and not errors(), lambda: f"the document: {errors()}")


def test_which_node_of_nomads_this_is(node, nomad):
    def config(name):
        return {"nomad": {"address": nomad.address, "node": name}}
    wrong = "to this client's name or id"
    node.start_picketd(config("nobody"))
    complains(node, wrong)
    reload(node, config(nomad.node))
    is_content(node, wrong)
    nomad.others[nomad.node] = ("7a94ec5f-0000-4000-8000-000000000002", "ready")
    node.kill_picketd()
    node.start_picketd(config(nomad.node))
    complains(node, "to this client's id")
    reload(node, config(nomad.node_id))
    is_content(node, "to this client's id")


def test_what_a_job_asks_for_in_its_meta(node, nomad):
    def config(**most):
        return {"nomad": {"address": nomad.address, "node": nomad.node}, "limits": {"jobMost": most} if most else {}}

    def asks(**limits):
        nomad.put(ID, "acme", "api", "web", meta={"picket.limits": json.dumps(limits)} if limits else {})

    def says(fix):
        def told():
            return " ".join(node.picket("endpoint", "show", ID).stdout.split())
        wait_for(lambda: fix in told() if fix else "fix: " not in told(), told)
    none, most = "take picket.limits out of the job's meta, or say limits.jobMost", "ask for no more in picket.limits, or raise limits.jobMost in picketd.json"
    node.start_picketd(config())
    asks(flows=20)
    node.add("acme", "api", "web", alloc_id=ID)
    says(none)
    asks()
    says(None)
    asks(flows=20)
    says(none)
    reload(node, config(flows=19))
    says(most)
    asks(flows=19)
    says(None)
    asks(flows=20)
    says(most)
    reload(node, config(flows=20))
    says(None)


def test_flows_that_nobody_may_read(node):
    node.start_picketd({"nomad": None})
    ask(node.add("acme", "api", "web"), "udp", "192.0.2.250", 9, 0.2)
    wait_for(lambda: node.picket("flows", "-since", "10m", check=False).stdout, "the denial")
    node.kill_picketd()
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    is_refused(node.run([*nobody, node.program("picket"), "-root", node.root, "flows"], check=False), "flows come from picketd: start it, or run this as root")
    assert "acme/api/web" in node.picket("flows").stdout
    node.start_picketd({"nomad": None})
    assert node.picket("flows").returncode == 0


def test_a_cgroup_that_is_none(node, cgroup):  # noqa: F811
    fix = "name the root of the unified hierarchy, /sys/fs/cgroup, or null"
    for right in (None, cgroup.path):
        node.start_picketd({"nomad": None, "cgroup": "/etc"})
        complains(node, fix)
        reload(node, {"nomad": None, "cgroup": right})
        is_content(node, fix)
        node.kill_picketd()


def test_a_name_that_a_runtimes_endpoint_has(node):
    node.write_config()
    conflist(node, "picket")
    alloc = node.add("acme", "api", "web", alloc_id="db-1")
    words = ("-tenant", "acme", "-mode", "process")
    is_refused(command(node, "attach", "db-1", *words), "choose another name; Nomad, or whoever runs it, ends it")
    node.delete(alloc)
    for name in ("db-1", "db-2"):
        assert command(node, "attach", name, *words).returncode == 0
    for name in ("db-1", "db-2"):
        assert command(node, "detach", name).returncode == 0


def test_a_document_too_long_for_consul(cli):
    def document(n):
        return {"rules": [{"endpointSelector": {}, "egress": [{"toCIDR": [f"203.0.{i % 256}.{i // 256}/32" for i in range(n)]}]}]}
    cli.refused("fix: split it into several documents", "apply", "-consul", cli.file("all", document(24000)))
    for half in ("one", "two"):
        cli.ok("apply", "-consul", cli.file(half, document(12000)))
    assert set(cli.keys()) == {"operator/one", "operator/two"}


def test_more_than_a_tenant_has_in_consul(cli):
    mine, fix = ("-consul", "-namespace", "acme"), "fix: delete what is not needed any more (docs/budgets.md)"
    for i in range(255):
        cli.consul.put(f"tenants/acme/old{i}", OPEN)
    cli.ok("apply", *mine, cli.file("last", OPEN))
    cli.refused(fix, "apply", *mine, cli.file("new", OPEN))
    cli.ok("delete", *mine, "old7")
    cli.ok("apply", *mine, cli.file("new", OPEN))
    assert f"{PREFIX}tenants/acme/new" in cli.consul.keys


def test_a_text_that_history_does_not_have(cli):
    mine = ("-namespace", "acme")
    for n in range(2):
        cli.ok("apply", "-consul", *mine, cli.file("db", dict(OPEN, audit=bool(n))))
    cli.refused("fix: picket policy history shows the last ", "rollback", *mine, "db", "-to", "ffffffff")
    shown = cli.ok("history", *mine, "db").split()
    digits = next(word for word in reversed(shown) if len(word) >= 8 and set(word) <= set("0123456789abcdef"))
    assert "db: " in cli.ok("rollback", *mine, "db", "-to", digits)


@pytest.fixture
def tapped(node):
    """A node, an endpoint on a host tap, and how `picket tap` asks for it."""
    node.options.conf.update({"attach": "host-tap", "owner": 0, "group": 0})
    node.start_picketd({"nomad": None})
    alloc = node.add("acme", "api", "web")

    def tap(*words, **kw):
        return alloc.run([node.program("picket"), "-root", node.root, "tap", *words], check=False, **kw)
    yield node, alloc, tap


def test_a_vmm_that_is_not_there(tapped):
    _, _, tap = tapped
    is_refused(tap("--", "/no/such/vmm"), "name the VMM's program behind --, by its path or as PATH finds it")
    assert tap("--", "true").returncode == 0 and tap("--", "/bin/true").returncode == 0


def test_two_taps_of_one_allocation(tapped):
    node, alloc, tap = tapped
    node.cni("ADD", alloc.id, alloc.path, args=alloc.args, ifname="eth1")
    is_refused(tap("-endpoint", alloc.id, "--", "true"), "say which: <container id>@<interface>")
    for interface in ("eth0", "eth1"):
        assert tap("-endpoint", f"{alloc.id}@{interface}", "--", "true").returncode == 0


def test_a_tap_that_another_vmm_has(tapped):
    node, alloc, tap = tapped
    vmm = alloc.popen([node.program("picket"), "-root", node.root, "tap", "--", "sleep", "1000"])
    wait_for(lambda: os.readlink(f"/proc/{vmm.pid}/exe").endswith("sleep"), "the VMM")
    is_refused(tap("--", "true"), "end the VMM that was given it")
    vmm.kill()
    vmm.wait()
    assert tap("--", "true").returncode == 0
