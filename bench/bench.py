#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the rows of docs/performance.md, each interleaved with its peer in one run."""
import argparse
import os
import subprocess
import sys

import report
import row_churn
import row_cni
import row_connect
import row_control
import row_fabric
import row_guest
import row_hostile
import row_memory
import row_path
import row_neighbour
import row_policy
import row_reliable
import row_scale
import row_scrape
import row_verdict
from harness.shell import Failed  # sides says where it is

ROWS = {"C3": row_cni.add, "C4": row_cni.delete, "C7": row_churn.churn, "D5": row_path.tap_to_tap,
        "D9": row_path.host_tap}
ROWS.update({"D1": row_verdict.established, "D2": row_verdict.others, "D3": row_verdict.filled,
             "D4": row_verdict.denied, "D10": row_verdict.hosts_own, "D12": row_verdict.flow_life})
ROWS.update({"D6": row_path.large_frames, "D7": row_path.two_threads, "D8": row_connect.connections,
             "D11": row_connect.masqueraded, "M1": row_guest.lease})
ROWS.update({"C1": row_control.memory, "C6": row_control.start})
ROWS.update({"R1": row_reliable.reliable, "R3": row_neighbour.neighbour, "M3": row_reliable.burst})
ROWS["R9"] = row_memory.unread
ROWS["R10"] = row_scrape.measure
ROWS.update({"C2": row_scale.changes, "C5": row_scale.thousand})
ROWS.update({"N1": row_fabric.overlay, "N6": row_fabric.across})
ROWS.update(row_policy.ROWS)
ROWS.update({"R7": row_hostile.hostile, "R8": row_hostile.hostile})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", help="one row, or several with commas: C3,D5")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(ROWS)
    if {"R7", "R8"} <= set(wanted):
        wanted.remove("R8")     # one run gives both
    for row in wanted:
        if row not in ROWS:
            sys.exit(f"bench: there is no row {row}; rows: {' '.join(ROWS)}")
    if os.geteuid():
        sys.exit("bench: it makes network namespaces; fix: sudo make bench")
    result = report.Report()
    print(report.HEAD)
    failed = False
    for row in wanted:
        try:
            ROWS[row](result, options.build)
        except (Failed, subprocess.CalledProcessError) as why:
            failed = True
            print(f"bench: {row}: {why}", file=sys.stderr)
        result.write(os.path.join(options.build, "bench.json"))
    print(f"written: {options.build}/bench.json")
    return 0 if result.ok() and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
