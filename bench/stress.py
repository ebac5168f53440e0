"""containerd-stress, the original's own load program (tests/parity/stress.py builds it), on either daemon in turns."""
import json
import os
import shutil
import statistics
import subprocess
import sys

from measure import TOP
from stack import PEER, Stack

sys.path.insert(0, str(TOP / "tests" / "integration"))
import registry  # noqa: E402 (found through the line above)

SECONDS, ROUNDS = 8, 3
PASSWD = b"root:x:0:0:root:/:/bin/sh\ngames:x:35:35:games:/:/bin/sh\n"  # it runs execs as this user


def run(program, stack, image, *more):
    r = subprocess.run([program, "--address", stack.socket, "--image", image, "--json", *map(str, more)], env=stack.env,
                       capture_output=True, text=True, check=True)
    return json.loads(r.stdout)


def rate(program, stack, image, concurrent):
    """Containers, or containers and execs, a second; the failures."""
    r = run(program, stack, image, "--duration", f"{SECONDS}s", "--concurrent", concurrent)
    return r["containersPerSecond"], r["failures"]


def exec_rate(program, stack, image, concurrent):
    r = run(program, stack, image, "--duration", f"{SECONDS}s", "--concurrent", concurrent, "--exec")
    return r["execTotal"] / r["seconds"], r["failures"] + r["execFailures"]


def density(program, stack, image):
    """Of their shims, in KiB."""
    r = subprocess.run([program, "--address", stack.socket, "--image", image, "density", "--count", "20"], env=stack.env,
                       capture_output=True, text=True, check=True)
    return json.loads(r.stdout)["pssPerContainer"]


def compare(report, stacks, what, measure, *args):
    pairs = [[measure(args[0], s, *args[1:]) for s in stacks] for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(p[i][0] for p in pairs) for i in range(2))
    failures = sum(p[i][1] for p in pairs for i in range(2))
    report.add(f"containerd-stress, {what}: ours / Debian's", theirs / ours, 1e3 / ours, 1e3 / theirs, "ms", None, failures)
    if failures:
        print(f"failures, ours and theirs in turns: {[[p[i][1] for i in range(2)] for p in pairs]}", flush=True)


def bench_stress(report, tmp):
    program = shutil.which("containerd-stress", path=f"{PEER}:{os.environ['PATH']}")
    if not program:
        print("containerd-stress is left out: neither in CASCO_PEER nor in PATH", flush=True)
        return
    stacks = []
    images = registry.Registry(tmp / "registry")
    try:
        images.push("library/alpine", "latest", [registry.busybox_layer(),
                                                 registry.layer([("etc/passwd", PASSWD), ("etc/group", b"games:x:35:\n")])])
        image = f"{images.host}/library/alpine:latest"
        for ours in (True, False):
            stacks.append(Stack(tmp, ours))
        for concurrent in (1, 10):
            compare(report, stacks, f"a container, {concurrent} at once", rate, program, image, concurrent)
        compare(report, stacks, "an exec", exec_rate, program, image, 1)
        ours, theirs = (density(program, s, image) for s in stacks)
        report.add("containerd-stress, PSS of a shim of 20: ours / Debian's", ours / theirs, ours, theirs, "KiB")
    finally:
        for s in stacks:
            s.stop()
        images.stop()
