# SPDX-License-Identifier: Apache-2.0
"""A side of the bench that fails says which, when, and what is known of why; it gives no figure then."""
import contextlib
import os
import signal
import subprocess
import sys

import pytest
from harness import binary, run, wait_for
from harness.shell import TREE, build_dir

FRAMES = 2000


@contextlib.contextmanager
def two_taps():
    """Each leads into the other, in a network namespace that ends with this."""
    holder = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    try:
        own = os.stat("/proc/self/ns/net").st_ino
        wait_for(lambda: os.stat(f"/proc/{holder.pid}/ns/net").st_ino != own, "the namespace")
        inside(holder.pid, """
            ip tuntap add a mode tap vnet_hdr; ip tuntap add b mode tap vnet_hdr; ip link set dev a up; ip link set dev b up
            for pair in "a b" "b a"; do
                set -- $pair
                tc qdisc add dev $1 ingress
                tc filter add dev $1 parent ffff: protocol all u32 match u8 0 0 action mirred egress redirect dev $2
            done""")
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def inside(pid, script):
    return run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", script]).stdout


def taps(pid, *options):
    net = f"/proc/{pid}/ns/net"
    spec = f"side,{net},a,02:00:00:00:00:01,10.0.0.1,{net},b,02:00:00:00:00:02,10.0.0.2,ff:ff:ff:ff:ff:ff"
    return subprocess.Popen([binary("bench/taps"), *options, spec], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_side_that_is_whole():
    with two_taps() as pid:
        out, err = taps(pid, "--rounds", "3", "--packets", "3200").communicate(timeout=120)
        assert '"side":{"ns":[' in out and not err, err


@pytest.mark.parametrize("ended, said", [
    ("tc qdisc del dev a ingress", "32 packets did not come out within a second; 0 writes were refused;"),
    ("ip link set dev a down", "writes were refused: Input/output error;"),
])
def test_a_side_that_ends(ended, said):
    """In the midst of a round."""
    with two_taps() as pid:
        bench = taps(pid, "--rounds", "1000", "--packets", "320000")
        wait_for(lambda: int(inside(pid, "cat /proc/net/dev | sed -n 's/.*b: *//p'").split()[9]) > FRAMES, "frames to come")
        inside(pid, ended)
        out, err = bench.communicate(timeout=120)
        assert bench.returncode == 1 and not out, "no figure of it"
        assert "taps: side: round " in err and said in err and err.endswith("5 times in a row\n"), err


def test_a_row_whose_program_is_killed():
    script = f"""import sys; sys.path.insert(0, {os.path.join(TREE, "bench")!r})
import bench, subprocess
bench.ROWS = {{"D5": lambda result, build: subprocess.run(["sh", "-c", "kill -9 $$"], check=True)}}
sys.argv = ["bench", "--build", {build_dir()!r}, "--only", "D5"]
bench.report.Report.write = lambda self, path: None
sys.exit(bench.main())"""
    done = run([sys.executable, "-B", "-c", script], check=False)
    assert done.returncode == 1 and "bench: D5: " in done.stderr and f"died with {signal.SIGKILL!r}" in done.stderr, done.stderr
