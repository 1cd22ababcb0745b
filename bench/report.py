# SPDX-License-Identifier: Apache-2.0
"""Rows of figures: medians, ratios, targets; build/bench.json and a table on the terminal."""
import json
import os
import statistics


class Report:
    def __init__(self):
        self.rows = []

    def add(self, row_id, what, ours, peer=None, peer_name=None, target=None, unit="ns", limit=None):
        """ours and peer are lists of figures, one a sample; target is the highest ratio that
        holds (or, with limit, the highest own figure; a negative one is the lowest)."""
        mine = statistics.median(ours)
        row = {"id": row_id, "what": what, "ours": mine, "unit": unit, "spread": spread(ours),
               "samples": len(ours), "peer": None, "peer_name": peer_name, "ratio": None,
               "target": target if target is not None else limit, "holds": None}
        if peer:
            row["peer"] = statistics.median(peer)
            row["ratio"] = mine / row["peer"]
            row["peer_spread"] = spread(peer)
        if target is not None and peer:
            row["holds"] = row["ratio"] <= target if target > 0 else row["ratio"] >= -target
        elif limit is not None:
            row["holds"] = mine <= limit if limit >= 0 else mine >= -limit
        self.rows.append(row)
        print(line(row), flush=True)

    def skip(self, row_id, why):
        """A row that this machine can't give."""
        self.rows.append({"id": row_id, "holds": None, "why": why})
        print(f"{row_id:<12} not taken: {why}", flush=True)

    def write(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w") as f:
            json.dump({"rows": self.rows}, f, indent=1)
            f.write("\n")
        os.rename(path + ".new", path)

    def ok(self):
        return all(row["holds"] is not False for row in self.rows)


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def spread(values):
    """Half of the distance between the quartiles, as a share of the median."""
    if len(values) < 4:
        return None
    q = statistics.quantiles(values, n=4)
    return round((q[2] - q[0]) / 2 / q[1], 3) if q[1] else None


def shown(value, unit):
    if value is None:
        return "-"
    if unit == "ns":
        for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.0f} ns"
    if unit == "bytes":
        return f"{value / 1048576:.3g} MiB"
    return f"{value:.4g} {unit}"


HEAD = f"{'Row':<12} {'Ours':>10} {'Peer':>10} {'Ratio':>7} {'Target':>7}  {'Holds':<5} What"


def line(row):
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.3f}"
    target = "-" if row["target"] is None else f"{abs(row['target']):.4g}"
    if row["target"] is not None and row["ratio"] is None:
        target = shown(abs(row["target"]), row["unit"])
    holds = {True: "yes", False: "NO", None: "-"}[row["holds"]]
    against = f" ({row['peer_name']})" if row["peer_name"] else ""
    return (f"{row['id']:<12} {shown(row['ours'], row['unit']):>10} {shown(row['peer'], row['unit']):>10} "
            f"{ratio:>7} {target:>7}  {holds:<5} {row['what']}{against}")
