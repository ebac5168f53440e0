"""What `runc` costs: time against the kernel's floor and against peers, memory, many containers."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

from measure import BIN, QUIET, TOP, blocks, numbered, works

PEER = os.environ.get("CASCO_PEER")
RUNC, CRUN = (f"{PEER}/runc", f"{PEER}/crun") if PEER else ("/usr/sbin/runc", "/usr/bin/crun")
PROFILE = pathlib.Path("/usr/share/containers/seccomp.json")
# A pure cgroup2 layout, whatever the machine mounts: what crun wants and the floor uses.
V2_VIEW = ["unshare", "-m", "--propagation", "private", "sh", "-c",
           'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"', "sh"]


def make_bundle(folder, **process):
    rootfs = folder / "rootfs"
    for d in ("bin", "proc", "dev", "sys"):
        (rootfs / d).mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin")
    for name in ("sh", "true", "sleep"):
        (rootfs / "bin" / name).symlink_to("busybox")
    subprocess.run([BIN / "runc", "spec"], cwd=folder, check=True)
    change(folder, lambda c: c["process"].update(terminal=False, args=["/bin/true"], **process))
    change(folder, lambda c: c.update(ociVersion="1.0.2"))  # Debian's crun knows no later one
    return folder


def change(folder, edit):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def docker_seccomp(config):
    """The containers' default profile, for the capabilities that the default spec keeps."""
    profile = json.loads(PROFILE.read_text())
    caps = set(config["process"]["capabilities"]["bounding"])
    rules = []
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if set(includes.get("caps") or []) - caps or set(excludes.get("caps") or []) & caps:
            continue
        if any("amd64" not in x.get("arches", ["amd64"]) for x in (includes,) if x.get("arches")):
            continue
        rules.append({k: rule[k] for k in ("names", "action", "args", "errnoRet") if rule.get(k)})
    config["linux"]["seccomp"] = {"defaultAction": profile["defaultAction"],
                                  "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules}


def compiled(tmp, name, *flags):
    if not (tmp / name).exists():
        subprocess.run(["gcc", "-O2", "-static", *flags, "-o", tmp / name, TOP / "bench" / f"{name}.c"], check=True)
    return str(tmp / name)


def ours(tmp, *args):
    return [str(BIN / "runc"), "--root", str(tmp / "r1"), *args]


def compiled_filter(tmp, folder):
    """The filter as the kernel gets it, for the floor: what a container with this bundle keeps."""
    subprocess.run(ours(tmp, "create", "filter"), cwd=folder, check=True, **QUIET)
    kept = (tmp / "r1/filter/seccomp.bpf").read_bytes()[4:]
    subprocess.run(ours(tmp, "delete", "-f", "filter"), check=True, **QUIET)
    (tmp / "filter").write_bytes(kept)
    return str(tmp / "filter")


def in_v2_view(what, tmp):
    subprocess.run([*V2_VIEW, sys.executable, pathlib.Path(__file__).parent / "run.py", "--inner", what, tmp], check=True)


def floor_rows(report, tmp):
    """Called inside the cgroup2 view."""
    folder = tmp / "bundle"
    os.chdir(folder)
    floor = [compiled(tmp, "floor"), folder / "rootfs", "/sys/fs/cgroup"]
    run = ours(tmp, "run", "b%N")
    peers = {"runc": [RUNC, "--root", tmp / "r2", "run", "b%N"], "crun": [CRUN, "--root", tmp / "r3", "run", "b%N"]}
    report.compare("run, default spec: ours / the kernel's floor", run, floor, aim=1.3)
    for name, command in peers.items():
        if works(name, numbered(command, 0)):
            report.compare(f"run, default spec: ours / Debian's {name}", run, command, None, 4, 15)
            report.compare(f"the same: Debian's {name} / floor", command, floor, None, 3, 15)
    if PROFILE.exists():
        os.chdir(tmp / "seccomp")
        floor = [floor[0], tmp / "seccomp/rootfs", "/sys/fs/cgroup", compiled_filter(tmp, tmp / "seccomp")]
        report.compare("run, default seccomp profile, cached: ours / floor", run, floor, aim=1.35)
        if works("runc", numbered(peers["runc"], 0)):
            report.compare("the same: ours / Debian's runc", run, peers["runc"], None, 3, 15)


def peak_kib(tmp, command):
    """Largest resident set of one run, in KiB; the container's program counts too (busybox has 1.4 MiB), so that
    one is to be nothing.c."""
    r = subprocess.run([compiled(tmp, "peak"), *map(str, command)], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return int(r.stdout.split()[-1])


def smallest_limit(command, folder):
    """The smallest linux.resources.memory.limit, in KiB, under which the run works (64 KiB steps)."""
    for kib in range(64, 16385, 64):
        change(folder, lambda c: c["linux"]["resources"].update(memory={"limit": kib << 10}))
        if subprocess.run(numbered(command, kib), cwd=folder, check=False, **QUIET).returncode == 0:
            return kib
    return 0


def hybrid_rows(report, tmp):
    """On the machine's own layout."""
    folder = tmp / "bundle"
    os.chdir(folder)
    run, theirs = ours(tmp, "run", "b%N"), [RUNC, "--root", tmp / "r2", "run", "b%N"]
    if works("runc", numbered(theirs, 0)):
        report.compare("run on the machine's own cgroups: ours / Debian's runc", run, theirs, 1 / 6, 4, 15)
        os.chdir(tmp / "nothing")
        peaks = peak_kib(tmp, numbered(run, "m")), peak_kib(tmp, numbered(theirs, "m"))
        os.chdir(folder)
        report.add("peak memory of run: ours / Debian's runc", peaks[0] / peaks[1], *peaks, "KiB", 1229 / peaks[1])
        change(tmp / "sleep", lambda c: c["process"].update(args=["/bin/sleep", "1000"]))
        stacks = [(ours(tmp), "e1"), ([RUNC, "--root", tmp / "r2"], "e2")]
        for command, name in stacks:
            subprocess.run([*command, "run", "-d", name], cwd=tmp / "sleep", check=True, **QUIET)
        try:
            report.compare("exec of true: ours / Debian's runc", [*stacks[0][0], "exec", "e1", "/bin/true"],
                           [*stacks[1][0], "exec", "e2", "/bin/true"], 1 / 8, 4, 15)
        finally:
            for command, name in stacks:
                subprocess.run([*command, "delete", "-f", name], check=True, **QUIET)
    limited = smallest_limit(ours(tmp, "run", "l%N"), tmp / "limit")
    if limited:
        report.add("smallest memory limit for run / 256 KiB", limited / 256, limited, 256, "KiB", 1)


def many_rows(report, tmp):
    """Ours against the floor beside 1, 100 and 1000 live containers: the kernel itself gets slower with
    the number of its namespaces, and the floor shows by how much.  Called inside the cgroup2 view."""
    floor = [compiled(tmp, "floor"), tmp / "bundle/rootfs", "/sys/fs/cgroup"]
    run, alive, base = ours(tmp, "run", "b%N"), 0, 0.0
    try:
        for goal in (1, 100, 1000):
            while alive < goal:
                subprocess.run(ours(tmp, "run", "-d", f"live{alive}"), cwd=tmp / "many", check=True, **QUIET)
                alive += 1
            os.chdir(tmp / "bundle")
            ratio, _, _, _ = blocks(run, floor, 4, 15)
            base = base or ratio
            report.add(f"ours / floor beside {goal} live containers, to that beside 1", ratio / base, ratio, base, "x", 1.1)
    finally:
        for n in range(alive):
            subprocess.run(ours(tmp, "delete", "-f", f"live{n}"), check=False, **QUIET)


def bench(report, tmp):
    for name in ("bundle", "seccomp", "sleep", "limit", "many", "nothing"):
        make_bundle(tmp / name)
    shutil.copy(compiled(tmp / "nothing", "nothing", "-nostdlib"), tmp / "nothing/rootfs/bin/nothing")
    change(tmp / "nothing", lambda c: c["process"].update(args=["/bin/nothing"]))
    change(tmp / "many", lambda c: c["process"].update(args=["/bin/sleep", "1000"]))
    if PROFILE.exists():
        change(tmp / "seccomp", docker_seccomp)
    in_v2_view("floor", tmp)
    report.rows += [tuple(r) for r in json.loads((tmp / "rows.json").read_text())]
    hybrid_rows(report, tmp)


def inner(report, tmp):
    floor_rows(report, tmp)
    many_rows(report, tmp)
    (tmp / "rows.json").write_text(json.dumps(report.rows))
