"""What a daemon takes: calls a second, and a hundred containers that start at once."""
import re
import statistics
import subprocess
import time

from stack import IMAGE, Stack

CONTAINERS, AT_ONCE, ROUNDS = 1000, 100, 3
EMPTY = b"\0\0\0\0\0"  # gRPC's prefix: not compressed, no bytes


def calls_a_second(stack, method, calls, reply):
    """By nghttp2's h2load: one connection, 16 calls at a time, each with an empty message, and windows as
    a client in Go has them after its first large replies (with HTTP/2's own 64 KiB it is the changes
    between two processes that are measured).  A reply with less than so many bytes is an error, which
    for HTTP is a success."""
    body = stack.folder / "empty"
    body.write_bytes(EMPTY)
    r = subprocess.run(["h2load", "-B", f"unix:{stack.socket}", "-p", "h2c", "-c", "1", "-m", "16", "-w", "22", "-W", "24", "-n", str(calls), "-d", body,
                        "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "containerd-namespace: load",
                        f"http://localhost/{method}"], check=True, capture_output=True, text=True).stdout
    size = re.search(r"\((\d+)\) data", r)
    if f" {calls} succeeded" not in r or int(size[1]) < calls * reply:
        raise RuntimeError(f"{method} failed: {r}")
    return float(re.search(r"([\d.]+) req/s", r)[1])


def compare_calls(report, stacks, what, method, calls, reply):
    for s in stacks:
        calls_a_second(s, method, calls, reply)
    pairs = [[calls_a_second(s, method, calls, reply) for s in stacks] for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(p[i] for p in pairs) for i in range(2))
    report.add(f"time of a call, {what}: ours / Debian's", theirs / ours, 1e6 / ours, 1e6 / theirs, "us", 0.5)


def start_many(stack):
    """Seconds until all of them run; the end of them is not counted."""
    names = [f"many{i}" for i in range(AT_ONCE)]
    begin = time.perf_counter()
    jobs = [subprocess.Popen(stack.ctr("run", "-d", "--cgroup", f"/{stack.name}-{n}", IMAGE, n, "sleep", "1000"), env=stack.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for n in names]
    try:
        errors = [j.communicate()[1] for j in jobs if j.wait()]
    finally:
        for j in jobs:
            j.kill()  # of one that has ended it is nothing
            j.wait()
    took = time.perf_counter() - begin
    lines = stack("tasks", "ls").splitlines()
    running = sum("RUNNING" in line for line in lines)
    for n in names:
        subprocess.run(stack.ctr("task", "rm", "-f", n), env=stack.env, capture_output=True, check=False)
        subprocess.run(stack.ctr("container", "rm", n), env=stack.env, capture_output=True, check=False)
    if errors or running != AT_ONCE:
        raise RuntimeError(f"{stack.name}: {running} of {AT_ONCE} run; {errors[:1]}")
    return took


def bench_load(report, tmp):
    stacks = []
    try:
        for ours in (True, False):
            stacks.append(Stack(tmp, ours))
        compare_calls(report, stacks, "Version", "containerd.services.version.v1.Version/Version", 10000, 10)
        for s in stacks:
            for i in range(CONTAINERS):
                s("-n", "load", "containers", "create", "--rootfs", s.folder, f"c{i}", "true")
        compare_calls(report, stacks, f"Containers.List of {CONTAINERS}", "containerd.services.containers.v1.Containers/List",
                      100, 100 * CONTAINERS)
        pairs = [[start_many(s) for s in stacks] for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(p[i] for p in pairs) for i in range(2))
        report.add(f"{AT_ONCE} containers at once: ours / Debian's", ours / theirs, ours, theirs, "s", 1 / 8)
    finally:
        for s in stacks:
            s.stop()
