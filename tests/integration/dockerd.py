"""A private dockerd of Debian (docker.io), on a containerd of our choice and with our runc.

It has a network namespace of its own, so that its bridge and its firewall rules are nobody else's."""
import contextlib
import json
import pathlib
import subprocess

from casco import BIN, run, wait_for

DOCKERD, DOCKER = pathlib.Path("/usr/sbin/dockerd"), pathlib.Path("/usr/bin/docker")


class Dockerd:
    """containerd: its socket.  The runtime is our runc, by name, so that any dockerd takes it."""

    def __init__(self, base, containerd, env, live_restore=True):
        self.base, self.env, self.process = pathlib.Path(base), env, None
        self.socket = self.base / "docker.sock"
        self.config = self.base / "daemon.json"
        self.cgroup = f"/casco-docker-{self.base.parent.name}"
        self.network = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up && echo && exec sleep 100000"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.network.stdout.readline()
        self.config.write_text(json.dumps({
            "data-root": str(self.base / "data"), "exec-root": str(self.base / "exec"), "pidfile": str(self.base / "pid"),
            "hosts": [f"unix://{self.socket}"], "containerd": str(containerd), "live-restore": live_restore,
            "storage-driver": "overlay2", "bip": "172.31.77.1/24",
            "default-cgroupns-mode": "host", "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": self.cgroup,
            "runtimes": {"casco": {"path": str(BIN / "runc")}}, "default-runtime": "casco"}))

    def start(self):
        with open(self.base / "dockerd.log", "ab") as log:
            self.process = subprocess.Popen([*self.inside(), DOCKERD, "--config-file", self.config], env=self.env, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd="/")
        wait_for("dockerd", lambda: self.died() or self("version", check=False).returncode == 0, 30)
        return self

    def died(self):
        if self.process.poll() is not None:
            raise AssertionError(f"dockerd ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        return False

    def log(self):
        return (self.base / "dockerd.log").read_text(errors="replace")

    def inside(self):
        """Before a command: it sees dockerd's network."""
        return ["nsenter", "-n", "-t", str(self.network.pid)]

    def command(self, *args):
        return [str(DOCKER), "-H", f"unix://{self.socket}", *map(str, args)]

    def __call__(self, *args, check=True, timeout=60, input=None):
        return run(self.command(*args), check=check, timeout=timeout, env=self.env, input=input)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self.network.kill()
        self.network.wait()
        self.network.stdout.close()
        # What a dockerd that was killed leaves, and what each leaves for next time.
        subprocess.run(["umount", self.base / "data"], check=False, capture_output=True)
        for folder in pathlib.Path("/sys/fs/cgroup").glob(f"*{self.cgroup}"):
            with contextlib.suppress(OSError):
                folder.rmdir()
