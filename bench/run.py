#!/usr/bin/env python3
"""Measure casco against its peers and against the kernel's floor: ratios from one run.

    bench/run.py [runc] [ctr] [load] [pull] [stress] [supervision] [memory] [sizes] [all]

Prints a line a row and writes build/bench/table.md and plot.svg.  Needs root, and Debian's packages
runc, crun, containerd, nghttp2-client and golang-github-containers-common for the rows of peers.
CASCO_PEER is a folder with another containerd, ctr, shim, runc and crun than Debian's."""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import runtime
from load import bench_load
from measure import BIN, Report, TOP
from pull import bench_pull
from stack import bench_ctr, bench_memory
from stress import bench_stress
from supervision import bench_supervision


def bench_sizes(report, _):
    total = [0, 0]
    for name, peer in (("runc", "/usr/sbin/runc"), ("containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2"),
                       ("containerd", "/usr/bin/containerd"), ("ctr", "/usr/bin/ctr"), ("containerd-transfer", None)):
        ours = (BIN / name).stat().st_size
        theirs = os.path.getsize(peer) if peer and os.path.exists(peer) else 0
        total[0] += ours
        total[1] += theirs
        if theirs:
            report.add(f"size of {name}: ours / Debian's", ours / theirs, ours >> 10, theirs >> 10, "KiB",
                       (900 << 10) / theirs if name == "runc" else None)
    report.add("size of all programs: ours / Debian's", total[0] / max(total[1], 1), total[0] >> 10, total[1] >> 10, "KiB")


def hide_run():
    """A tmpfs on /run, for us and what we start: where systemd runs it is one, and both daemons' state lies there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000):  # CLONE_NEWNS
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))  # so that what was begun is undone
    report = Report()
    if sys.argv[1:2] == ["--inner"]:
        return runtime.inner(report, pathlib.Path(sys.argv[3]))
    known = {"runc": runtime.bench, "ctr": bench_ctr, "load": bench_load, "pull": bench_pull, "stress": bench_stress, "supervision": bench_supervision, "memory": bench_memory,
             "sizes": bench_sizes}
    names = sys.argv[1:] or ["all"]
    if names == ["all"]:
        names = list(known)
    if not set(names) <= set(known):
        sys.exit(__doc__)
    hide_run()
    for name in names:
        # the runtimes' state is in /run on an ordinary machine, a tmpfs; a daemon's is on a disk
        in_memory = name == "runc" and os.path.isdir("/dev/shm")
        tmp = pathlib.Path(tempfile.mkdtemp(prefix="casco-bench-", dir="/dev/shm" if in_memory else None))
        try:
            known[name](report, tmp)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
    report.write(TOP / "build" / "bench")
    return None


if __name__ == "__main__":
    main()
