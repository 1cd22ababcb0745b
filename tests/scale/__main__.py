# SPDX-License-Identifier: Apache-2.0
"""`sudo make scale`: what one node of a thousand costs. The figures of docs/performance.md are bench rows C2 and C5."""
import argparse
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from scale.measure import cost  # noqa: E402
from scale.world import Size  # noqa: E402

MIB = 1 << 20


def main():
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    for name in "nodes", "endpoints", "tenants":
        parser.add_argument(f"--{name}", type=int, default=getattr(Size, name))
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("scale: it makes a network namespace; fix: sudo make scale")
    os.environ["PICKET_BUILD"] = os.path.abspath(options.build)
    size = Size(nodes=options.nodes, endpoints=options.endpoints, tenants=options.tenants)
    print(f"seed {options.seed}: {size.nodes:,} nodes, {size.endpoints:,} endpoints of {size.tenants:,} tenants, {size.hosted} of them on the real node", flush=True)
    found = cost(size, options.seed, options.seconds)
    for name, (requests, count) in sorted(found["kinds"].items()):
        print(f"  {name:<22} {requests:>6} requests {count:>12,} bytes")
    print(f"in {found['seconds']:.0f} s; an hour: {found['bytes'] / MIB:,.0f} MiB in {found['requests']:,.0f} requests; with every tenant's endpoints "
          f"{found['whole'] / MIB:,.0f} MiB ({found['bytes'] / found['whole']:.1%} of it), by one question for all {found['one'] / MIB:,.0f} MiB")
    turns = found["turns"]
    print(f"processor {found['cpu']:.2%} of one, resident {statistics.median(found['memory']) / MIB:.1f} MiB; longest turn since its start "
          f"{turns['longestTurnMs']:.1f} ms ({turns['longestTurnCpuMs']:.1f} of work), {turns['turnsOver50Ms']} over 50 ms")


if __name__ == "__main__":
    main()
