"""Pulls of three images from a registry on loopback: wall time, processor time of everybody, peak memory; and the
machine's own limit for the same layers.

Before each pull the image is gone from the daemon, with its blobs and snapshots."""
import gzip
import io
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tarfile
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
            report.add(f"{AT_ONCE} pulls of {name} at once / one", many / wall[0], many * 1e3, wall[0] * 1e3, "ms", 1.1)
    finally:
        for s in stacks:
            s.stop()
        server.stop()
