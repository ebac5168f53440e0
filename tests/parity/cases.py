"""Small cases that every OCI runtime must answer alike: a change of the default spec and a few commands.

    cases.py OURS=PATH NAME=PATH...      compares by hand, any number of runtimes

tests/integration/test_parity_cases.py compares ours with runc and crun in `make check`.  Of each command the exit
code and stdout must be the same, of a runc also stderr, of a crun whether there is any; of a state the fields of
the spec; after the last one, nothing may be left.  A crun needs a pure cgroup2 layout: CGROUP2_VIEW shows one."""
import argparse
import copy
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from bundle import Bundle  # noqa: E402
from casco import our_env  # noqa: E402


def process(**fields):
    return lambda c: c["process"].update(fields)


def sh(script, change=None):
    def edit(c):
        c["process"]["args"] = ["sh", "-c", script]
        if change:
            change(c)
    return edit


def linux(**fields):
    return lambda c: c["linux"].update(fields)


def both(*edits):
    return lambda c: [e(c) for e in edits]


def mount(destination, **fields):
    return lambda c: c["mounts"].append({"destination": destination, **fields})


def caps(*names):
    return lambda c: c["process"].update(capabilities={k: list(names) for k in ("bounding", "effective", "permitted")})


# Any machine as one with cgroup2 alone, for the program that follows; controllers that v1 has stay there.
CGROUP2_VIEW = ["unshare", "-m", "--propagation", "private", "sh", "-c",
                'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"', "sh"]
# Those that need a cgroup: a crun that may not load programs into the kernel is called without.
OF_CGROUPS = ("pause", "limits")
NOT_COMPARED = "not compared"

RUN, SLEEP = [["run", "ID"]], ["sleep", "60"]
LIFE = [["create", "ID"], ["state", "ID"], ["start", "ID"], ["state", "ID"], ["kill", "ID", "KILL"], ["WAIT", "stopped"],
        ["state", "ID"], ["delete", "ID"]]
BACK = [["create", "ID"], ["start", "ID"]]

# name: (change of the spec, commands)
CASES = {
    "exit code": (sh("echo out; echo err >&2; exit 7"), RUN),
    "death by a signal": (sh("kill -9 $$"), RUN),
    "no such program": (process(args=["/no/such"]), RUN),
    "no such program in PATH": (process(args=["nosuch"]), RUN),
    "not executable": (process(args=["/etc/passwd"]), RUN),
    "cwd is made": (both(process(cwd="/made/here"), sh("pwd"), lambda c: c["root"].update(readonly=False)), RUN),
    "cwd is no folder": (process(cwd="/etc/passwd"), RUN),
    "relative cwd": (process(cwd="tmp"), RUN),
    "no args": (process(args=[]), RUN),
    "environment": (both(process(env=["PATH=/bin", "A=b c", "B="]), sh("env | grep -v _=")), RUN),
    "home of a user": (both(process(user={"uid": 1000, "gid": 5, "additionalGids": [7, 8]}), sh("id -u; id -g; id -G; echo $HOME")), RUN),
    "umask": (both(process(user={"uid": 0, "gid": 0, "umask": 0o77}), sh("touch /dev/x; stat -c %a /dev/x")), RUN),
    "hostname": (both(lambda c: c.update(hostname="box"), sh("hostname")), RUN),
    "capabilities": (both(caps("CAP_KILL", "CAP_CHOWN"), sh("grep Cap /proc/self/status")), RUN),
    "ambient capabilities": (both(caps("CAP_KILL"), lambda c: c["process"]["capabilities"].update(inheritable=["CAP_KILL"], ambient=["CAP_KILL"]),
                                  process(user={"uid": 9, "gid": 9}), sh("grep Cap /proc/self/status")), RUN),
    "no new privileges": (both(process(noNewPrivileges=True), sh("grep NoNew /proc/self/status")), RUN),
    "rlimits": (both(process(rlimits=[{"type": "RLIMIT_NOFILE", "hard": 99, "soft": 98}]), sh("ulimit -n; ulimit -Hn")), RUN),
    "unknown rlimit": (process(rlimits=[{"type": "RLIMIT_NO", "hard": 1, "soft": 1}]), RUN),
    "rlimit twice": (process(rlimits=[{"type": "RLIMIT_CORE", "hard": 1, "soft": 1}] * 2), RUN),
    "read-only root": (sh("echo > /x; echo $?"), RUN),
    "writable root": (sh("echo x > /x; cat /x", lambda c: c["root"].update(readonly=False)), RUN),
    "masked and read-only paths": (sh("cat /proc/kcore | head -c 1; ls /proc/scsi 2>&1; echo > /proc/sys/kernel/hostname; echo $?"), RUN),
    "tmpfs": (both(mount("/t", type="tmpfs", source="tmpfs", options=["size=64k", "mode=700", "noexec"]),
                   sh("stat -c '%a %F' /t; grep ' /t ' /proc/mounts")), RUN),
    "bind of a file": (both(mount("/etc/passwd", type="bind", source="config.json", options=["bind", "ro"]), sh("head -c 1 /etc/passwd; echo; echo > /etc/passwd")), RUN),
    "bind of nothing": (mount("/etc/passwd", type="bind", source="/no/such", options=["bind"]), RUN),
    "unknown file system": (mount("/y", type="nosuchfs", source="y"), RUN),
    "sysctl": (both(linux(sysctl={"net.ipv4.ip_forward": "1"}), sh("cat /proc/sys/net/ipv4/ip_forward")), RUN),
    "sysctl of the host": (linux(sysctl={"kernel.panic": "1"}), RUN),
    "unknown sysctl": (linux(sysctl={"net.no.such": "1"}), RUN),
    "devices": (both(linux(devices=[{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 3, "gid": 4}]),
                     sh("ls -l /dev/mine | head -c 40")), RUN),
    "seccomp": (both(linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}),
                     sh("mkdir /tmp/x; grep Seccomp: /proc/self/status")), RUN),
    "seccomp: unknown action": (linux(seccomp={"defaultAction": "SCMP_ACT_NO"}), RUN),
    "namespace twice": (lambda c: c["linux"]["namespaces"].append({"type": "pid"}), RUN),
    "unknown namespace": (lambda c: c["linux"]["namespaces"].append({"type": "nosuch"}), RUN),
    "namespace of nobody": (lambda c: c["linux"]["namespaces"].append({"type": "uts", "path": "/proc/0/ns/uts"}), RUN),
    "no pid namespace": (sh("test $$ -gt 5; echo $?", lambda c: c["linux"].update(namespaces=[n for n in c["linux"]["namespaces"] if n["type"] != "pid"])), RUN),
    "user namespace": (both(lambda c: c["linux"]["namespaces"].append({"type": "user"}),
                            linux(uidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}], gidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}]),
                            sh("id -u; cat /proc/self/uid_map")), RUN),
    "mappings without a namespace": (linux(uidMappings=[{"containerID": 0, "hostID": 1, "size": 1}]), RUN),
    "hooks": (lambda c: c.update(hooks={"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", "exit 0"]}], "prestart": [{"path": "/bin/false"}]}), RUN),
    "hook that is missing": (lambda c: c.update(hooks={"createRuntime": [{"path": "/no/such"}]}), RUN),
    "relative hook": (lambda c: c.update(hooks={"prestart": [{"path": "bin/true"}]}), RUN),
    "life": (process(args=SLEEP), LIFE),
    "start twice": (process(args=SLEEP), [*BACK, ["start", "ID"]]),
    "the same name twice": (process(args=SLEEP), [*BACK, ["create", "ID"]]),
    "a bad name": (process(args=SLEEP), [["create", "a/b"], ["create", ""], ["create", ".."], ["state", "../x"]]),
    "nobody of that name": (None, [["state", "nobody"], ["start", "nobody"], ["kill", "nobody"], ["delete", "nobody"], ["delete", "-f", "nobody"],
                                   ["pause", "nobody"], ["ps", "nobody"], ["exec", "nobody", "true"], ["update", "nobody"]]),
    "delete of what runs": (process(args=SLEEP), [*BACK, ["delete", "ID"], ["delete", "-f", "ID"], ["state", "ID"]]),
    "signals": (process(args=SLEEP), [*BACK, ["kill", "ID", "NOSUCH"], ["kill", "ID", "0"], ["kill", "ID", "sigkill"], ["WAIT", "stopped"], ["kill", "ID", "TERM"]]),
    "exec": (process(args=SLEEP), [*BACK, ["exec", "ID", "sh", "-c", "echo $0; exit 4"], ["exec", "ID", "/no/such"], ["exec", "-u", "5:6", "ID", "id", "-u"],
                                   ["exec", "-e", "X=y", "--cwd", "/tmp", "ID", "sh", "-c", "echo $X; pwd"], ["exec", "ID", "sh", "-c", "kill -15 $$"]]),
    "exec into what ended": (process(args=["true"]), [["create", "ID"], ["start", "ID"], ["WAIT", "stopped"], ["exec", "ID", "true"], ["pause", "ID"], ["start", "ID"]]),
    "pause": (process(args=SLEEP), [*BACK, ["pause", "ID"], ["state", "ID"], ["pause", "ID"], ["exec", "ID", "true"], ["resume", "ID"], ["resume", "ID"], ["state", "ID"]]),
    "list": (process(args=SLEEP), [*BACK, ["list", "-q"], ["list", "-f", "nosuch"]]),
    "wrong use": (None, [["create"], ["state"], ["nosuch"], ["kill", "ID", "KILL", "more", "even"], ["--nosuch"], ["run", "--nosuch", "ID"]]),
    "no bundle": (None, [["create", "-b", "/no/such", "ID"], ["spec"], ["create", "-b", "rootfs", "ID"]]),
    "version of the spec": (lambda c: c.update(ociVersion="7.0.0"), RUN),
    "root that is missing": (lambda c: c["root"].update(path="nosuch"), RUN),
    "masked path": (both(linux(maskedPaths=["/etc/passwd", "/tmp"]), sh("wc -c < /etc/passwd; echo > /tmp/x")), RUN),
    "oom score": (both(process(oomScoreAdj=777), sh("cat /proc/self/oom_score_adj")), RUN),
    "limits": (both(lambda c: c["linux"]["resources"].update(pids={"limit": 20}), sh("cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | head -1")), RUN),
}


class Side:
    """One runtime with a bundle and a root of its own, at the same paths as any other's."""

    def __init__(self, path, place, options=()):
        self.path, self.place, self.options = str(path), pathlib.Path(place), options
        self.b = Bundle(self.place / "bundle")
        self.place.chmod(0o755)
        self.place.parent.chmod(0o755)
        self.b.config["process"]["capabilities"].pop("ambient", None)
        self.b.config["ociVersion"] = "1.0.2"  # crun 1.8 knows no later one
        self.spec = copy.deepcopy(self.b.config)
        self.root = self.place / "state"

    def call(self, *args, timeout=20):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            r = subprocess.run([self.path, *self.options, "--root", str(self.root), *args], cwd=self.b.path, env=our_env(), stdin=subprocess.DEVNULL,
                               stdout=out, stderr=err, timeout=timeout, check=False)
            out.seek(0)
            err.seek(0)
            return r.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace")

    def wait(self, status):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            code, out, _ = self.call("state", "case")
            if code or json.loads(out)["status"] == status:
                return
            time.sleep(0.02)
        raise TimeoutError

    def run(self, change, commands):
        """[(command, exit code, stdout, stderr)], made comparable."""
        self.b.config = copy.deepcopy(self.spec)
        if change:
            change(self.b.config)
        self.b.write()
        told = []
        try:
            for c in commands:
                if c[0] == "WAIT":
                    try:
                        self.wait(c[1])
                    except TimeoutError:
                        told.append((" ".join(c), 1, "", f"never {c[1]}"))
                        break
                    told.append((" ".join(c), 0, "", ""))
                    continue
                told.append((" ".join(c), *map(self.plain, self.call(*("case" if w == "ID" else w for w in c)))))
        finally:
            self.call("delete", "-f", "case")
            left = sorted(p.name for p in self.root.glob("[!.]*"))
            told.append(("in the end", 0, " ".join(left), ""))
        return told

    def plain(self, x):
        if not isinstance(x, str):
            return x
        x = x.replace(str(self.place), "PLACE").replace(self.path, "RUNTIME")
        if x.startswith("Incorrect Usage"):
            x = x.splitlines()[0]  # the help text that follows is each one's own
        x = re.sub(r'time="[^"]*"', "TIME", x)
        x = re.sub(r'"(pid|created|owner|ociVersion)": *("[^"]*"|\d+)', r'"\1": 0', x)
        return re.sub(r"0x[0-9a-f]{6,}|\d{4}-\d\d-\d\dT[0-9:.]+Z?", "_", x)


def state_of(text):
    """What the spec has of a state, from what the command prints."""
    try:
        state = json.loads(text)
    except ValueError:
        return text
    return {k: state.get(k) for k in ("id", "status", "annotations")} | {"bundle": state["bundle"].rpartition("/")[2]}


def words(command, told, is_runc):
    """The answer of a command as far as it must be the same, by name."""
    code, out, err = told
    if is_runc:
        return {"exit code": code, "stdout": out, "stderr": err}
    return {"exit code": code, "stdout": state_of(out) if command.startswith("state ") else out, "stderr": bool(err)}


def compare(name, mine, theirs, is_runc):
    """(what, how) of each difference."""
    said = []
    for (command, *a), (_, *b) in zip(mine, theirs):
        ours, other = words(command, a, is_runc), words(command, b, is_runc)
        said += [(f"{name}: {command}: {what}", f"{ours[what]!r}, theirs {other[what]!r} {b[2]!r}") for what in ours if ours[what] != other[what]]
    if len(mine) != len(theirs):
        said.append((f"{name}: number of answers", f"{mine[-2:]}, theirs {theirs[-2:]}"))
    return said


def crun_options(path):
    """crun 1.8 takes any amount of locked memory for its device filter, which not every root may; that one is called
    without cgroups.  A later one asks for no more than there is."""
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    old = tuple(map(int, version.split(".")[:2])) < (1, 9)
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        if old and hard != resource.RLIM_INFINITY:
            resource.prlimit(os.getpid(), resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, PermissionError):
        return ("--cgroup-manager=disabled",)
    return ()


def run_all(args, top):
    """All differences, as (what, how)."""
    sides = {}
    for r in args.runtimes:
        name, _, path = r.partition("=")
        (top / name).mkdir()
        sides[name] = Side(path, top / name, crun_options(path) if name.startswith("crun") else ())
    first, *others = sides
    found = []
    for name, (change, commands) in CASES.items():
        if args.case and args.case != name:
            continue
        if name in OF_CGROUPS and any(s.options for s in sides.values()):
            found.append((f"{name}: {NOT_COMPARED}", "called without cgroups, since it may not lock the memory that it wants"))
            continue
        told = {s: side.run(change, commands) for s, side in sides.items()}
        for o in others:
            for what, how in compare(name, told[first], told[o], o.startswith("runc")):
                found.append((what, how))
                if not args.json:
                    print(f"[{o}] {what}: {how}")
        if args.case:
            print(json.dumps(told, indent=1))
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("runtimes", nargs="+", metavar="NAME=PATH", help="the first one is compared with each other one")
    p.add_argument("--case", help="only this one, with all it says")
    p.add_argument("--json", action="store_true", help="the differences as one list of [what, how], for the test")
    args = p.parse_args()
    top = pathlib.Path(tempfile.mkdtemp(prefix="casco-cases-"))
    try:
        found = run_all(args, top)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print(json.dumps(found) if args.json else f"{len(CASES)} cases, {len(found)} differences")


if __name__ == "__main__":
    main()
