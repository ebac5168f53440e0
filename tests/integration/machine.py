"""A stage on which the default paths are ours: /run, /etc/containerd and /var/lib/containerd are
private folders in a mount namespace of its own, so that commands can be typed word for word."""
import os
import pathlib
import signal
import subprocess

from casco import BIN, Scratch, Terminal, our_env, run, wait_for

HIDDEN = ("/run", "/etc/containerd", "/var/lib/containerd")


class Machine:
    def __init__(self, path=None):
        self.scratch = Scratch()
        self.path = self.scratch.path
        self.made = [p for p in HIDDEN if not os.path.isdir(p)]
        script = []
        for p in HIDDEN:
            os.makedirs(p, exist_ok=True)
            own = self.inside(p)
            own.mkdir(parents=True, exist_ok=True)
            script.append(f"mount --bind {own} {p}")
        script.append("echo ready; exec sleep 100000")
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "; ".join(script)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise AssertionError("no private stage could be set up")
        self.env = our_env(TERM="xterm", **({"PATH": path} if path else {}))
        self.daemon = None

    def inside(self, path):
        """Where a hidden path's files are seen from outside."""
        return self.path / "stage" / str(path).lstrip("/")

    def command(self, words):
        words = words.split() if isinstance(words, str) else [str(w) for w in words]
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "--wd=" + os.getcwd(), "--", *words]

    def run(self, words, **kw):
        return run(self.command(words), env=self.env, **kw)

    def terminal(self, words, **kw):
        return Terminal(self.command(words), env=self.env, **kw)

    def start_daemon(self, words="containerd"):
        """By hand, as where no systemd runs."""
        with open(self.path / "containerd.log", "ab") as log:
            self.daemon = subprocess.Popen(self.command(words), stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log, env=self.env)
        sock = self.inside("/run/containerd/containerd.sock")
        wait_for("containerd", lambda: (sock.exists() and self.run("ctr version", check=False).returncode == 0)
                 or self.died())

    def died(self):
        if self.daemon.poll() is not None:
            raise AssertionError("containerd ended: " + self.log()[-3000:])
        return False

    def log(self):
        return (self.path / "containerd.log").read_text(errors="replace")

    def stop_daemon(self, how=signal.SIGTERM):
        if self.daemon:
            # nsenter became containerd by exec: the pid is the daemon's
            self.daemon.send_signal(how)
            self.daemon.wait(15)
            self.daemon = None

    def remove(self):
        try:
            self.stop_daemon()
        finally:
            self.holder.kill()
            self.holder.wait()
            self.holder.stdout.close()
            for p in self.made:
                pathlib.Path(p).rmdir()
            self.scratch.remove()


__all__ = ["BIN", "Machine"]
