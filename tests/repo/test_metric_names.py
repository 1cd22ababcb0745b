# SPDX-License-Identifier: Apache-2.0
"""Alerts, dashboard and pages name metrics and labels that the code's table has."""
import json
import os
import re

from harness.metrics import table

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SELECTOR = re.compile(r"\b((?:picket|process)_[a-z_]+)(?:\{([^}]*)\})?")
OF_THE_SCRAPE = {"job", "instance"}


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def wrong(expr):
    """What of a PromQL expression the table doesn't have."""
    metrics = table()
    for name, matchers in SELECTOR.findall(expr):
        plain = re.sub(r"_(bucket|sum|count)$", "", name) if name not in metrics else name
        if plain not in metrics or (plain != name and metrics[plain][0] != "histogram"):
            yield name
            continue
        known = set(metrics[plain][1]) | OF_THE_SCRAPE | ({"le"} if name.endswith("_bucket") else set())
        for label in re.findall(r"([a-z_]+)\s*[=!]~?\s*\"", matchers):
            if label not in known:
                yield f"{name}{{{label}}}"


def dashboard_exprs():
    def walk(value):
        if isinstance(value, dict):
            if "expr" in value:
                yield value["expr"]
            for part in value.values():
                yield from walk(part)
        elif isinstance(value, list):
            for part in value:
                yield from walk(part)
    dashboard = json.loads(read("examples/grafana/picket.json"))
    queries = [v["query"]["query"] for v in dashboard["templating"]["list"] if isinstance(v["query"], dict)]
    return [*walk(dashboard["panels"]), *queries]


def test_the_dashboard_names_what_there_is():
    exprs = dashboard_exprs()
    assert len(exprs) > 30 and not [w for expr in exprs for w in wrong(expr)]
    assert list(wrong('rate(picket_job_bytes_total{tenant="a"}[5m]) / picket_nothing'))     # it can fail


def test_the_dashboard_shows_each_metric():
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for expr in dashboard_exprs() for name, _ in SELECTOR.findall(expr)}
    assert not set(table()) - shown - {"process_start_time_seconds", "picket_enforcement_loaded", "picket_events_total"}


def test_panels_have_a_title_and_a_place_of_their_own():
    panels = json.loads(read("examples/grafana/picket.json"))["panels"]
    cells = [(x, y) for p in panels for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
             for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])]
    assert len(cells) == len(set(cells)) and all(p["title"] for p in panels)
    assert len({p["id"] for p in panels}) == len(panels)


def test_alerts_name_what_there_is():
    rules = read("examples/prometheus/picket.rules.yml")
    exprs = re.findall(r"^        expr: (.*(?:\n {10}.*)*)", rules, re.M)
    assert len(exprs) == rules.count("- alert:") > 15
    assert not [w for expr in exprs for w in wrong(expr)]


def test_the_page_names_what_there_is():
    assert not list(wrong(" ".join(re.findall(r"`([^`]*)`", read("docs/metrics.md")))))
