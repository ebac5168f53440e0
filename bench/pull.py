"""Pulls of three images from a registry on loopback: wall time, processor time of everybody, peak memory; the
machine's own limit for the same layers; imports of the same as archives, and a push.

Before each pull the image is gone from the daemon, with its blobs and snapshots."""
import contextlib
import gzip
import io
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import threading
import time

from measure import TOP
from stack import Stack

sys.path.insert(0, str(TOP / "tests" / "integration"))
import registry  # noqa: E402 (found through the line above)

ROUNDS, MIB, AT_ONCE = 3, 1 << 20, 20
TICK = os.sysconf("SC_CLK_TCK")


def data_of(n, seed):
    """As compressible as programs are: a half of random bytes, the rest of words."""
    r = random.Random(seed)
    words = [r.randbytes(r.randint(3, 12)) for _ in range(2000)]
    out = io.BytesIO()
    while out.tell() < n:
        out.write(r.randbytes(2048))
        out.write(b"".join(r.choices(words, k=280)))
    return out.getvalue()[:n]


def layer(sizes, seed):
    """A tar of files of these sizes."""
    pool, out = data_of(8 * MIB, seed), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for i, n in enumerate(sizes):
            info = tarfile.TarInfo(f"d{seed}/{i // 200}/f{i}")
            info.size, info.mode = n, 0o644
            at = (i * 4099) % (len(pool) - n if n < len(pool) else 1)
            body = pool[at:at + n] if n < len(pool) else (pool * (n // len(pool) + 1))[:n]
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def images():
    r = random.Random(1)
    yield "large", [layer([20 * MIB] * 10, 1)]
    yield "mixed", [layer([r.randint(1000, 400000) for _ in range(r.randint(5, 120))], seed) for seed in range(2, 16)]
    yield "files", [layer([r.randint(0, 4000) for _ in range(40000)], 20)]


def cpu_of(pid):
    """Seconds of a process and of those that it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(n) for n in fields[11:15]) / TICK


def children():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


def forget(stack, ref):
    subprocess.run(stack.ctr("images", "rm", "--sync", ref), env=stack.env, check=True, capture_output=True)
    for _ in range(200):
        if not stack("content", "ls", "-q").split() and len(stack("snapshots", "ls").splitlines()) == 1:
            break
        time.sleep(0.05)
    os.sync()


def pull(stack, ref, at_once=1):
    """Seconds of wall and processor time."""
    daemon, clients, begin = cpu_of(stack.process.pid), children(), time.perf_counter()
    jobs = [subprocess.Popen(stack.ctr("images", "pull", "--plain-http", ref), env=stack.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(at_once)]
    for j in jobs:
        if j.wait():
            raise RuntimeError(f"{stack.name}: {j.stderr.read().decode()}")
    return time.perf_counter() - begin, cpu_of(stack.process.pid) - daemon + children() - clients


def kib(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def workers_of(pid):
    """Of any of its threads."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += task.read_text().split()
    return found


def peak(stack, ref):
    """KiB that daemon and worker had at most while one image was pulled, and what the daemon has kept of it."""
    daemon, most, stop = stack.process.pid, {}, threading.Event()
    before = kib(daemon, "VmRSS")
    pathlib.Path(f"/proc/{daemon}/clear_refs").write_text("5")

    def look():
        while not stop.wait(0.005):
            for pid in workers_of(daemon):
                with contextlib.suppress(OSError):
                    most[pid] = max(most.get(pid, 0), kib(pid, "VmHWM"))
    watcher = threading.Thread(target=look)
    watcher.start()
    pull(stack, ref)
    stop.set()
    watcher.join()
    return kib(daemon, "VmHWM") + sum(most.values()), kib(daemon, "VmRSS") - before


def timed(stack, *args):
    begin = time.perf_counter()
    stack(*args)
    return time.perf_counter() - begin


def bench_import(report, tmp, stacks, name, ref):
    archive = tmp / f"{name}.tar"
    pull(stacks[0], ref)
    stacks[0]("images", "export", archive, ref)
    forget(stacks[0], ref)
    rounds = []
    for _ in range(ROUNDS):
        rounds.append([])
        for s in stacks:
            rounds[-1].append(timed(s, "images", "import", archive))
            forget(s, ref)
    ours, theirs = (statistics.median(r[i] for r in rounds) for i in range(2))
    report.add(f"import of {name}: ours / Debian's", ours / theirs, ours * 1e3, theirs * 1e3, "ms", 1 / 3)
    archive.unlink()


def bench_push(report, stack, server, ref, data):
    """Of one layer that the registry has not, against the same bytes sent to it by nothing but a client of HTTP."""
    packed = gzip.compress(data, 6)
    pull(stack, ref)
    ours, least = [], []
    for i in range(ROUNDS):
        begin = time.perf_counter()
        server.put_blob(f"bench/sent-{i}", packed)
        least.append(time.perf_counter() - begin)
        # blobs are shared between its repositories on the disk: another registry's worth of work each time
        for folder in (server.folder / "data").glob("docker/registry/v2/*"):
            shutil.rmtree(folder / "blobs" if (folder / "blobs").exists() else folder, ignore_errors=True)
        ours.append(timed(stack, "images", "push", "--plain-http", f"{server.host}/bench/pushed-{i}:latest", ref))
    forget(stack, ref)
    a, b = statistics.median(ours), statistics.median(least)
    report.add("push of large / a bare upload of its bytes", a / b, a * 1e3, b * 1e3, "ms", 1 / 0.9)


def limit(tmp, layers):
    """What the machine needs at least: igzip of all layers over its processors, or tar of the same files to the same disk."""
    packed, plain = tmp / "packed", tmp / "plain"
    packed.mkdir()
    for i, data in enumerate(layers):
        (packed / f"{i}.gz").write_bytes(gzip.compress(data, 6))
        (packed / f"{i}.tar").write_bytes(data)
    begin = time.perf_counter()
    subprocess.run(f"ls *.gz | xargs -P {os.cpu_count()} -n 1 igzip -dc >/dev/null", shell=True, check=True, cwd=packed)
    unzip = time.perf_counter() - begin
    begin = time.perf_counter()
    plain.mkdir()
    for i in range(len(layers)):
        subprocess.run(["tar", "-xf", packed / f"{i}.tar", "-C", plain], check=True)
    subprocess.run(["sync", "-f", plain], check=True)
    untar = time.perf_counter() - begin
    subprocess.run(["rm", "-rf", packed, plain], check=True)
    return max(unzip, untar)


def bench_pull(report, tmp):
    stacks, server = [], registry.Registry(tmp / "registry")
    try:
        for ours in (True, False):
            stacks.append(Stack(tmp, ours))
        for s in stacks:
            s("images", "rm", "--sync", "docker.io/library/busybox:latest")
        for name, layers in images():
            server.push(f"bench/{name}", "latest", layers)
            ref = f"{server.host}/bench/{name}:latest"
            rounds = []
            for _ in range(ROUNDS):
                rounds.append([])
                for s in stacks:
                    rounds[-1].append(pull(s, ref))
                    forget(s, ref)
            wall, cpu = ([statistics.median(r[i][k] for r in rounds) for i in range(2)] for k in range(2))
            report.add(f"pull of {name}, wall time: ours / Debian's", wall[0] / wall[1], wall[0] * 1e3, wall[1] * 1e3, "ms", 1 / 3)
            report.add(f"pull of {name}, processor time: ours / Debian's", cpu[0] / cpu[1], cpu[0] * 1e3, cpu[1] * 1e3, "ms", 1 / 2)
            least = statistics.median(limit(tmp, layers) for _ in range(ROUNDS))
            report.add(f"pull of {name} / the machine's limit", wall[0] / least, wall[0] * 1e3, least * 1e3, "ms", 1.25)
            many = pull(stacks[0], ref, AT_ONCE)[0]
            forget(stacks[0], ref)
            most, kept = peak(stacks[0], ref)
            forget(stacks[0], ref)
            report.add(f"peak memory of the pull of {name} / 64 MiB", most / 65536, most, 65536, "KiB", 1)
            report.add(f"what the daemon keeps of the pull of {name} / 64 MiB", kept / 65536, kept, 65536, "KiB", 0.05)
            bench_import(report, tmp, stacks, name, ref)
            report.add(f"{AT_ONCE} pulls of {name} at once / one", many / wall[0], many * 1e3, wall[0] * 1e3, "ms", 1.1)
            if name == "large":
                large = (ref, layers[0])
        bench_push(report, stacks[0], server, *large)
    finally:
        for s in stacks:
            s.stop()
        server.stop()
