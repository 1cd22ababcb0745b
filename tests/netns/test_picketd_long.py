# SPDX-License-Identifier: Apache-2.0
"""Answers of picketd that grow with what there is."""
import http.client
import json
import os
import signal
import socket
import threading

from harness.shell import wait_for


def test_long_answers_are_whole(node):
    """They are made in parts of a turn: many readers at once, some that go away, documents and endpoints that change."""
    node.start_picketd()
    directory = node.path("etc/picket/policies.d")
    rule = json.dumps({"endpointSelector": {"matchLabels": {"nomad:job": "x"}}, "ingress": [{}]})
    for i in range(1500):
        with open(os.path.join(directory, f"d{i:04}.json"), "w", encoding="utf-8") as file:
            file.write(rule)
    wait_for(lambda: len(node.api("/v1/policies")["policies"]) == 1500, "all of them", 120)
    for i in range(8):
        node.add("acme", f"j{i}", "g")
    answers, paths = [], ["/v1/policies", "/v1/endpoints", "/v1/status", "/v1/counters"]

    def read(path):
        answers.append((path, node.api(path)))

    readers = [threading.Thread(target=read, args=(path,)) for path in paths * 6]
    for reader in readers:
        reader.start()
    for _ in range(10):			# who goes away before the answer is there
        gone = socket.socket(socket.AF_UNIX)
        gone.connect(node.path("run/picket/picketd.sock"))
        gone.sendall(b"GET /v1/policies HTTP/1.1\r\nHost: x\r\n\r\n")
        gone.close()
    node.policy("d0001.json", None)
    last = node.add("acme", "last", "g")
    for reader in readers:
        reader.join()
    assert len(answers) == len(readers)
    for path, answer in answers:
        if path == "/v1/policies":
            names = [p["name"] for p in answer["policies"] if p["state"] != "deleted"]
            assert len(names) == len(set(names)) >= 1499
        if path == "/v1/endpoints":
            slots = [e["slot"] for e in answer["endpoints"]]
            assert len(slots) == len(set(slots)) >= 8
        if path == "/v1/status":
            assert {t["name"] for t in answer["tables"]} >= {"verdicts", "flows", "cidr"}
    assert last.id in [e["containerId"] for e in node.api("/v1/endpoints")["endpoints"]]
    # Who reads all of it when picketd ends is told, and picketd ends.
    def late():
        try:
            node.api("/v1/policies", check=False)
        except (OSError, ValueError, http.client.HTTPException):
            pass			# it was cut off

    reader = threading.Thread(target=late)
    reader.start()
    assert node.kill_picketd(signal.SIGTERM) == 0
    reader.join()
