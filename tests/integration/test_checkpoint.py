"""Checkpoints of tasks through the API: ctr to daemon to shim to runc to criu, and back."""
import json
import shutil
import unittest

from casco import DaemonTest, wait_for
from checkpointed import give_stub_criu, why_no_criu

IMAGES = "application/vnd.containerd.container.criu.checkpoint.criu.tar"
CONFIG = "application/vnd.containerd.container.checkpoint.config.v1+proto"
DEBIAN_CTR = "/usr/bin/ctr"


class Checkpoints(DaemonTest):
    def tearDown(self):
        super().tearDown()
        work = self.daemon.root / "io.containerd.runtime.v2.task/default"
        self.assertEqual(list((self.daemon.root / "checkpoints").glob("*")), [], "images on their way")
        self.assertEqual([p for p in work.rglob("*") if p.is_dir()] if work.exists() else [], [], "folders of checkpoints")

    def end(self, name):
        """What is restored goes where the original was: into its cgroup, too."""
        self.ctr("tasks", "kill", "-s", "SIGKILL", name)
        wait_for("its end", lambda: "STOPPED" in self.task_line(name))
        self.ctr("tasks", "delete", name, check=False)

    def index(self, name):
        line = next(l for l in self.ctr("images", "list").stdout.splitlines() if l.startswith(name))
        return json.loads(self.ctr("content", "get", next(w for w in line.split() if w.startswith("sha256:"))).stdout)


class Stub(Checkpoints):
    """A criu that saves nothing: what is asked of it, recorded of it, and told when it fails."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        give_stub_criu(cls)

    def test_what_fails_is_told_and_the_task_goes_on(self):
        self.words.write_text("fail")
        self.running()
        r = self.ctr("tasks", "checkpoint", "box", check=False)
        self.assertIn("OCI runtime checkpoint failed: criu failed: type DUMP errno 5", r.stderr.replace("\\", ""))
        self.assertIn("RUNNING", self.task_line("box"))
        self.assertNotIn("checkpoint", self.ctr("images", "list", "-q").stdout)
        self.ctr("containers", "create", self.IMAGE, "idle", "true")
        self.assertIn("no running task found", self.ctr("tasks", "checkpoint", "idle", check=False).stderr)

    def test_what_is_recorded_and_handed_back(self):
        self.words.write_text("")
        self.running()
        name = self.ctr("tasks", "checkpoint", "box").stdout.strip()
        self.assertRegex(name, r"^containerd.io/checkpoint/box:\d\d-\d\d-\d{4}-\d\d:\d\d:\d\d$")
        types = [m["mediaType"] for m in self.index(name)["manifests"]]
        self.assertEqual(types[:2], [IMAGES, CONFIG])
        dump = [json.loads(l) for l in self.asked.read_text().splitlines() if '"DUMP"' in l][-1]
        self.assertEqual(dump["opts"]["3"], [1], "left running")

        self.ctr("containers", "checkpoint", "--image", "--task", "box", "saved:1")
        index = self.index("saved:1")
        self.assertEqual({m["mediaType"] for m in index["manifests"]} & {IMAGES, CONFIG}, {IMAGES, CONFIG})
        self.assertEqual(index["annotations"]["org.opencontainers.image.ref.name"], self.IMAGE)
        self.end("box")
        self.words.write_text("fail")
        r = self.ctr("containers", "restore", "--live", "again", "saved:1", check=False)
        self.assertIn("OCI runtime restore failed: criu failed: type RESTORE errno 5", r.stderr.replace("\\", ""))
        self.assertEqual(self.task_line("again"), "")
        self.ctr("containers", "restore", "anew", "saved:1")
        wait_for("a fresh start", lambda: "RUNNING" in self.task_line("anew"))
        r = self.ctr("containers", "restore", "none", self.IMAGE, check=False)
        self.assertIn("is no checkpoint", r.stderr)


class Files(Checkpoints):
    """Without --task: the container and, if asked for, its files; its program starts anew."""

    def check(self, binary):
        self.addCleanup(self.ctr, "images", "remove", "files:1", check=False)
        self.running("--env", "WORD=kept", command=("sh", "-c", "echo $WORD >>/said; sleep 300"))
        wait_for("its file", lambda: self.ctr("tasks", "exec", "--exec-id", "e", "box", "cat", "/said", check=False).stdout)
        self.ctr("containers", "checkpoint", "--rw", "--image", "box", "files:1")
        self.assertIn(CONFIG, {m["mediaType"] for m in self.index("files:1")["manifests"]})
        self.end("box")
        self.ctr("containers", "restore", "--rw", "box2", "files:1", binary=binary)
        wait_for("both words", lambda: self.ctr("tasks", "exec", "--exec-id", "e", "box2", "cat", "/said").stdout == "kept\nkept\n")

    def test_own_client(self):
        self.check(None)

    @unittest.skipUnless(shutil.which(DEBIAN_CTR), "Debian's ctr is not installed")
    def test_debian_client(self):
        self.check(DEBIAN_CTR)

    def test_a_container_that_never_ran(self):
        self.addCleanup(self.ctr, "images", "remove", "idle:1", check=False)
        self.ctr("containers", "create", self.IMAGE, "idle", "sleep", "300")
        self.ctr("containers", "checkpoint", "idle", "idle:1")
        self.ctr("containers", "restore", "idle2", "idle:1")
        wait_for("its start", lambda: "RUNNING" in self.task_line("idle2"))


@unittest.skipUnless(why_no_criu() is None, why_no_criu())
class Live(Checkpoints):
    def number(self, name):
        return int(self.ctr("tasks", "exec", "--exec-id", "n", name, "cat", "/n").stdout or 0)

    def check(self, binary):
        self.addCleanup(self.ctr, "images", "remove", "live:1", check=False)
        self.running(command=("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/n; sleep 0.05; done"))
        wait_for("counting", lambda: self.number("box") > 10)
        self.ctr("containers", "checkpoint", "--rw", "--image", "--task", "box", "live:1", binary=binary)
        self.end("box")
        self.ctr("containers", "restore", "--rw", "--live", "box2", "live:1", binary=binary)
        wait_for("it goes on", lambda: self.number("box2") > 15)
        self.ctr("tasks", "checkpoint", "--exit", "box2", binary=binary)
        wait_for("its end", lambda: "STOPPED" in self.task_line("box2"))

    def test_own_client(self):
        self.check(None)

    @unittest.skipUnless(shutil.which(DEBIAN_CTR), "Debian's ctr is not installed")
    def test_debian_client(self):
        self.check(DEBIAN_CTR)


if __name__ == "__main__":
    unittest.main()
