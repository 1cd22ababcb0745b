# SPDX-License-Identifier: Apache-2.0
"""What status, a reload, the log and the CLI beside picketd say as a `fix:` of sources, records and settings is done, and then they are content."""
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from harness.attach import command, conflist
from harness.shell import wait_for
from test_fix_done import fix_of, is_refused
from test_fix_done_at_add import reload
from test_fix_done_by_asking import ID, over, tapped  # noqa: F401 pylint: disable=unused-import
from test_fix_done_by_operator import complains, is_content
from test_policy_consul import OPEN, Cli
from test_services import PG, TO_PG

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@pytest.fixture
def cli(node, consul):
    return Cli(node, consul)


def by_nomad(nomad, **more):
    return {"nomad": {"address": nomad.address, "node": nomad.node}, **more}


def show(node, id_=ID):
    return " ".join(node.picket("endpoint", "show", id_).stdout.split())


def says(node, fix, id_=ID):
    wait_for(lambda: fix in show(node, id_), lambda: f"{fix}: {show(node, id_)}")


def says_no_more(node, fix, id_=ID):
    wait_for(lambda: fix not in show(node, id_), lambda: f"no more {fix}: {show(node, id_)}")


def test_where_blocks_may_lie(node, consul):
    fix = '"blocks": { "range": ["10.64.0.0/12"] }'
    node.start_picketd(over(consul, fabric="routed"))
    complains(node, fix)
    reload(node, over(consul, fabric="routed", blocks={"range": ["10.64.0.0/12"]}))
    is_content(node, fix)


def test_a_fabric_that_may_not_change_under_endpoints(node, consul):
    fix = "drain the node first; or restart picketd, and lose what is under way"
    ranges = {"blocks": {"range": ["10.64.0.0/12"]}}
    node.start_picketd(over(consul, fabric="routed", **ranges))
    alloc = node.add("acme", "api", "web")
    wait_for(lambda: node.api("/v1/endpoints")["endpoints"], "the endpoint")
    node.write_config(over(consul, fabric="vxlan", **ranges))
    assert fix in node.api("/v1/reload", "POST", check=False)["fix"]
    node.delete(alloc)
    wait_for(lambda: not node.api("/v1/endpoints")["endpoints"], "its end")
    reload(node, over(consul, fabric="vxlan", **ranges))


def test_a_socket_on_which_another_answers(node):
    fix = "another picketd answers there: stop it, or give this one its own -root"
    node.run(["mkdir", "-p", f"{node.root}/run/picket"])
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(node.path("run/picket/picketd.sock"))
        other.listen()
        picketd = node.start_picketd({"nomad": None}, wait=False)
        assert picketd.wait(timeout=60) == 1 and fix in node.log(), node.log()
    node.start_picketd({"nomad": None})


def test_a_stored_document_that_is_none(node):
    fix = "remove it; picketd stores its documents again when it starts"
    node.start_picketd({"nomad": None})
    node.policy("db.json", {"namespace": "acme", **OPEN})
    stored = node.path("var/lib/picket/policies/file/db")
    wait_for(lambda: os.path.exists(stored), "its file")
    node.kill_picketd()
    with open(stored, "w", encoding="ascii") as file:
        file.write("{")
    node.start_picketd({"nomad": None})
    assert f'fix="{fix}"' in node.log(), node.log()
    node.kill_picketd()
    if os.path.exists(stored):
        os.unlink(stored)
    said = len(node.log())
    node.start_picketd({"nomad": None})
    wait_for(lambda: os.path.exists(stored), "its file again")
    assert fix not in node.log()[said:]


def test_a_device_that_is_gone(node):
    fix = "stop the allocation and start it anew"
    node.start_picketd({"nomad": None})
    alloc = node.add("acme", "api", "web")
    wait_for(lambda: node.api("/v1/endpoints")["endpoints"], "the endpoint")
    node.run(["ip", "link", "del", f"pk{alloc.slot}"])
    complains(node, fix)
    node.delete(alloc)
    node.add("acme", "api", "web")
    is_content(node, fix)


# Attaches as many queues to the tap of its name as it is told to, and waits.
QUEUES = """
import fcntl, os, struct, sys
for _ in range(int(sys.argv[1])):
    fcntl.ioctl(os.open("/dev/net/tun", os.O_RDWR), 0x400454CA, struct.pack("16sH22x", b"tap0", 0x0002 | 0x1000 | 0x4000 | 0x0100))
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_vmm_with_more_queues_than_it_may_have(node):
    fix = 'start its VMM with as many queues as "queues" of the conflist says'
    node.options.conf.update(mode="vm", queues=2)
    node.start_picketd({"nomad": None})
    alloc = node.add("acme", "api", "web")

    def vmm(queues):
        started = alloc.popen([sys.executable, "-c", QUEUES, str(queues)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert started.stdout.readline() == b"ready\n"
        node.picketd.send_signal(signal.SIGHUP)
        return started
    first = vmm(3)
    complains(node, fix)
    first.kill()
    first.wait()
    vmm(2)
    is_content(node, fix)


def test_a_record_that_is_gone(node):
    fix = "stop its allocation: DEL needs no record"
    node.start_picketd({"nomad": None})
    alloc = node.add("acme", "api", "web")
    wait_for(lambda: node.api("/v1/endpoints")["endpoints"], "the endpoint")
    name, = node.records()
    os.unlink(node.path(f"var/lib/picket/endpoints/{name}"))
    complains(node, fix)
    node.delete(alloc)
    is_content(node, fix)


def test_an_allocations_record_that_is_too_much(node, nomad):
    fix = "its job's author must shorten or mend it"
    node.start_picketd(by_nomad(nomad))
    nomad.put(ID, "acme", "api", "web")
    node.add("acme", "api", "web", alloc_id=ID)
    wait_for(lambda: node.api(f"/v1/endpoints/{ID}")["confirmed"], "Nomad's word")
    nomad.put(ID, "acme", "api", "web", meta={f"key{i}": "x" * 200 for i in range(300)})
    complains(node, fix)
    nomad.put(ID, "acme", "api", "web", meta={"key": "x"})
    is_content(node, fix)


def test_an_agent_that_knows_none_of_ours(node, nomad):
    fix = 'see that "nomad" names the agent of this very client'
    node.start_picketd(by_nomad(nomad))
    node.add("acme", "api", "web", alloc_id=ID)
    complains(node, fix)
    nomad.put(ID, "acme", "api", "web")
    is_content(node, fix)


def test_nomads_own_word_by_picketd(node, nomad):
    node.start_picketd(by_nomad(nomad))
    nomad.set_mode(500)
    assert fix_of(node, "/v1/nomad") == "picket status says more"
    wait_for(lambda: "nomad" in node.picket("status", check=False).stdout, "status")
    nomad.set_mode("ok")
    wait_for(lambda: not node.api("/v1/nomad", check=False).get("error"), "its word")


def test_more_documents_than_a_tenant_may_have(node, consul):
    fix = "that tenant must have fewer or shorter ones"
    node.start_picketd(over(consul))
    node.add("acme", "db", "pg")
    for i in range(400):
        consul.put(f"tenants/acme/d{i}", OPEN)
    complains(node, fix)
    for i in range(300):
        consul.remove(f"tenants/acme/d{i}")
    is_content(node, fix)


def test_an_address_at_which_nobody_answers(node, consul):
    fix = "see that its address is right and that a server answers there"
    node.start_picketd({"node": "n1", "nomad": None, "consul": {"address": "http://127.0.0.1:1"}})
    complains(node, fix)
    reload(node, over(consul))
    is_content(node, fix)


def asks_for_pg(node):
    """A catalogue is asked for what a policy of some endpoint's names."""
    node.policy("pg.json", TO_PG)
    node.add("acme", "api", "web")


def test_a_service_that_the_catalogue_does_not_tell_of(node, consul):
    fix = "its instances stay as they were; see the agent, and the token's rights"
    node.start_picketd(over(consul, services=[PG]))
    asks_for_pg(node)
    wait_for(lambda: consul.count("/health/service"), "the question")
    consul.set_mode(500)
    complains(node, fix)
    consul.set_mode("ok")
    is_content(node, fix)


def test_a_service_of_more_instances_than_one_has(node, consul):
    fix = "declare several services of fewer instances each"
    node.start_picketd(over(consul, services=[PG]))
    asks_for_pg(node)
    consul.list_service("pg", *((f"i{i}", f"10.9.{i // 250}.{i % 250 + 1}", 5432, "passing") for i in range(1100)))
    complains(node, fix)
    consul.list_service("pg", *((f"i{i}", f"10.9.0.{i + 1}", 5432, "passing") for i in range(20)))
    is_content(node, fix)


def test_which_policies_an_attached_one_is_under(node):
    fix = "picket detach it, and attach it with -tenant"
    node.start_picketd({"nomad": None})
    conflist(node, "picket")
    assert command(node, "attach", "db-1", "-mode", "process").returncode == 0
    says(node, fix, "db-1")
    again = command(node, "attach", "db-1", "-mode", "process")
    is_refused(again, "picket endpoint show db-1 -vmm json says how; picket detach db-1 ends it", 1)
    assert command(node, "detach", "db-1").returncode == 0
    assert command(node, "attach", "db-1", "-tenant", "acme", "-mode", "process").returncode == 0
    says_no_more(node, fix, "db-1")
    assert command(node, "detach", "db-1").returncode == 0


def test_an_endpoint_of_no_namespace(node):
    fix = "without one give the plugin NOMAD_NAMESPACE"
    node.start_picketd({"nomad": None})
    nameless = node.add(alloc_id=ID)
    says(node, fix)
    node.delete(nameless)
    node.add("acme", "api", "web", alloc_id=ID)
    says_no_more(node, fix)


def test_a_namespace_that_a_jobs_author_claims(node, nomad):
    fix = "its job's author set NOMAD_NAMESPACE in the network's args: take it out"
    nomad.put(ID, "acme", "api", "web")
    node.start_picketd(by_nomad(nomad))
    alloc = node.add("bank", "api", "web", alloc_id=ID)
    says(node, fix)
    node.delete(alloc)
    node.add("acme", "api", "web", alloc_id=ID)
    says_no_more(node, fix)


def test_an_old_agent_that_is_silent(node, nomad):
    old, fix = "from Nomad 1.9.4 on nothing waits for that", "see that Nomad answers picketd (picket status)"
    nomad.version = "1.8.0"
    node.start_picketd(by_nomad(nomad))
    node.add("acme", "api", "web", alloc_id=ID)
    says(node, fix)
    says(node, old)
    nomad.put(ID, "acme", "api", "web")
    says_no_more(node, fix)


def test_who_asks_for_a_tap(tapped):  # noqa: F811
    node, alloc, tap = tapped
    is_refused(node.run([node.program("picket"), "-root", node.root, "tap", "-endpoint", "nobody", "--", "true"], check=False),
               'ask from the endpoint\'s network namespace as the conflist\'s "owner" and "group", or as root')
    assert tap("--", "true").returncode == 0
    node.picketd.send_signal(signal.SIGSTOP)
    is_refused(tap("--", "true"), "look at picketd's log and status")
    node.picketd.send_signal(signal.SIGCONT)
    assert wait_for(lambda: tap("--", "true").returncode == 0, "picketd")
    node.kill_picketd()
    is_refused(tap("--", "true"), "start picketd on this node; in a container, mount that socket")
    node.start_picketd({"nomad": None})
    assert tap("--", "true").returncode == 0 and alloc


def test_an_attach_by_nobody(node):
    node.write_config()
    conflist(node, "picket")
    words = [node.program("picket"), "-root", node.root, "attach", "db-1", "-tenant", "acme", "-mode", "process"]
    is_refused(node.run([*NOBODY, *words], check=False), "run it as root")
    assert command(node, "attach", "db-1", "-tenant", "acme", "-mode", "process").returncode == 0
    assert command(node, "detach", "db-1").returncode == 0


def test_a_document_that_nobody_reads_yet(node):
    file = node.path("a.json")
    with open(file, "w", encoding="ascii") as out:
        json.dump({"namespace": "acme", **OPEN}, out)
    done = node.picket("policy", "apply", file, check=False)
    assert done.returncode and "start picketd; -dir writes for a node that is to be started later" in done.stderr, done
    node.start_picketd({"nomad": None})
    assert node.picket("policy", "apply", file).returncode == 0


def test_a_write_whose_answer_is_lost(cli):
    files = [cli.file(name, OPEN) for name in ("a", "b")]
    cli.consul.loses_answer = True
    cli.refused("fix: apply again: what is there already is left unchanged", "apply", "-consul", *files)
    cli.consul.set_mode("ok")
    cli.ok("apply", "-consul", *files)
    assert set(cli.keys()) == {"operator/a", "operator/b"}


def test_a_key_that_holds_another_document(cli):
    cli.consul.put("operator/a", {"name": "b", **OPEN})
    cli.refused("fix: give one of them another name", "apply", "-consul", cli.file("a", OPEN))
    cli.ok("apply", "-consul", cli.file("c", OPEN))


def test_a_kernel_that_root_alone_asks(node):
    words = [node.program("picket"), "-root", node.root, "policy", "test", "-engine", "kernel", os.path.join(os.path.dirname(__file__), "../../examples/reach.json")]
    done = node.run([*NOBODY, *words], check=False)
    assert done.returncode == 2 and "the kernel is asked by root (CAP_BPF and CAP_NET_ADMIN)" in done.stderr, done
    assert node.run(words, check=False).returncode == 0


@pytest.mark.parametrize("named", [True, False], ids=["another is named", "none is named"])
@pytest.mark.parametrize("kind", ["fifo", "half", "foreign"])
def test_a_conflist_beside_that_nobody_can_read(node, kind, named):
    """Status agrees with check, whichever file picketd.json names: what that one would say is unknown, and Nomad stops at it."""
    fix = "mend or remove the file: Nomad reads them all; then reload picketd"
    config = {"nomad": None, "consul": None, **({} if named else {"conflist": None})}
    node.start_picketd(config)
    is_content(node, fix)
    second = node.path("opt/cni/config/second.conflist")
    if kind == "fifo":
        os.mkfifo(second)
    else:
        with open(second, "w", encoding="ascii") as file:
            file.write('{ "name": "second"' + (', "plugins": [ { "type": "' if kind == "half" else ' }'))
    reload(node, config)
    complains(node, fix)
    reason, = [reason for reason in node.reasons("config") if fix == reason["fix"]]
    assert "second.conflist" in reason["text"] and node.api("/v1/status")["state"] == "degraded"
    assert node.log().count(f'fix="{fix}"') == 1
    lines = json.loads(node.picket("check", "-json", check=False).stdout)
    assert [line["state"] for line in lines if line["what"] == "conflist" and "second.conflist" in line["text"]] == ["fail"]
    node.delete(node.add("acme", "api", "web"))
    os.unlink(second)
    reload(node, config)
    is_content(node, fix)
