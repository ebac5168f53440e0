"""The whole stack, ours against Debian's containerd with its ctr, shim and runc: time and memory."""
import os
import pathlib
import subprocess
import time

from measure import BIN, SHARE

PEER = pathlib.Path(os.environ.get("CASCO_PEER", "/usr/bin"))
RUNTIME_STATE = pathlib.Path("/run/containerd/runc/default")  # of either's shim, wherever its daemon has its folders
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Stack:
    """A daemon with its ctr: ours, or Debian's."""

    def __init__(self, tmp, ours):
        self.name = "ours" if ours else "debian"  # of its container, too: cgroups are shared
        self.folder = tmp / self.name
        self.folder.mkdir()
        self.state = f"/run/casco-bench/{self.name}"
        self.socket = self.folder / "c.sock"
        self.bin = BIN if ours else PEER
        self.env = dict(os.environ, PATH=f"{self.bin}:{PLAIN_PATH}")
        config = self.folder / "config.toml"
        config.write_text(f"version = 2\nroot = '{self.folder}/root'\nstate = '{self.state}'\n"
                          f"disabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{self.socket}'\n")
        # A session of its own: what interrupts us must not end the daemon before stop() has asked it to end the rest.
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([self.bin / "containerd", "--config", config], env=self.env, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True)
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
        """With all that runs: a bench that was interrupted leaves nothing, as one that ended."""
        for _ in range(100):  # what clients had asked for goes on for a moment
            names = self.quietly("tasks", "ls", "-q").split()
            for name in names:
                self.quietly("tasks", "kill", "-s", "SIGKILL", name)  # one that was only created, too
                self.quietly("tasks", "rm", "-f", name)
                self.quietly("containers", "rm", name)
            if not names and not shim_of(self.folder):
                break
            time.sleep(0.1)
        self.process.terminate()
        self.process.wait(20)
        # the original's daemon leaves what it was making when its client went away
        for state in RUNTIME_STATE.glob("*/state.json"):
            if f"{self.state}/" in state.read_text(errors="replace"):
                subprocess.run([self.bin / "runc", "--root", RUNTIME_STATE, "delete", "--force", state.parent.name],
                               capture_output=True, check=False)
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            target = line.split()[4]
            if target.startswith((f"{self.folder}/", f"{self.state}/")):
                subprocess.run(["umount", "-l", target], check=False)

    def quietly(self, *args):
        return subprocess.run(self.ctr(*args), env=self.env, capture_output=True, text=True, check=False).stdout


IMAGE = "docker.io/library/busybox:latest"


def bench_ctr(report, tmp):
    ours, theirs = Stack(tmp, True), Stack(tmp, False)
    try:
        os.environ["PATH"] = ours.env["PATH"]  # either daemon finds its own shim by its own PATH
        report.compare("ctr run --rm true: ours / Debian's", ours.ctr("run", "--rm", IMAGE, "b%N", "true"),
                       theirs.ctr("run", "--rm", IMAGE, "b%N", "true"), 1 / 12, 4, 12)
        for s in (ours, theirs):
            s("run", "-d", IMAGE, s.name, "sleep", "1000")
        report.compare("ctr task exec true: ours / Debian's",
                       ours.ctr("task", "exec", "--exec-id", "e%N", ours.name, "true"),
                       theirs.ctr("task", "exec", "--exec-id", "e%N", theirs.name, "true"), None, 4, 12)
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


def bench_memory(report, tmp):
    stacks = (Stack(tmp, True), Stack(tmp, False))
    try:
        for s in stacks:
            s("run", "-d", IMAGE, s.name, "sleep", "1000")
        time.sleep(2)
        values = [(pss(s.process.pid), pss(shim_of(s.folder))) for s in stacks]
        for i, what in enumerate(("containerd, idle", "shim with one container")):
            ours, theirs = values[0][i], values[1][i]
            report.add(f"PSS of {what}: ours / Debian's", ours / theirs, ours, theirs, "KiB", 1 / (6, 12)[i])
    finally:
        finish(stacks)
