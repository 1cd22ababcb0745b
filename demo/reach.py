# SPDX-License-Identifier: Apache-2.0
"""Who reaches whom, as the guests see it, with the reason that the controller reports."""
import json

from harness import Failed, wait_for

PROTOCOLS = ("ping", "tcp")
_WIRE = {"ping": "icmp", "tcp": "tcp"}
PORT = 8080


class Cell:
    """One probe's outcome."""

    def __init__(self, verdict, reason, rule=""):
        self.verdict, self.reason, self.rule = verdict, reason, rule

    def __eq__(self, other):
        return (self.verdict, self.reason) == (other.verdict, other.reason)


def denials(node, start):
    """Those since that time that picketd knows of, newest last."""
    answer = node.api_text("/v1/flows?last=2000")
    records = [json.loads(line) for line in answer.splitlines() if line.strip()]
    return [r for r in records if r.get("verdict") == "denied" and r["time"] >= start]


def _is_probe(event, source, target, protocol):
    """The source's question, not its word to whoever asked it."""
    asked = event["destination"] or {}
    return ((event["source"] or {}).get("ip") == source and asked.get("ip") == target
            and event["protocol"] == _WIRE[protocol]
            and (protocol != "tcp" or asked.get("port") == PORT))


def reason(events, source, target, protocol):
    for event in reversed(events):
        if _is_probe(event, source, target, protocol):
            return Cell("denied", event["reason"], event.get("policy") or event.get("kind") or "")
    return None


def table(node, guests, targets):
    """
    {(from, to, protocol): Cell}, all asked at once from inside the guests. guests: name -> Guest,
    targets: name -> address. Denials wait for the controller's word on why.
    """
    start = node.now()
    asked = {}
    for name, guest in guests.items():
        for target, address in targets.items():
            if target != name:
                for protocol in PROTOCOLS:
                    words = [protocol, address] + ([str(PORT)] if protocol == "tcp" else [])
                    asked[name, target, protocol] = guest.start(*words)
    cells = {key: guests[key[0]].wait(question, 60)[0] == "ok" for key, question in asked.items()}
    for key, reached in cells.items():
        cells[key] = Cell("allowed", "ok") if reached else None

    def explained():
        events = denials(node, start)
        for (source, target, protocol), cell in cells.items():
            if cell is None:
                cells[source, target, protocol] = reason(
                    events, targets[source], targets[target], protocol)
        return all(cells.values())

    try:
        wait_for(explained, "the reasons", timeout=60, pause=0.2)
    except Failed:
        pass
    return {key: cell or Cell("denied", "?") for key, cell in cells.items()}


def show(screen, cells):
    """A row a pair, a column a protocol."""
    screen.say(f"{'from':<10} {'to':<10} {'ping':<26} tcp {PORT}")
    for source, target in dict.fromkeys(key[:2] for key in cells):
        row = f"{source:<10} {target:<10} "
        for protocol in PROTOCOLS:
            cell = cells[source, target, protocol]
            row += screen.verdict(cell.verdict) + f" {cell.reason:<17} "
        screen.say(row.rstrip())


def changes(before, after):
    """Keys whose verdict or reason differs."""
    return [key for key in before if before[key] != after[key]]
