"""What a task leaves when somebody is killed at a bad moment: fifos, sockets, folders, state and cgroups.  Each case stands for one
that tests/soak/churn.py meets by chance."""
import os
import pathlib
import signal
import socket
import subprocess
import time
import unittest

import rpc
from bundle import RuncTest, cgroups_named
from casco import DaemonTest, our_env, processes, program, wait_for

FIFOS, SOCKETS, RUNC = (pathlib.Path("/run/containerd") / n for n in ("fifo", "s", "runc/default"))
TASKS, SNAPSHOTS, CONTAINERS = (f"containerd/services/{n}/v1/{n}.proto" for n in ("tasks", "snapshots", "containers"))

# Stands between the daemon and the shim; its verb `delete` does what the file beside it says.
WRAPPER = """#!/bin/sh
for last; do :; done
if [ "$last" = delete ]; then
    echo x >>"$0.deletes"
    . "$0.does"
fi
exec {shim} "$@"
"""


def fifo_folders(name):
    return sorted(str(p.parent) for p in FIFOS.glob(f"*/{name}-stdin"))


def has_ended(pid):
    """A zombie has: it is its new parent's to wait for."""
    try:
        return ") Z " in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


class Remains(DaemonTest):
    def shim(self, name):
        return int(next(p for p in processes(str(self.scratch.path)) if "containerd-shim" in p and f"-id {name} " in p).split()[0])

    def bundle_gone(self, name):
        """It is the last thing that goes, after the task from the lists."""
        bundle = self.daemon.state / "io.containerd.runtime.v2.task/default" / name
        wait_for("the bundle to be gone", lambda: not bundle.exists())

    def kill_shim(self, name, stays=False):
        os.kill(self.shim(name), signal.SIGKILL)
        wait_for("the task to be gone", lambda: not self.task_line(name))
        if not stays:
            self.bundle_gone(name)

    def restart(self):
        self.daemon.kill()
        self.daemon.start()

    # --- fifos ---

    def test_fifos_of_a_detached_client(self):
        """With those of its execs, and when the daemon that knew them was killed, too."""
        self.running(name="det")
        self.ctr("tasks", "exec", "-d", "--exec-id", "det-e", "det", "sleep", "300")
        self.assertEqual([len(fifo_folders(n)) for n in ("det", "det-e")], [1, 1])
        self.restart()
        self.kill_shim("det")
        self.assertEqual([fifo_folders(n) for n in ("det", "det-e")], [[], []])
        self.ctr("containers", "delete", "det")

    def test_fifos_of_an_exec_that_is_deleted(self):
        self.running(name="long")
        self.ctr("tasks", "exec", "-d", "--exec-id", "long-e", "long", "true")
        self.assertEqual(len(fifo_folders("long-e")), 1)
        wait_for("its end", lambda: "process long-e" not in self.ctr("tasks", "ps", "long").stdout)
        rpc.call(self.daemon, TASKS, "Tasks/DeleteProcess", 'container_id: "long" exec_id: "long-e"')
        self.assertEqual(fifo_folders("long-e"), [])
        self.assertEqual(len(fifo_folders("long")), 1)  # its own are in use
        self.assertEqual(list((self.daemon.state / "io.containerd.runtime.v2.task/default/long").glob("fifo.*")), [])

    def test_nothing_but_a_clients_fifos_is_removed(self):
        """The paths are the client's words."""
        FIFOS.mkdir(parents=True, exist_ok=True)
        mine, trap, other = FIFOS / "mine", FIFOS / "trap", self.scratch.path / "other"
        for folder in (mine, other):
            folder.mkdir()
            os.mkfifo(folder / "odd-stdin")
        (mine / "odd-stdout").write_text("no fifo")
        os.mkfifo(mine / "another-stdin")
        os.symlink(other, trap)
        self.addCleanup(lambda: [p.unlink() for p in (*mine.iterdir(), trap)] + [mine.rmdir()])
        for name, path in (("odd", mine / "odd-stdin"), ("odd", trap / "odd-stdin"), ("odd", other / "odd-stdin"),
                           ("even", mine / "odd-stdin"), ("odd", FIFOS / "../fifo/mine/odd-stdin"), ("odd", FIFOS / "mine/../mine/odd-stdin")):
            with self.subTest(str(path), name=name):
                if not (mine / "odd-stdin").exists():
                    os.mkfifo(mine / "odd-stdin")
                self.ctr("containers", "create", self.IMAGE, name, "sleep", "300")
                mounts = rpc.call(self.daemon, SNAPSHOTS, "Snapshots/Mounts", f'snapshotter: "overlayfs" key: "{name}"')[0]
                keeper = os.open(path, os.O_RDWR | os.O_NONBLOCK)
                rootfs = mounts.replace("mounts {", "rootfs {")
                rpc.call(self.daemon, TASKS, "Tasks/Create", f'container_id: "{name}" stdin: "{path}" {rootfs}')
                os.close(keeper)
                self.kill_shim(name)
                self.ctr("containers", "delete", name)
                self.assertEqual((mine / "odd-stdin").exists(), not (name == "odd" and path == mine / "odd-stdin"))
                self.assertTrue((other / "odd-stdin").exists() and trap.is_symlink() and (mine / "another-stdin").exists())
                self.assertEqual((mine / "odd-stdout").read_text(), "no fifo")

    # --- sockets ---

    def test_the_socket_of_a_killed_shim(self):
        self.running(name="sock")
        before = set(SOCKETS.iterdir())
        self.kill_shim("sock")
        self.assertEqual(len(before - set(SOCKETS.iterdir())), 1)
        self.ctr("containers", "delete", "sock")

    def test_sockets_that_nobody_knows_of(self):
        """A start of the daemon removes those of dead shims, and only those."""
        self.running(name="serves")
        places = {n: SOCKETS / (n * 64) for n in "abcd"}
        places["long"] = SOCKETS / ("a" * 65)
        held = []
        for n, path in places.items():
            s = socket.socket(socket.AF_UNIX)
            s.bind(str(path)) if n != "d" else path.write_text("no socket")
            if n == "b":
                s.listen()
                held.append(s)
            else:
                s.close()
            if n != "c":
                os.utime(path, (time.time() - 60,) * 2)
        living = set(SOCKETS.iterdir()) - set(places.values())
        self.restart()
        try:
            wait_for("the sweep", lambda: not places["a"].exists())
            self.assertEqual([n for n, p in places.items() if p.exists()], ["b", "c", "d", "long"])  # c is too young
            self.assertLessEqual(living, set(SOCKETS.iterdir()))
            self.assertIn("RUNNING", self.task_line("serves"))
        finally:
            for s in held:
                s.close()
            for p in places.values():
                p.unlink(missing_ok=True)

    # --- a verb that is killed, or fails ---

    def wrapped(self, name, does):
        """A container whose shim's delete verb does that first, and the wrapper's path."""
        path = self.scratch.path / f"containerd-shim-{name}-v1"
        path.write_text(WRAPPER.format(shim=program("containerd-shim-runc-v2")))
        path.chmod(0o755)
        pathlib.Path(f"{path}.does").write_text(does)
        self.running("--runtime", path, name=name)
        return path

    def assert_gone(self, name):
        self.bundle_gone(name)
        self.assertEqual(cgroups_named(name), [])
        self.assertFalse((RUNC / name).exists())
        self.assertEqual([p for p in processes(f"-id {name} ")], [])

    def test_a_killed_delete_verb_is_run_again(self):
        path = self.wrapped("again", '[ $(wc -l <"$0.deletes") -ge 3 ] || kill -9 $$')
        self.kill_shim("again")
        self.assertEqual(len(pathlib.Path(f"{path}.deletes").read_text()), 6)
        self.assert_gone("again")
        self.ctr("containers", "delete", "again")

    def test_what_a_delete_verb_could_not_do_is_tried_again(self):
        """The bundle stays, by which the next daemon knows of it."""
        path = self.wrapped("later", "exit 1")
        self.kill_shim("later", stays=True)
        bundle = self.daemon.state / "io.containerd.runtime.v2.task/default/later"
        self.assertTrue(bundle.exists())
        self.assertFalse(os.path.ismount(bundle / "rootfs"))
        self.assertTrue(cgroups_named("later"))
        pathlib.Path(f"{path}.does").write_text("")
        self.restart()
        self.assert_gone("later")
        self.ctr("containers", "delete", "later")

    def test_and_by_the_daemon_itself(self):
        """A new task of that name meanwhile waits for it, and is not in its way."""
        path = self.wrapped("soon", 'sleep 1; [ -e "$0.may" ] || exit 1')
        self.kill_shim("soon", stays=True)
        self.assertTrue(cgroups_named("soon"))
        pathlib.Path(f"{path}.may").touch()
        wait_for("another attempt", lambda: len(pathlib.Path(f"{path}.deletes").read_text()) == 4)
        self.assertIn("not found", self.ctr("tasks", "kill", "soon", check=False).stderr)
        self.ctr("tasks", "start", "-d", "soon")
        self.assertIn("RUNNING", self.task_line("soon"))
        self.assertEqual(len(pathlib.Path(f"{path}.deletes").read_text()), 4)
        self.kill_shim("soon")
        self.assert_gone("soon")
        self.ctr("containers", "delete", "soon")

    def test_a_start_that_failed_and_could_not_be_undone(self):
        path = self.wrapped("undone", 'sleep 0.5; [ -e "$0.may" ] || exit 1')
        pathlib.Path(f"{path}.may").touch()
        self.kill_shim("undone")
        self.ctr("containers", "delete", "undone")
        pathlib.Path(f"{path}.may").unlink()
        self.assertIn("not found", self.ctr("run", "-d", "--runtime", path, self.IMAGE, "undone", "no-such-program", check=False).stderr)
        bundle = self.daemon.state / "io.containerd.runtime.v2.task/default/undone"
        self.assertTrue(bundle.exists())
        pathlib.Path(f"{path}.may").touch()
        self.assert_gone("undone")

    def test_a_killed_runtime_is_run_again(self):
        """One by its command line, which the delete verb calls."""
        runc = self.scratch.path / "runc-of-mine"
        runc.write_text(f"""#!/bin/sh
case " $* " in *" delete "*)
    echo x >>"$0.deletes"
    [ $(wc -l <"$0.deletes") -ge 3 ] || kill -9 $$
esac
exec {program("runc")} "$@"
""")
        runc.chmod(0o755)
        self.running("--runc-binary", runc, name="twice")
        self.kill_shim("twice")
        self.assertEqual(len(pathlib.Path(f"{runc}.deletes").read_text()), 6)
        self.assert_gone("twice")
        self.ctr("containers", "delete", "twice")

    def test_a_runtime_that_cannot_delete(self):
        """How the container ended is known all the same, and the next daemon tries again."""
        runc = self.scratch.path / "runc-that-fails"
        script = f"""#!/bin/sh
case " $* " in *" delete "*) exit 1; esac
exec {program("runc")} "$@"
"""
        runc.write_text(script)
        runc.chmod(0o755)
        self.running("--runc-binary", runc, name="fails")
        pid = int(self.task_line("fails").split()[1])
        self.kill_shim("fails", stays=True)
        self.assertTrue((RUNC / "fails").exists())
        self.assertIn('"exit_status":137', (self.daemon.state / "io.casco.history/default/fails").read_text().replace(" ", ""))
        runc.write_text(script.replace("exit 1", "true"))
        self.restart()
        self.assert_gone("fails")
        wait_for("the end of its process", lambda: has_ended(pid))
        self.ctr("containers", "delete", "fails")

    # --- folders of the daemon's ---

    def test_the_log_of_a_container_that_was_deleted(self):
        """And the daemon killed before it came to that."""
        logs = self.daemon.root / "io.casco.logs/default"
        self.running(name="logged", command=("sh", "-c", "echo kept; exec sleep 300"))
        wait_for("its log", (logs / "logged/container.log").exists)
        (logs / "unlogged").mkdir()
        (logs / "unlogged/container.log").write_text("")
        self.restart()
        self.assertEqual(os.listdir(logs), ["logged"])
        self.assertIn("kept", self.ctr("logs", "logged").stdout)

    def test_a_work_folder_without_a_bundle(self):
        self.running(name="works")
        top = self.daemon.root / "io.containerd.runtime.v2.task/default"
        (top / "gone" / "criu-work").mkdir(parents=True)
        self.restart()
        self.assertEqual(sorted(p.name for p in top.iterdir()), ["works"])
        self.assertIn("RUNNING", self.task_line("works"))

    def test_news_of_a_container_that_was_deleted(self):
        """Its task ends later."""
        self.running(name="early")
        history = self.daemon.state / "io.casco.history/default/early"
        self.running(name="witness")
        rpc.call(self.daemon, CONTAINERS, "Containers/Delete", 'id: "early"')
        for name in ("early", "witness"):
            os.kill(int(self.task_line(name).split()[1]), signal.SIGKILL)
        wait_for("the end", lambda: "STOPPED" in self.task_line("early"))
        wait_for("the witness' history", (history.parent / "witness").exists)
        self.assertFalse(history.exists())
        rpc.call(self.daemon, TASKS, "Tasks/Delete", 'container_id: "early"')


class HalfDeleted(RuncTest):
    def create(self):
        self.b.config["process"]["args"] = ["sleep", "300"]
        self.b.write()
        subprocess.run([program("runc"), "--root", self.state, "create", "-b", self.b.path, self.id], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=our_env(), check=True, timeout=20)

    def test_a_folder_without_state(self):
        """Its deletion, or its creation, was killed.  It is not there, says delete, and then it is not."""
        self.create()
        (self.state / self.id / "state.json").unlink()
        self.assertTrue(cgroups_named(self.id))
        r = self.runc("delete", self.id)
        self.assertEqual(r.returncode, 1)
        self.assertIn("container does not exist", r.stderr)
        self.assertFalse((self.state / self.id).exists())
        self.assertEqual(cgroups_named(self.id), [])

    def test_an_empty_folder(self):
        (self.state / self.id).mkdir(parents=True)
        self.assertEqual(self.runc("delete", self.id).returncode, 1)
        self.assertFalse((self.state / self.id).exists())

    def test_a_stranger_in_its_cgroup(self):
        """A helper that was killed on its way into the container: by force, it ends with it."""
        self.create()
        with subprocess.Popen(["sleep", "300"]) as stranger:
            for folder in cgroups_named(self.id):
                pathlib.Path(folder, "cgroup.procs").write_text(str(stranger.pid))
            self.runc("kill", self.id, "KILL")
            wait_for("the end", lambda: '"stopped"' in self.runc("state", self.id).stdout)
            self.assertEqual(self.runc("delete", "-f", self.id).returncode, 0)
            self.assertEqual(stranger.wait(5), -signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
