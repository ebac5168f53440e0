"""Crashes: the daemon, a shim or a container's first process is killed at a bad moment.  Nothing
that ran is lost, nothing that died lives on in the books, and nothing stays behind."""
import fcntl
import json
import os
import pathlib
import signal
import struct
import subprocess
import unittest

from bundle import Bundle
from casco import SHARE, Daemon, DaemonTest, Scratch, processes, program, run, wait_for


class Recovery(DaemonTest):
    def restart(self):
        self.daemon.kill()
        self.daemon.start()

    def shims(self, name):
        return [int(p.split()[0]) for p in processes(str(self.scratch.path)) if "containerd-shim" in p and f"-id {name}" in p]

    def test_a_running_container_outlives_the_daemon(self):
        self.running(name="lives", command=("sh", "-c", "echo $$ >/tmp/pid; while :; do sleep 0.2; done"))
        before = self.task_line("lives").split()[1]
        self.restart()
        self.assertEqual(self.task_line("lives").split()[1:], [before, "RUNNING"])
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "x", "lives", "cat", "/tmp/pid").stdout, "1\n")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "lives")
        wait_for("the end", lambda: "RUNNING" not in self.task_line("lives"))
        self.ctr("tasks", "delete", "lives", check=False)
        self.assertEqual(self.task_line("lives"), "")
        self.ctr("containers", "delete", "lives")

    def test_an_exit_while_the_daemon_is_down_is_known_later(self):
        self.running(name="ends", command=("sh", "-c", "sleep 1; exit 33"))
        self.daemon.kill()
        pid = None
        wait_for("the container to end",
                 lambda: not [p for p in processes(str(self.scratch.path)) if "sleep 1" in p] or pid, 10)
        self.daemon.start()
        wait_for("STOPPED", lambda: "STOPPED" in self.task_line("ends"))
        r = self.ctr("tasks", "delete", "ends", check=False)
        self.assertIn("non-zero exit code 33", r.stderr)
        self.ctr("containers", "delete", "ends")

    def test_images_and_snapshots_survive(self):
        before = [self.ctr(*c).stdout for c in (("images", "list"), ("snapshots", "list"), ("content", "list", "-q"))]
        self.restart()
        after = [self.ctr(*c).stdout for c in (("images", "list"), ("snapshots", "list"), ("content", "list", "-q"))]
        self.assertEqual(before, after)

    def test_a_killed_shim_takes_its_container_along(self):
        self.running(name="orphan")
        pid = int(self.task_line("orphan").split()[1])
        shims = self.shims("orphan")
        self.assertEqual(len(shims), 1)
        os.kill(shims[0], signal.SIGKILL)
        wait_for("the container's end", lambda: not os.path.exists(f"/proc/{pid}") or
                 "State:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text())
        wait_for("the task to be gone or stopped", lambda: "RUNNING" not in self.task_line("orphan"))
        self.ctr("tasks", "delete", "orphan", check=False)
        self.ctr("containers", "delete", "orphan")

    def test_history_of_a_container_that_is_gone(self):
        """It was deleted, and the daemon killed before it came to that."""
        folder = self.daemon.state / "io.casco.history" / "default"
        self.ctr("containers", "create", self.IMAGE, "stays", "true")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("stays", "gone"):
            (folder / name).write_text("{}")
        self.restart()
        self.ctr("version")
        self.assertEqual([n for n in ("stays", "gone") if (folder / n).exists()], ["stays"])
        self.ctr("containers", "delete", "stays")

    def test_a_killed_container_is_noticed(self):
        self.running(name="victim")
        os.kill(int(self.task_line("victim").split()[1]), signal.SIGKILL)
        wait_for("STOPPED", lambda: "STOPPED" in self.task_line("victim"))
        r = self.ctr("tasks", "delete", "victim", check=False)
        self.assertIn("non-zero exit code 137", r.stderr)
        self.ctr("containers", "delete", "victim")

    def test_another_daemons_container_of_the_same_name(self):
        """They meet in the runtime's folder: one that lives is left alone, one that a crash left goes."""
        base = Scratch()
        self.addCleanup(base.remove)
        other = Daemon(base.path).start()
        try:
            other.ctr("images", "import", SHARE / "busybox.tar")
            other.ctr("run", "-d", self.IMAGE, "same", "sleep", "300")
            r = self.ctr("run", "-d", self.IMAGE, "same", "sleep", "300", check=False)
            self.assertIn("container with given ID already exists", r.stderr)
            self.ctr("containers", "delete", "same", check=False)
            pid = int(next(p for p in processes(str(base.path)) if "-id same" in p).split()[0])
            init = int(other.ctr("tasks", "list").stdout.splitlines()[1].split()[1])
            self.assertTrue(os.path.exists(f"/proc/{init}"))

            other.kill()
            os.kill(pid, signal.SIGKILL)
            os.kill(init, signal.SIGKILL)
            wait_for("the end", lambda: not os.path.exists(f"/proc/{init}"))
            self.running(name="same")
            other.start()
            self.assertNotIn("RUNNING", other.ctr("tasks", "list").stdout)
            other.ctr("tasks", "delete", "same", check=False)
            self.assertIn("RUNNING", self.task_line("same"))
        finally:
            other.stop()

    RUNC_ROOT = pathlib.Path("/run/containerd/runc/default")

    def test_a_created_container_of_the_same_name_is_left_alone(self):
        """It has not run anything yet, which is no reason to take its name."""
        b = Bundle(self.scratch.path / "created")
        b.config["process"]["args"] = ["sleep", "300"]
        b.write()
        runc = [str(w) for w in (program("runc"), "--root", self.RUNC_ROOT)]
        subprocess.run([*runc, "create", "-b", b.path, "same"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True, timeout=20)
        try:
            r = self.ctr("run", "-d", self.IMAGE, "same", "sleep", "300", check=False)
            self.assertIn("container with given ID already exists", r.stderr)
            self.ctr("containers", "delete", "same", check=False)
            run([*runc, "start", "same"])
            self.assertEqual(json.loads(run([*runc, "state", "same"]).stdout)["status"], "running")
        finally:
            run([*runc, "delete", "--force", "same"])

    def test_one_that_is_being_made_is_waited_for(self):
        """Whoever makes it holds a lock on its folder; what is cleaned up meanwhile is somebody else's."""
        folder, bundle = self.RUNC_ROOT / "made", self.scratch.path / "bundle"
        for f in (folder, bundle):
            f.mkdir(parents=True)
        fd = os.open(folder, os.O_RDONLY)
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)
        fcntl.fcntl(fd, 37, lock)  # F_OFD_SETLK
        p = subprocess.Popen([program("containerd-shim-runc-v2"), "-namespace", "default", "-id", "made", "-address", "/x", "-bundle",
                              bundle, "delete"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            with self.assertRaises(subprocess.TimeoutExpired):
                p.wait(1)
            self.assertTrue(folder.exists())
        finally:
            os.close(fd)
            p.wait(10)
        self.assertFalse(folder.exists())  # nobody made it after all

    def test_a_second_daemon_on_the_same_root_is_refused(self):
        r = run([program("containerd"), "--config", self.daemon.config, "--address", str(self.scratch.path / "other.sock")],
                check=False, timeout=20)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn(str(self.daemon.root), r.stderr)


if __name__ == "__main__":
    unittest.main()
