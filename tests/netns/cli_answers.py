# SPDX-License-Identifier: Apache-2.0
"""What the fake picketd of the CLI's screens answers: docs/api.md's shapes, some names hostile."""

HOSTILE = "a\u001b[2J\u202ejob\n<script>\u007f"


def endpoint(number, namespace, job, group, **more):
    ident = f"{number:08x}-1111-4222-8333-444455556666"
    return {"containerId": ident, "ifname": "eth0", "slot": number, "network": "picket",
            "state": "open", "quarantined": False, "name": f"{namespace}/{job}/{group}",
            "namespace": namespace, "job": job, "group": group, "alloc": ident, "confirmed": "yes",
            "labels": [f"nomad:group={group}", f"nomad:job={job}", f"nomad:namespace={namespace}"],
            "unknown": [], "addresses": [f"10.40.7.{number}", f"fd40::7:{number:x}"],
            "mac": f"02:70:1a:2b:3c:{number:02x}", "mode": "vm", "hostDevice": f"pk{number}",
            "hostIfindex": 30 + number, "netns": f"/var/run/netns/{ident}", "identity": number,
            "tenant": 2, "ruleSet": 4, "revision": 42, "audit": False, "ports": {"http": "8080"},
            "checks": ["8080/tcp"], "published": ["24722:22/tcp"], "services": ["api"],
            "policies": ["file/db-only-from-api"], "epochMatches": True, **more}


ENDPOINTS = [endpoint(12, "acme", "api", "web"), endpoint(31, "acme", "db", "pg", unknown=["meta:*"]),
             endpoint(40, "beta", "größe", "srv", state="closed"),
             endpoint(41, "n" * 128, HOSTILE, "g", confirmed="no"),
             endpoint(42, None, None, None, name="?/?/?", quarantined=True, labels=["reserved:init"])]

STATUS = {
    "version": "0.1.0", "node": "vm-17", "cluster": "default", "pid": 812, "state": "degraded",
    "reasons": [{"what": "policy", "text": "2 documents refused, last good version in force",
                 "fix": "picket policy list -refused"}],
    "startedAt": "2026-11-23T08:00:00.000Z", "uptimeSeconds": 532800, "baseline": "tenant",
    "enforcement": {"loaded": True, "epoch": "9f31", "layout": 2, "error": None},
    "policyRevision": 42, "policyAppliedAt": "2026-11-23T14:03:00.120Z", "applySeconds": 0.0031,
    "sources": [{"name": "nomad", "state": "ok", "lastContact": "2026-11-23T14:13:39.700Z",
                 "index": 918224, "detail": "node 7a94ec5f, 3 allocs", "errors": 0, "lastError": None},
                {"name": "files", "state": "refused", "lastContact": "2026-11-23T14:10:00.000Z",
                 "index": 0, "detail": "11 of 13 documents", "errors": 2, "lastError": None}],
    "documents": {"active": 11, "refused": 2, "unresolved": 0, "audit": 1},
    "endpoints": {"open": 118, "closed": 0, "quarantined": 0, "unconfirmed": 2, "contradicted": 0,
                  "orphans": 0},
    "ruleSets": 7, "tables": [{"name": "verdicts", "used": 3911, "size": 65536},
                              {"name": "flows", "used": 18204, "size": 1048576}],
    "events": {"seen": 120391, "lost": 0, "subscribers": 1}}

POLICIES = [
    {"source": "file", "name": "db-only-from-api", "path": "/etc/picket/policies.d/db.json",
     "namespace": "acme", "tier": "tenant", "state": "active", "inForce": True, "enforced": "1 of 2 endpoints",
     "since": "2026-11-23T14:03:00.000Z", "sha": "9f31c0", "rules": 3, "selects": 2, "errors": [],
     "warnings": []},
    {"source": "consul/tenant/beta", "name": HOSTILE, "path": "consul:x", "namespace": "beta",
     "tier": "tenant", "state": "refused", "inForce": False, "enforced": "no", "since": None, "sha": None, "rules": 0,
     "selects": 0, "warnings": [],
     "errors": [{"line": 9, "column": 15, "path": ".rules[0].egress[0].toEntity",
                 "text": "unknown key, did you mean \"toEntities\"?"}]}]


def side(ip, port=None, name=None, **more):
    return {"name": name or "world", "ip": ip, "port": port, "identity": 0, "labels": [], **more}


def flow(number, source, destination, **more):
    return {"time": f"2026-11-23T14:13:{number:02}.122Z", "node": "vm-17", "verdict": "denied",
            "audit": None, "reason": "policy-denied", "direction": "egress", "policy": None,
            "rule": None, "tier": "tenant", "kind": "default", "revision": 42, "source": source,
            "destination": destination, "protocol": "tcp", "tcpFlags": "S", "icmpType": None,
            "icmpCode": None, "ethertype": 2048, "bytes": 60, "packets": 1, "lost": 0, **more}


API = side("10.40.7.12", 51544, "acme/api/web", namespace="acme", job="api", group="web",
           alloc="0000000c-1111-4222-8333-444455556666", identity=12,
           labels=["nomad:job=api", "meta:tier=web"])
DB = side("10.40.7.31", 5432, "acme/db/pg", namespace="acme", job="db", group="pg",
          alloc="0000001f-1111-4222-8333-444455556666", identity=31, labels=["nomad:job=db"])
EVIL = side("10.40.7.41", 4000, f"evil/{HOSTILE}/g", namespace="evil", job=HOSTILE, group="g",
            alloc="00000029-1111-4222-8333-444455556666", identity=41)
FLOWS = [
    flow(1, API, side("203.0.113.7", 443)),
    flow(2, API, DB, verdict="allowed", reason="ok", direction="ingress",
         policy="file/db-only-from-api", kind="allow",
         rule={"number": 77, "line": 9, "description": "api may query the database", "log": None}),
    flow(3, EVIL, DB, direction="ingress"),
    flow(4, side("fd40::7:c", None, "acme/api/web", namespace="acme", job="api", group="web"),
         side("fe80::1", None, "host"), protocol="icmpv6", reason="spoofed-nd", tier="builtin"),
    flow(5, API, DB, verdict="allowed", audit="denied", reason="ok", direction="ingress"),
    {"time": "2026-11-23T14:13:06.000Z", "lostEvents": 1204, "cause": "ring", "sinceSeconds": 1.0}]

ANSWERS = {
    "/v1/status": STATUS,
    "/v1/endpoints": {"endpoints": ENDPOINTS},
    "/v1/policies": {"policies": POLICIES},
    "/v1/identities": {"identities": [{"identity": 9, "tenant": 2, "namespace": "acme",
                                       "labels": ["nomad:job=api", HOSTILE], "unknown": ["meta:*"],
                                       "endpoints": 1, "ruleSet": 4}]},
    "/v1/counters": {"counters": [{"slot": 12, "containerId": "c", "name": "acme/api/web",
                                   "direction": "egress", "reason": "policy-denied", "packets": 61,
                                   "bytes": 3660}]},
    "/v1/nodes": {"nodes": [{"name": "vm-17", "state": "this", "since": "2026-11-23T14:13:01.305Z", "endpoints": 5,
                             "blocks": ["10.40.7.0/24", "fd40::/64"], "addresses": ["192.0.2.17"], "reach": None, "reachSince": None,
                             "roundTripMs": None, "lastRoundTripMs": None, "probes": 0, "probesLost": 0, "policy": "current",
                             "policyIndex": 77, "policyDigest": "0123", "policySince": "2026-11-23T14:13:02.000Z",
                             "refused": 0, "why": None},
                            {"name": HOSTILE, "state": "stale", "since": "2026-11-23T13:13:01.305Z", "endpoints": 1,
                             "blocks": ["10.40.8.0/24"], "addresses": [], "reach": "silent", "reachSince": "2026-11-23T14:12:01.000Z", "roundTripMs": 0.412,
                             "lastRoundTripMs": None, "probes": 32, "probesLost": 5, "policy": "lags", "policyIndex": 70,
                             "policyDigest": "4567", "policySince": "a\x1b[2J", "refused": 1,
                             "why": f"10.40.7.40 of {HOSTILE} is another node's, whose word was first"}]},
    "/v1/flows": FLOWS}
