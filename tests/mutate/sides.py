# SPDX-License-Identifier: Apache-2.0
"""What is mutated, what of it is compiled, and which tests are to notice, cheapest first."""
import os
import re


class Suite:
    """Tests of one kind: what to build for them, how to run them, who failed."""

    refused = None		# the exit status that says that the kernel took no program
    program = None		# what runs it, where that isn't built for each mutant

    def __init__(self, name, targets, command, seconds, failed):
        self.name, self.targets, self.command, self.seconds = name, targets, command, seconds
        self.failed = re.compile(failed, re.M)

    def failure(self, text):
        """The first test that failed, by its own name; empty where none is named."""
        found = self.failed.search(text)
        return found[1].strip() if found else ""

    def steady(self, _name):
        """Is a failure the mutant's for sure, since nothing in the suite waits?"""
        return True

    def narrowed(self, _name):
        """The command that runs the named test, and as little else as can be."""
        return self.command


class BpfTest(Suite):
    """
    Takes the objects from $PK_OBJECTS: it needs no building but where its own data moved. What it
    waits for may come late on a busy machine, so a failure counts that comes twice.
    """

    refused = 3

    @property
    def program(self):
        return self.command[0]

    def steady(self, name):
        return not name

    def narrowed(self, name):
        """The failed test's subject alone, which stands behind it."""
        subject = re.search(r" \((\w+)\)$", name)
        return [*self.command, "-only", subject[1]] if subject else self.command

    def without(self, command, _name):
        return command


class ModelTest(BpfTest):
    def narrowed(self, _name):
        return self.command


class Pytest(Suite):
    def __init__(self, name, targets, files, seconds):
        super().__init__(name, targets, ["/usr/bin/python3", "-m", "pytest", "-x", "-q", "-p",
                                         "no:cacheprovider", *files], seconds,
                         r"^(?:FAILED|ERROR) (\S+)")

    def steady(self, name):
        return not name

    def narrowed(self, name):
        return [*self.command[:7], name] if name else self.command

    def without(self, command, name):
        return [*command, f"--deselect={name}"]


class Units(Suite):
    """Unit tests with the sanitizers, one program after the other up to the first that fails."""

    def __init__(self, names):
        programs = [f"build/san/unit/{name}" for name in names]
        super().__init__("unit", ["SAN=1", *programs],
                         ["sh", "-c", 'for each; do "$each" || exit; done', "units", *programs], 300,
                         r"^\[  FAILED  \] (?:.*: )?(\w+)$")

    def failure(self, text):
        """A test that a sanitizer ended says no more than that it began."""
        running = re.findall(r"^\[ RUN      \] (\w+)$", text, re.M)
        return super().failure(text) or (running[-1] if running else "")


class Bpf:
    """The data path: every function that is compiled into a BPF program."""

    name, for_netns = "bpf", ["both-ways"]
    products = ("gen", "bpf", "model", "lib", "cni", "controller", "cli", "tests", "libpicket.a",
                "libpolicytools.a", "libcni.a", "libcontroller.a", "libcli.a", "picket",
                "picket-cni", "picketd", "faults")
    still = BpfTest("bpf-test", ["build/bpf/guard.bpf.o", "build/bpf/judge.bpf.o", "build/bpf/sock.bpf.o"],
                    ["build/tests/bpf-test", "-first", "-still"], 300, r"^FAILED (.*)$")
    moments = BpfTest("bpf-test", ["build/bpf/guard_stall.bpf.o"],
                      ["build/tests/bpf-test", "-first", "-moments"], 300, r"^FAILED (.*)$")
    model = ModelTest("model", ["build/bpf/guard.bpf.o"], ["build/tests/model-test", "--cases", "100000"], 900,
                    r"^FAILED (.*)$")
    # The tap's test says more than those only of what a packet is and brings along.
    by_tap = {"deliver.h", "finish.h", "forward.h", "guard.bpf.c", "guard.h", "parse.h", "pkt.h", "rewrite.h",
              "spoof.h"}
    tap = Pytest("netns tap", for_netns, ["tests/netns/test_guard_tap.py"], 900)
    memory = Pytest("netns tap memory", for_netns, ["tests/netns/test_tap_memory.py"], 600)
    process = Pytest("netns process", for_netns, ["tests/netns/test_guard_process.py"], 900)
    # What is of the overlay, by a real device and a real sender.
    of_fabric = {"fabric.h", "overlay.h", "uplink.h"}
    overlay = Pytest("netns overlay", for_netns, ["tests/netns/test_overlay.py", "tests/netns/test_overlay_edges.py"], 900)
    sock = Pytest("netns sock", ["all"], ["tests/netns/test_sock.py"], 600)
    prop = Suite("policy-property", ["build/tests/policy-property"],
                 ["build/tests/policy-property", "-seed", "1", "-queries", "60000"], 600,
                 r"^(world seed .*)$")

    def __init__(self, root):
        self.programs = sorted(f for f in os.listdir(os.path.join(root, "bpf"))
                               if f.endswith(".bpf.c"))

    def wanted(self, file):
        return file.startswith(("bpf/", "include/picket/"))

    def dumps(self):
        """Make targets: the syntax trees of everything that is mutated."""
        return [f"ast/bpf/{name}.json" for name in self.programs]

    def objects(self, _file):
        """Make targets: what a mutant of the file may change."""
        return [f"bpf/{name.removesuffix('.c')}.o" for name in self.programs]

    def moved(self, mine, original):
        """Does what is built around the object have to be built again for it?"""
        pick = lambda code: {name: data for name, data in code.items()
                             if name.startswith((".rodata", ".bss", ".data", ".maps"))}
        return pick(mine) != pick(original)

    def suites(self, file):
        if os.path.basename(file) in ("policy.h", "maps_policy.h", "judge.bpf.c"):
            return [self.still, self.moments, self.prop]
        if os.path.basename(file) == "tap.h":
            return [self.still, self.memory]
        if os.path.basename(file) == "sanity.h":
            return [self.still, self.moments, self.model, self.tap, self.process]
        if os.path.basename(file) == "sock.bpf.c":
            return [self.still, self.sock]
        if os.path.basename(file) in self.of_fabric:
            return [self.still, self.moments, self.model, self.overlay]
        if os.path.basename(file) in self.by_tap:
            return [self.still, self.moments, self.model, self.tap]
        return [self.still, self.moments, self.model]


class UnitTests:
    """The programs of tests/unit, by the headers that each names, itself or through those beside it."""

    def __init__(self, root):
        self.root, self.folder = root, os.path.join(root, "tests/unit")
        self.named = {name[:-2]: self._headers(name) for name in sorted(os.listdir(self.folder))
                      if name.startswith("test_") and name.endswith(".c")}

    def _headers(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            named = {os.path.basename(header) for header in re.findall(r'^#include "([^"]+)"', file.read(), re.M)}
        beside = {header for header in named if os.path.exists(os.path.join(self.folder, header))}
        return named.union(*(self._headers(header) for header in beside))

    def _of(self, headers):
        return [name for name, named in self.named.items() if named & headers]

    def nearest(self, file):
        """Those of the file's own header, or of that of which it is a part."""
        folder, stem = os.path.split(os.path.splitext(file)[0])
        there = {name for name in os.listdir(os.path.join(self.root, folder)) if name.endswith(".h")}
        words = stem.split("_")
        own = {"_".join(words[:n]) for n in range(1, len(words) + 1)}
        return self._of({name for name in there if name[:-2].removesuffix("_private") in own})

    def below(self, folder):
        """Those of any header below it."""
        return self._of({name for _, _, names in os.walk(os.path.join(self.root, folder)) for name in names
                         if name.endswith(".h")})


class UserSpace:
    """A side whose mutants unit tests notice, the nearest first, and files of tests/netns by the source's name."""

    products = ("gen", "bpf", "lib", "cni", "controller", "cli", "san", "libpicket.a", "libpolicytools.a",
                "libcni.a", "libcontroller.a", "libcli.a", "picket", "picket-cni", "picketd")

    def __init__(self, root):
        self.root, self.tests = root, UnitTests(root)

    def sources(self):
        return sorted(name for name in (os.path.relpath(os.path.join(folder, name), self.root)
                                        for top in self.folders
                                        for folder, _, names in os.walk(os.path.join(self.root, top))
                                        for name in names) if name.endswith(".c") and self.wanted(name))

    def dumps(self):
        return [f"ast/{name}.json.gz" for name in self.sources()]

    def objects(self, file):
        return [file.removesuffix(".c") + ".o" if file.endswith(".c") else self.whole]

    def moved(self, _mine, _original):
        return False

    def asked(self, file):
        """The files of tests/netns that are asked of it."""
        return [name for name, sources in self.netns if re.search(sources, os.path.basename(file))]

    def suites(self, file):
        return [*self.units(file), *(Pytest(f"netns {name[5:-3]}", self.for_netns, [f"tests/netns/{name}"], 1200)
                                     for name in self.asked(file))]


class Controller(UserSpace):
    """picketd: every function of controller/, and of what only the CLI shares with it."""

    name, for_netns, folders, whole = "controller", ["build/picketd"], ("controller", "lib"), "picketd"
    shared = ("lib/http/consul.c", "lib/http/http_curl.c", "lib/http/service_call.c", "lib/http/vars.c")
    # Files of tests/netns with the sources that each is asked of, quick ones first.
    netns = (("test_picketd_answers.py", r"consul|nomad|service|http|loop|api_confirm|leader|kv_wait"),
             ("test_nomad_versions.py", r"nomad|api_confirm|local|model"),
             ("test_consul_told.py", r"consul_told"),
             ("test_picketd_enforced.py", r"apply|enforced|docs|files|api_policy|sync"),
             ("test_picketd_pins.py", r"apply|guard|upkeep|audit|links|sync"),
             ("test_picketd_netns.py", r"audit|links|upkeep|record|local"),
             ("test_picketd_networks.py", r"^conf|resolv|records|upkeep|apply_tables"),
             ("test_picketd_systemd.py", r"systemd|main|loop|daemon"),
             ("test_state_files.py", r"records|docs_store|model"),
             ("test_resolver.py", r"resolv"),
             ("test_full_disk.py", r"writer|apply_store|docs_batch|docs_store"),
             ("test_cluster_keys.py", r"keys_watch|kv_query|believed|publish|claims|cluster"),
             ("test_cluster.py", r"cluster|believed|blocks|remotes|removal|fabric|pairs|probe|share"),
             ("test_rollout.py", r"report"),
             ("test_placement.py", r"placement"),
             ("test_services.py", r"service|catalog|instances"),
             ("test_overlay.py", r"overlay"),
             ("test_variables.py", r"store|told|kv_wait"),
             ("test_variables_cluster.py", r"store|share"),
             ("test_upgrade.py", r"handover|check_upgrade"),
             ("test_uplinks.py", r"uplink"),
             ("test_host_tap.py", r"sockets|handover"),
             ("test_picketd_disk.py", r"logger|writer|flowlog"),
             ("test_metrics.py", r"metrics|scrape|traffic|listener|api_health"),
             ("test_prometheus.py", r"metrics|scrape|traffic|listener"),
             ("test_picketd_status.py", r"api|daemon|^conf|service|systemd"),
             ("test_picketd.py", r"sync|flow|event|audit|guard|upkeep|apply|local|model|links|by_address"),
             ("test_picketd_sources.py", r"consul|nomad|files|docs|^conf|httpd|clients|sockets|unix_listen|daemon|api\.c|reaper|sweep_job"),
             ("test_picketd_absence.py", r"absence|docs|files|consul|journal|^conf|api_release|main"),
             ("test_files_absence.py", r"absence|docs|files"),
             ("test_picketd_guard.py", r"audit|guard|links|upkeep"),
             ("test_hostile.py", r"nomad|consul|docs|event|flow|httpd|clients|sockets|sync|apply|absence|memory"))

    def wanted(self, file):
        return file.startswith("controller/") or file in self.shared

    def asked(self, file):
        return super().asked(file) or ["test_picketd.py"]

    def units(self, file):
        nearest = self.tests.nearest(file)
        rest = [name for name in self.tests.below("controller") if name not in nearest]
        return [Units(names) for names in (nearest, rest) if names]


class Plugin(UserSpace):
    """The plugin, and the library that it, picketd and the CLI share, policy's compiler with it."""

    name, for_netns, folders, whole = "plugin", ["both-ways"], ("cni", "lib"), "picket-cni"
    products = (*UserSpace.products, "faults", "tests")
    netns = (("test_cni_add.py", r"^(add|plumb|verb|node|result|report|state|endpoint|start|eplease|epstore|ipam|lease|nl|netns"
                                 r"|tap|stack|device|hook|record|masquerade|uplink|tables|txn|room)"),
             ("test_cni_input.py", r"^(args|env|main|cni_|conflist|json|schema|verb|settings|addr|str)"),
             ("test_cni_check.py", r"^(verb|repair|cni_status|selftest|device|hook|nl|stack)"),
             ("test_cni_again.py", r"^(add|verb|repair|state|endpoint|ep|lease|netns|device|record|fs)"),
             ("test_cni_kill.py", r"^(add|verb|plumb|state|txn|fault|confirm|ctl|start|tenant|ep|bpf)"),
             ("test_cni_disk.py", r"^(fs|record|epstore|state|txn|lease|err)"),
             ("test_cni_together.py", r"^(eplock|deadline|lease|ipam|room|rcu|count|verb_counts)"),
             ("test_cni_cost.py", r"^(ipam|lease|epfind)"),
             ("test_cni_tcx.py", r"^(hook|bpf|nl_tc)"),
             ("test_cni_answers.py", r"^(told|resolv|tables)"),
             ("test_state_files.py", r"^(fs|record|docs|ep|settings)"),
             ("test_limits.py", r"limits"),
             ("test_uplinks.py", r"uplink"),
             ("test_published.py", r"ports|masquerade"),
             ("test_firewall_tools.py", r"firewall"),
             ("test_overlay.py", r"vxlan"),
             ("test_picketd_sources.py", r"^(sweep|docstore)"),
             ("test_policy_files.py", r"^(doc|label|selector|string)"),
             ("test_policy_import.py", r"^import"),
             ("test_cli_policy.py", r"^(ask|plan|reach|suggest|scenario|flows)"))

    def wanted(self, file):
        return file.startswith(("cni/", "lib/")) and file not in Controller.shared

    def asked(self, file):
        return super().asked(file) or ([] if self.units(file) else ["test_cni_add.py"])

    def units(self, file):
        if not file.startswith("lib/policy/"):
            names = self.tests.nearest(file) or (self.tests.below("cni") if file.startswith("cni/") else [])
            return [Units(names)] if names else []
        names = self.tests.nearest(file) or self.tests.below("lib/policy")
        return [Units(names), *([] if file.startswith("lib/policy/tools/") else [Bpf.prop])]


class Cli(UserSpace):
    """The command line. No unit test knows it: what it prints and how it exits is tried by the real program."""

    name, for_netns, folders, whole = "cli", ["build/picket"], ("cli",), "picket"
    products = tuple(name for name in UserSpace.products if name != "san")
    netns = (("test_cli.py", r"^(out|opt|main|api|explain|cli_world|flow|cmd_(endpoint|flows|ip|node|reasons|status|sweep|version|completion))"),
             ("test_policy_files.py", r"^(opt|policy_candidate|cmd_policy(_files|_test|_apply)?\.)"),
             ("test_policy_import.py", r"^cmd_policy_import"),
             ("test_cli_policy.py", r"^(explain|plan|cli_world|cmd_policy(_explain|_plan|_show|_suggest|_test|_apply)?\.)"),
             ("test_check.py", r"^(check|cmd_check)"),
             ("test_fix_done_by_check.py", r"^(check|cmd_check)"),
             ("test_picketd_absence.py", r"^cmd_policy_release"),
             ("test_picketd_status.py", r"^cmd_policy_explain"),
             ("test_policy_consul.py", r"^(consul_kv|curl_late|policy_consul|cmd_policy_apply)"),
             ("test_policy_history.py", r"^(policy_history|cmd_policy_history)"),
             ("test_policy_variables.py", r"^(vars_kv|policy_consul|policy_history)"),
             ("test_rollout.py", r"^(policy_rollout|cmd_policy_rollout)"),
             ("test_attach.py", r"^(attach|cmd_attach)"),
             ("test_host_tap.py", r"^cmd_tap"),
             ("test_cluster.py", r"^cmd_node"))

    def wanted(self, file):
        return file.startswith("cli/")

    def asked(self, file):
        return super().asked(file) or ["test_cli.py"]

    def units(self, _file):
        return []


SIDES = {side.name: side for side in (Bpf, Controller, Plugin, Cli)}
