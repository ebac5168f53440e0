#!/usr/bin/env python3
"""Measure casco against its peers and against the kernel's floor: ratios from one run.

    bench/run.py [runc] [ctr] [memory] [sizes] [all]

Commands are compared in alternating blocks of back-to-back runs: the kernel clears the network
namespace of one run during the next one, so pairs of single runs mislead, and pauses measure a
processor that has gone to sleep.  A row says the median of the blocks' ratios and the medians of
both.  Needs root, and Debian's packages runc, crun and containerd for the peers' rows."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("CASCO_BIN", TOP / "build" / "bin")).resolve()
SHARE = BIN.parent / "share"
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BLOCKS, RUNS = 6, 25
# A pure cgroup2 layout, whatever the machine mounts: what crun wants and the floor uses.
V2_VIEW = ["unshare", "-m", "--propagation", "private", "sh", "-c",
           'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"', "sh"]


def blocks(a, b, n_blocks=BLOCKS, n_runs=RUNS):
    """Ratio a/b, medians of a and b in ms, failures.  "%N" in a command is a fresh number."""
    count, failures = 0, 0

    def block(command):
        nonlocal count, failures
        times = []
        for _ in range(n_runs):
            count += 1
            words = [w.replace("%N", str(count)) for w in command]
            start = time.perf_counter()
            r = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
            times.append(time.perf_counter() - start)
            failures += r.returncode != 0
        return statistics.median(times[3:])

    block(a), block(b)
    pairs = [(block(a), block(b)) for _ in range(n_blocks)]
    return (statistics.median(x / y for x, y in pairs), 1e3 * statistics.median(x for x, _ in pairs),
            1e3 * statistics.median(y for _, y in pairs), failures)


def row(what, result):
    ratio, a, b, failures = result
    bad = f"   {failures} RUNS FAILED" if failures else ""
    print(f"{what:<58} {ratio:5.2f} x   ({a:.2f} / {b:.2f} ms){bad}", flush=True)


def make_bundle(folder):
    rootfs = folder / "rootfs"
    for d in ("bin", "proc", "dev", "sys"):
        (rootfs / d).mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin")
    for name in ("sh", "true"):
        (rootfs / "bin" / name).symlink_to("busybox")
    subprocess.run([BIN / "runc", "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/true"])
    (folder / "config.json").write_text(json.dumps(config))


def bench_runc(tmp):
    """`runc run` of the default spec, in a cgroup2 view.  Called again inside that view."""
    folder = tmp / "bundle"
    folder.mkdir()
    make_bundle(folder)
    floor = tmp / "floor"
    subprocess.run(["gcc", "-O2", "-static", "-o", floor, TOP / "bench" / "floor.c"], check=True)
    os.chdir(folder)
    inner = json.dumps({"ours": [str(BIN / "runc"), "--root", str(tmp / "r1"), "run", "b%N"],
                        "runc": ["/usr/sbin/runc", "--root", str(tmp / "r2"), "run", "b%N"],
                        "crun": ["/usr/bin/crun", "--root", str(tmp / "r3"), "run", "b%N"],
                        "floor": [str(floor), str(folder / "rootfs"), "/sys/fs/cgroup"]})
    subprocess.run([*V2_VIEW, sys.executable, __file__, "--inner", inner], check=True)


def works(name, command):
    """Whether a peer can run here at all; a row of failures would be no measurement."""
    if not os.path.exists(command[0]):
        return False
    r = subprocess.run([w.replace("%N", "0") for w in command], stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, check=False)
    if r.returncode:
        print(f"{name} is left out, since it fails here: {r.stderr.strip()[:100]}", flush=True)
    return r.returncode == 0


def inner(commands):
    commands = json.loads(commands)
    row("runc run, default spec: ours / the kernel's floor", blocks(commands["ours"], commands["floor"]))
    for peer in ("runc", "crun"):
        if works(peer, commands[peer]):
            row(f"runc run, default spec: ours / Debian's {peer}", blocks(commands["ours"], commands[peer], 4, 15))
            row(f"        the same: Debian's {peer} / floor", blocks(commands[peer], commands["floor"], 3, 15))


class Stack:
    """A daemon with its ctr: ours, or Debian's."""

    def __init__(self, tmp, ours):
        self.name = "ours" if ours else "debian"  # of its container, too: cgroups are shared
        self.folder = tmp / self.name
        self.folder.mkdir()
        self.socket = self.folder / "c.sock"
        self.bin = BIN if ours else pathlib.Path("/usr/bin")
        self.env = dict(os.environ, PATH=f"{BIN}:{PLAIN_PATH}" if ours else PLAIN_PATH)
        config = self.folder / "config.toml"
        config.write_text(f"version = 2\nroot = '{self.folder}/root'\nstate = '{self.folder}/state'\n"
                          f"disabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{self.socket}'\n")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([self.bin / "containerd", "--config", config], env=self.env, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, cwd="/")
        for _ in range(200):
            if subprocess.run(self.ctr("version"), env=self.env, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.05)
        self("images", "import", SHARE / "busybox.tar")

    def ctr(self, *args):
        return [str(self.bin / "ctr"), "--address", str(self.socket), *map(str, args)]

    def __call__(self, *args):
        return subprocess.run(self.ctr(*args), env=self.env, check=True, capture_output=True, text=True).stdout

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


IMAGE = "docker.io/library/busybox:latest"


def bench_ctr(tmp):
    ours, theirs = Stack(tmp, True), Stack(tmp, False)
    try:
        os.environ["PATH"] = ours.env["PATH"]  # either daemon finds its own shim by its own PATH
        row("ctr run --rm true: ours / Debian's",
            blocks(ours.ctr("run", "--rm", IMAGE, "b%N", "true"), theirs.ctr("run", "--rm", IMAGE, "b%N", "true"), 4, 12))
        for s in (ours, theirs):
            s("run", "-d", IMAGE, s.name, "sleep", "1000")
        row("ctr task exec true: ours / Debian's",
            blocks(ours.ctr("task", "exec", "--exec-id", "e%N", ours.name, "true"),
                   theirs.ctr("task", "exec", "--exec-id", "e%N", theirs.name, "true"), 4, 12))
    finally:
        finish((ours, theirs))


def finish(stacks):
    for s in stacks:
        subprocess.run(s.ctr("task", "kill", "-s", "SIGKILL", s.name), env=s.env, capture_output=True, check=False)
        time.sleep(0.3)
        subprocess.run(s.ctr("task", "delete", s.name), env=s.env, capture_output=True, check=False)
        subprocess.run(s.ctr("container", "delete", s.name), env=s.env, capture_output=True, check=False)
        s.stop()


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def shim_of(folder):
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                args = (p / "cmdline").read_bytes()
            except OSError:
                continue
            if b"containerd-shim" in args and str(folder).encode() in args:
                return int(p.name)
    return None


def bench_memory(tmp):
    stacks = (Stack(tmp, True), Stack(tmp, False))
    try:
        for s in stacks:
            s("run", "-d", IMAGE, s.name, "sleep", "1000")
        time.sleep(2)
        values = [(pss(s.process.pid), pss(shim_of(s.folder))) for s in stacks]
        for i, what in enumerate(("containerd, idle", "shim with one container")):
            ours, theirs = values[0][i], values[1][i]
            print(f"PSS of {what + ': ours / Debian':<51} {ours / theirs:5.2f} x   ({ours} / {theirs} KiB)", flush=True)
    finally:
        finish(stacks)


def bench_sizes(_):
    total = [0, 0]
    for name, peer in (("runc", "/usr/sbin/runc"), ("containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2"),
                       ("containerd", "/usr/bin/containerd"), ("ctr", "/usr/bin/ctr"), ("containerd-transfer", None)):
        ours = (BIN / name).stat().st_size
        theirs = os.path.getsize(peer) if peer and os.path.exists(peer) else 0
        total[0] += ours
        total[1] += theirs
        print(f"size of {name:<49} {ours >> 10:6d} KiB / {theirs >> 10} KiB")
    print(f"size of {'all':<49} {total[0] >> 10:6d} KiB / {total[1] >> 10} KiB", flush=True)


def main():
    if sys.argv[1:2] == ["--inner"]:
        return inner(sys.argv[2])
    known = {"runc": bench_runc, "ctr": bench_ctr, "memory": bench_memory, "sizes": bench_sizes}
    names = sys.argv[1:] or ["all"]
    if names == ["all"]:
        names = list(known)
    if not set(names) <= set(known):
        sys.exit(__doc__)
    for name in names:
        tmp = pathlib.Path(tempfile.mkdtemp(prefix="casco-bench-"))
        try:
            known[name](tmp)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
    return None


if __name__ == "__main__":
    main()
