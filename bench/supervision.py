"""What shims take: memory of idle containers, starts and execs through the API, processor time of probes, output."""
import os
import pathlib
import statistics
import subprocess
import time

from stack import IMAGE, Stack, pss

IDLE = int(os.environ.get("CASCO_BENCH_IDLE", "100"))  # containers; 500 want a peer with some GB to spare
PROBED, PROBES, ROUNDS, MEGABYTES = 10, 100, 3, 512
API = pathlib.Path(__file__).with_name("api.py")
TICK = os.sysconf("SC_CLK_TCK")


def family(stack):
    """The daemon and its shims."""
    found = [stack.process.pid]
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                args = (p / "cmdline").read_bytes()
            except OSError:
                continue
            if b"containerd-shim" in args and str(stack.folder).encode() in args:
                found.append(int(p.name))
    return found


def seconds(pids):
    """Processor time of these, and of their children that have ended."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total / TICK


def times(stack, what, containers, n):
    r = subprocess.run(["/usr/bin/python3", API, stack.socket, what, containers, str(n)], capture_output=True, text=True, check=False)
    if r.returncode:
        raise RuntimeError(f"{stack.name}: {what}: {r.stderr[-800:]}")
    return statistics.median(map(float, r.stdout.split()[2:]))


def bytes_a_second(stack, name):
    begin, n = time.perf_counter(), 0
    with subprocess.Popen(stack.ctr("run", "--rm", IMAGE, name, "dd", "if=/dev/zero", "bs=1M", f"count={MEGABYTES}"), env=stack.env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
        while data := p.stdout.read(1 << 20):
            n += len(data)
    if n != MEGABYTES << 20 or p.returncode:
        raise RuntimeError(f"{stack.name}: {n >> 20} of {MEGABYTES} MiB came, exit {p.returncode}")
    return n / (time.perf_counter() - begin)


def compare(report, what, stacks, measure, unit, aim=None, rounds=ROUNDS):
    pairs = [[measure(s) for s in stacks] for _ in range(rounds)]
    ours, theirs = (statistics.median(p[i] for p in pairs) for i in range(2))
    report.add(f"{what}: ours / the peer's", ours / theirs, ours, theirs, unit, aim)
    return ours, theirs


def cpu_of_probes(stack, names):
    pids = family(stack)
    before = seconds(pids)
    times(stack, "exec", names, PROBES)
    return 1e3 * (seconds(pids) - before) / PROBES


def start_idle(stack):
    names = [f"{stack.name}-{i}" for i in range(IDLE)]
    for name in names:
        stack("run", "-d", "--null-io", IMAGE, name, "sleep", "10000")
    return names


def bench_supervision(report, tmp):
    stacks = []
    try:
        for ours in (True, False):
            stacks.append(Stack(tmp, ours))
            os.environ["PATH"] = stacks[0].env["PATH"]
        for s in stacks:
            s("containers", "create", IMAGE, f"{s.name}-true", "true")
        alone, _ = compare(report, "create, start, wait, delete of true by the API", stacks, lambda s: times(s, "task", f"{s.name}-true", 22), "ms", 1 / 12)
        rates = [[bytes_a_second(s, f"{s.name}-out") for s in stacks] for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(r[i] for r in rates) / 1e6 for i in range(2))
        report.add("stdout of ctr run, time of a MB: ours / the peer's", theirs / ours, 1e3 / ours, 1e3 / theirs, "us", 1 / 2)
        few = {}
        for s in stacks:
            s("run", "-d", "--null-io", IMAGE, f"{s.name}-one", "sleep", "10000")
            few[s.name] = times(s, "exec", f"{s.name}-one", 42)
        ours, theirs = few[stacks[0].name], few[stacks[1].name]
        report.add("exec of true by the API: ours / the peer's", ours / theirs, ours, theirs, "ms", 1 / 10)
        names = {s.name: start_idle(s) for s in stacks}
        time.sleep(3)
        compare(report, f"PSS of all processes, {IDLE} idle containers", stacks, lambda s: sum(map(pss, family(s))) / 1024, "MiB", 1 / 15, 1)
        compare(report, f"processor time of an exec probe, {PROBED} containers", stacks, lambda s: cpu_of_probes(s, ",".join(names[s.name][:PROBED])), "ms", 1 / 8)
        many = times(stacks[0], "exec", f"{stacks[0].name}-one", 42)
        report.add(f"exec by the API beside {IDLE} containers: to beside one", many / few[stacks[0].name], many, few[stacks[0].name], "ms", 1.1)
        many = times(stacks[0], "task", f"{stacks[0].name}-true", 22)
        report.add(f"a task by the API beside {IDLE} containers: to alone", many / alone, many, alone, "ms", 1.1)
    finally:
        for s in stacks:
            s.stop()
