# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus reads picketd; each alert fires on what it is for, and on nothing else."""
import json
import os
import re
import subprocess
import urllib.parse

import pytest
from harness.metrics import scrape
from harness.shell import TREE, wait_for

RULES = os.path.join(TREE, "examples/prometheus/picket.rules.yml")
CONFIG = os.path.join(TREE, "examples/prometheus/prometheus.yml")
DASHBOARD = os.path.join(TREE, "examples/grafana/picket.json")
LISTEN = "127.0.0.1:4680"


def tool(name):
    done = subprocess.run([os.path.join(TREE, "scripts/prometheus"), name], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        pytest.skip(f"no {name}: neither here nor from Debian")
    assert done.returncode == 0
    return done.stdout.strip()


def alerts():
    """{alert: expression}"""
    with open(RULES, encoding="utf-8") as file:
        text = file.read()
    found = re.findall(r"- alert: (\w+)\n {8}expr: (>\n)?((?:.*\n)(?: {10}.*\n)*)", text)
    return {name: re.sub(r"\s+", " ", expr).strip() for name, _, expr in found}


def test_the_tool_takes_what_we_ship(node):
    promtool = tool("promtool")
    subprocess.run([promtool, "check", "config", CONFIG], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([promtool, "check", "rules", RULES], check=True, stdout=subprocess.DEVNULL)
    hostile = node.add("acme", 'a"} 1 \\ \'{#', "g")
    node.start_picketd()
    assert hostile.result
    text = scrape(node).text
    subprocess.run([promtool, "check", "metrics"], check=True, input=text, text=True, stdout=subprocess.DEVNULL)
    bad = subprocess.run([promtool, "check", "metrics"], check=False, input=text + "picket_x{a=\"\"b\"} 1\n", text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert bad.returncode


# -- each alert

# Of one node that is in trouble, and of one that isn't, a value a minute: "FROM+STEPxTIMES".
CASES = {
    "PicketDown": ({"up": "0x60"}, {"up": "1x60"}),
    "PicketFailing": ({'picket_status{state="failing"}': "1x60"}, {'picket_status{state="failing"}': "0x60"}),
    "PicketDegraded": ({'picket_status{state="degraded"}': "1x60"}, {'picket_status{state="degraded"}': "1x8 0x3 1x8 0x40"}),
    "PicketNotLoaded": ({"picket_enforcement_loaded": "0x60"}, {"picket_enforcement_loaded": "1x60"}),
    "PicketSourceDown": ({'picket_source_up{source="nomad"}': "0x60"}, {'picket_source_up{source="nomad"}': "0x3 1x56"}),
    "PicketPolicyRefused": ({'picket_policy_documents{state="refused"}': "2x60"}, {'picket_policy_documents{state="refused"}': "0x60"}),
    "PicketPolicyHeld": ({'picket_policy_documents{state="held"}': "1x60"}, {'picket_policy_documents{state="held"}': "0x60"}),
    "PicketPolicyNotEnforced": (
        {'picket_policy_documents{state="active"}': "5x60", 'picket_policy_documents{state="audit"}': "1x60",
         'picket_policy_documents{state="enforced"}': "5x60"},
        {'picket_policy_documents{state="active"}': "5x60", 'picket_policy_documents{state="audit"}': "1x60",
         'picket_policy_documents{state="enforced"}': "6x60"}),
    "PicketEndpointsNotInStep": ({'picket_endpoints{state="open"}': "9x60", 'picket_endpoints{state="in-step"}': "8x60"},
                                 {'picket_endpoints{state="open"}': "9x60", 'picket_endpoints{state="in-step"}': "9x60"}),
    "PicketEndpointsQuarantined": ({'picket_endpoints{state="quarantined"}': "1x60"}, {'picket_endpoints{state="quarantined"}': "0x60"}),
    "PicketAddsFail": ({'picket_cni_failed_total{verb="ADD",code="102"}': "0+1x60"},
                       {'picket_cni_failed_total{verb="ADD",code="102"}': "7x60", 'picket_cni_failed_total{verb="DEL",code="102"}': "0+1x60"}),
    "PicketAddsSlow": ({'picket_cni_duration_seconds_bucket{verb="ADD",le="1"}': "0x60",
                        'picket_cni_duration_seconds_bucket{verb="ADD",le="2.5"}': "0+5x60",
                        'picket_cni_duration_seconds_bucket{verb="ADD",le="+Inf"}': "0+5x60"},
                       {'picket_cni_duration_seconds_bucket{verb="ADD",le="1"}': "0+5x60",
                        'picket_cni_duration_seconds_bucket{verb="ADD",le="2.5"}': "0+5x60",
                        'picket_cni_duration_seconds_bucket{verb="ADD",le="+Inf"}': "0+5x60"}),
    "PicketAddsUnfinished": (
        {'picket_cni_begun_total{verb="ADD"}': "0+2x60", 'picket_cni_duration_seconds_count{verb="ADD"}': "0+1x60"},
        {'picket_cni_begun_total{verb="ADD"}': "0+2x60", 'picket_cni_duration_seconds_count{verb="ADD"}': "0+2x60"}),
    "PicketPoolNearlyUsed": ({'picket_pool_used_addresses{pool="a"}': "240x60", 'picket_pool_addresses{pool="a"}': "253x60"},
                             {'picket_pool_used_addresses{pool="a"}': "100x60", 'picket_pool_addresses{pool="a"}': "253x60"}),
    "PicketTableNearlyFull": ({'picket_table_entries{table="flows"}': "900x60", 'picket_table_max_entries{table="flows"}': "1000x60"},
                              {'picket_table_entries{table="flows"}': "700x60", 'picket_table_max_entries{table="flows"}': "1000x60"}),
    "PicketFlowsRefused": ({'picket_packets_total{direction="egress",reason="flow-budget"}': "0+600x60"},
                           {'picket_packets_total{direction="egress",reason="policy-denied"}': "0+600x60"}),
    "PicketSpoofing": ({'picket_packets_total{direction="egress",reason="spoofed-mac"}': "0+600x60"},
                       {'picket_packets_total{direction="egress",reason="spoofed-mac"}': "0+1x60"}),
    "PicketEventsLost": ({'picket_events_lost_total{cause="ring"}': "0+600x60"}, {'picket_events_lost_total{cause="ring"}': "9x60"}),
    "PicketLinesLost": ({'picket_lines_lost_total{file="log"}': "0x30 7x30"}, {'picket_lines_lost_total{file="log"}': "7x60"}),
    "PicketGuardsRepaired": ({"picket_guards_repaired_total": "0x30 1x30"}, {"picket_guards_repaired_total": "3x60"}),
}


def with_instance(series, instance):
    name, _, labels = series.partition("{")
    return name + "{" + labels.rstrip("}") + ("," if labels else "") + f'job="picket",instance="{instance}"' + "}"


def one_test(alert, bad, good):
    values = {with_instance(series, instance): value for instance, all_ in (("bad", bad), ("good", good))
              for series, value in all_.items()}
    return {"interval": "1m",
            "input_series": [{"series": series, "values": value} for series, value in values.items()],
            "promql_expr_test": [{
                "expr": f'count by (alertname, instance) (ALERTS{{alertname="{alert}",alertstate="firing"}})', "eval_time": "45m",
                "exp_samples": [{"labels": f'{{alertname="{alert}",instance="bad"}}', "value": 1}]}]}


def test_each_alert_fires_on_what_it_is_for(tmp_path):
    promtool = tool("promtool")
    assert set(CASES) == set(alerts()) and len(CASES) > 15
    file = tmp_path / "alerts.json"         # JSON is YAML
    file.write_text(json.dumps({"rule_files": [RULES], "evaluation_interval": "1m",
                                "tests": [one_test(alert, *case) for alert, case in CASES.items()]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # It notices what doesn't fire.
    file.write_text(json.dumps({"rule_files": [RULES], "evaluation_interval": "1m",
                                "tests": [one_test("PicketSpoofing", *reversed(CASES["PicketSpoofing"]))]}))
    assert subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, check=False).returncode


# -- a server

class Prometheus:
    """A real one on the node, with our configuration but for its pace."""

    def __init__(self, node, directory):
        self.node = node
        with open(CONFIG, encoding="utf-8") as file:
            config = file.read().replace("15s", "1s").replace("picket.rules.yml", RULES)
        (directory / "prometheus.yml").write_text(config)
        with open(directory / "log", "w", encoding="utf-8") as log:
            self.process = node.popen([tool("prometheus"), f"--config.file={directory}/prometheus.yml",
                                       f"--storage.tsdb.path={directory}/data", "--web.listen-address=127.0.0.1:9090"],
                                      stdout=log, stderr=log)

    def get(self, path):
        done = self.node.run(["curl", "-sS", "--max-time", "20", f"http://127.0.0.1:9090/api/v1/{path}"], check=False)
        return json.loads(done.stdout)["data"] if done.returncode == 0 and done.stdout.startswith("{") else None

    def query(self, expr):
        """The answer's samples; an expression that it doesn't take fails."""
        return wait_for(lambda: self.get("query?" + urllib.parse.urlencode({"query": expr})), "an answer")["result"]


def selectors(expr):
    """Each metric with its matchers, as it stands in an expression."""
    return ["".join(found) for found in re.findall(r"\b((?:picket|process)_[a-z_]+|up)\b(\{[^}]*\})?", expr)]


def dashboard_exprs():
    with open(DASHBOARD, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    for target in (t for p in panels for t in p.get("targets", ())):
        yield target["expr"].replace("$instance", ".*").replace("$job", "picket").replace("$__rate_interval", "1m")


def test_a_real_prometheus_reads_picketd(make_node, tmp_path):
    """Each expression of alerts and panels is evaluated on what it read, and each of their selectors finds something."""
    node = make_node(conf={"mode": "process"})
    node.start_picketd({"nomad": None, "consul": None, "http": {"listen": LISTEN}})
    node.policy("bad.json", "{")            # a reason: picket_status_reasons has a series
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "pg")
    assert a.pings(b)
    prometheus = Prometheus(node, tmp_path)
    try:
        wait_for(lambda: prometheus.get("query?query=up"), "Prometheus", 60, 0.2)
        wait_for(lambda: [s for s in prometheus.query("up") if s["value"][1] == "1"], "its first scrape", 60, 0.2)
        wait_for(lambda: [s for s in prometheus.query('picket_job_packets_total{direction="egress",verdict="allowed",nomad_job="api"}')
                          if float(s["value"][1]) > 0], "the packets", 60, 0.2)
        wait_for(lambda: prometheus.query('picket_status_reasons{what="policy"}'), "the reason", 60, 0.2)
        for expr in [*alerts().values(), *dashboard_exprs()]:
            prometheus.query(expr)
            for selector in selectors(expr):
                wait_for(lambda s=selector: prometheus.query(s), selector, pause=0.2)
        (group,) = wait_for(lambda: [g for g in prometheus.get("rules")["groups"] if all(r["health"] == "ok" for r in g["rules"])],
                            "each rule's evaluation", 60, 0.2)
        assert {rule["name"] for rule in group["rules"]} == set(alerts())
        wait_for(lambda: prometheus.query('ALERTS{alertname="PicketPolicyRefused",alertstate="pending"}'), "the alert", pause=0.2)
        others = 'ALERTS{alertname=~"PicketDown|PicketFailing|PicketPolicyNotEnforced|PicketEndpointsNotInStep"}'
        wait_for(lambda: not prometheus.query(others), others, pause=0.2)
    finally:
        prometheus.process.terminate()
        prometheus.process.wait(timeout=60)
