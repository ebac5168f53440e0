"""Text of images, containers and registries on the operator's terminal, and checkpoints that a stranger made."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import rpc  # noqa: E402
from casco import DaemonTest, Terminal, program, wait_for  # noqa: E402
from checkpointed import give_stub_criu  # noqa: E402

# A window's title, red, the same in C1, and DEL; what has to be left of it.
EVIL = "\x1b]0;PWN\x07\x1b[31m\u009b31m\u0085\x7fé"
LEFT = "?]0;PWN??[31m?31m??é"
SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Spec"


class Text(DaemonTest):
    def clean(self, *args, has=None, **kw):
        r = self.ctr(*args, check=False, **kw)
        for text in r.stdout, r.stderr:
            self.assertEqual([c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"], [], (args, text))
        if has:
            self.assertIn(has, r.stdout + r.stderr, args)
        return r

    def test_errors(self):
        r = self.clean("run", "--rm", self.IMAGE, "none", f"/no{EVIL}such")
        self.assertEqual(r.returncode, 1)
        self.clean("images", "inspect", f"a{EVIL}")
        self.clean(f"x{EVIL}")
        self.clean("run", f"--x{EVIL}", has="Incorrect Usage")

    def test_tables_and_trees(self):
        self.ctr("images", "label", self.IMAGE, f"a=b{EVIL}")
        self.addCleanup(self.ctr, "images", "label", self.IMAGE, "a=")
        self.clean("images", "list", has=LEFT)
        self.clean("images", "inspect", self.IMAGE, has=f'"a": "b{LEFT}"')
        self.clean("images", "label", self.IMAGE, "c=d", has=f"a=b{LEFT}")
        digest = next(w for w in self.ctr("images", "list").stdout.split() if w.startswith("sha256:"))
        self.ctr("content", "label", digest, f"e=f{EVIL}")
        self.addCleanup(self.ctr, "content", "label", digest, "e=")
        self.clean("images", "inspect", "--content", self.IMAGE, has=f'"e": "f{LEFT}"')
        self.clean("content", "list", has=LEFT)

    def test_labels_forge_no_lines(self):
        self.ctr("images", "label", self.IMAGE, "a=b\nevil:1 c")
        self.addCleanup(self.ctr, "images", "label", self.IMAGE, "a=")
        self.assertEqual(len(self.ctr("images", "list").stdout.splitlines()), 2)
        self.assertIn('"b?evil:1 c"', self.ctr("images", "inspect", self.IMAGE).stdout)

    def test_containers(self):
        self.running("--label", f"a=b{EVIL}", command=("sh", "-c", f"echo 'to a log{EVIL}'; sleep 300 # {EVIL}"))
        self.clean("ps")
        self.clean("ps", "--no-trunc", has=LEFT)
        self.clean("tasks", "ps", "box")
        self.clean("containers", "label", "box", "c=d", has=f"a=b{LEFT}")
        wait_for("its log", lambda: "to a log" in self.ctr("logs", "box").stdout)
        self.assertIn(EVIL, self.ctr("logs", "box").stdout, "a container's own words are handed on")
        for args in ("containers", "info", "box"), ("inspect", "box"), ("containers", "list", "--format", "json"):
            json.loads(self.clean(*args).stdout)  # escaped, and nothing lost
        self.assertEqual(json.loads(self.ctr("inspect", "box").stdout)["Spec"]["process"]["args"][2],
                         f"echo 'to a log{EVIL}'; sleep 300 # {EVIL}")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "box")
        wait_for("its end", lambda: "STOPPED" in self.task_line("box"))
        self.clean("why", "box", has="to a log" + LEFT)

    def test_a_value_is_exact_for_scripts_only(self):
        self.ctr("containers", "create", self.IMAGE, "one", f"echo{EVIL}")
        path = "Spec.process.args[0]"
        self.assertEqual(self.ctr("inspect", "one", path).stdout, f"echo{EVIL}\n")
        t = Terminal([program("ctr"), "-a", self.daemon.address, "inspect", "one", path])
        t.expect(f"echo{LEFT}")
        self.assertEqual(t.wait(), 0)
        self.assertNotIn("\x1b", t.seen)


class Logs(DaemonTest):
    """Who may write in the log's folder neither stops a reader nor leads it to another file."""

    def setUp(self):
        self.running(command=("sh", "-c", "echo said; sleep 300"))
        wait_for("its log", lambda: "said" in self.ctr("logs", "box").stdout)
        self.log = pathlib.Path(json.loads(self.ctr("inspect", "box").stdout)["LogPath"]) / "container.log"
        self.text = self.log.read_bytes()

    def read(self):
        env = {**os.environ, "CONTAINERD_ADDRESS": str(self.daemon.address)}
        return subprocess.run([program("ctr"), "logs", "box"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=20, check=False)

    def test_a_fifo_and_a_device(self):
        for place in self.log, self.log.with_name("container.log.000001"):
            place.unlink(missing_ok=True)
            os.mkfifo(place)
            self.assertNotIn("said", self.read().stdout)  # and an end, above all
            place.unlink()

    def test_a_link(self):
        secret = self.scratch.path / "secret"
        secret.write_bytes(self.text)
        self.log.unlink()
        self.log.symlink_to(secret)
        self.assertNotIn("said", self.read().stdout)
        self.log.unlink()


class Checkpoints(DaemonTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        give_stub_criu(cls)

    def save(self):
        self.addCleanup(self.ctr, "images", "delete", "--sync", "evil:1", check=False)
        self.ctr("containers", "checkpoint", "--image", "--task", "evil", "evil:1")
        self.ctr("tasks", "kill", "-s", "SIGKILL", "evil")
        wait_for("its end", lambda: "STOPPED" in self.task_line("evil"))
        self.ctr("tasks", "delete", "evil", check=False)
        self.ctr("containers", "delete", "evil")

    def saved(self, *options):
        """A checkpoint of a container that was made with these options."""
        self.running(*options, name="evil")
        self.save()

    def refused(self, why):
        r = self.ctr("containers", "restore", "again", "evil:1", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"the checkpoint {why}", r.stderr.replace("\\", ""))
        self.assertIn("--allow-host-programs", r.stderr)
        self.assertEqual(self.ctr("containers", "list", "-q").stdout, "")
        self.assertNotIn("again", self.ctr("snapshots", "list").stdout)

    def allowed(self, *flags):
        self.ctr("containers", "restore", *flags, "again", "evil:1")
        wait_for("its start", lambda: "RUNNING" in self.task_line("again"))

    def test_what_names_nothing(self):
        self.saved()
        self.allowed()

    def test_a_binary(self):
        self.saved("--runc-binary", program("runc"))
        self.refused("sets the runtime's option binary_name")
        self.allowed("--allow-host-programs")

    def test_a_root(self):
        self.saved("--runc-root", self.scratch.path / "state")
        self.refused("sets the runtime's option root")

    def test_a_shim(self):
        self.saved("--runtime", program("containerd-shim-runc-v2"))
        self.refused("names the program")
        self.allowed("--allow-host-programs")

    def foreign(self, key="hooks", twice=False):
        """A checkpoint whose spec has a hook under this key, as a stranger's tool would make it; the file that the hook makes."""
        made = self.scratch.path / "made"
        made.unlink(missing_ok=True)
        self.running(name="evil")
        spec = json.loads(self.ctr("containers", "info", "--spec", "evil").stdout)
        spec.pop("hooks", None)
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo x >{made}"]}
        text = json.dumps({**spec, key: {"createRuntime": [hook]}})
        text = text[:-1] + ', "hooks": {}}' if twice else text
        value = "".join(f"\\{b:03o}" for b in text.encode())
        rpc.call(self.daemon, "containerd/services/containers/v1/containers.proto", "Containers/Update",
                 f'container {{ id: "evil" spec {{ type_url: "{SPEC}" value: "{value}" }} }} update_mask {{ paths: "spec" }}')
        self.save()
        return made

    @unittest.skipUnless(shutil.which("protoc"), "protoc is not installed")
    def test_hooks(self):
        made = self.foreign()
        self.refused("has hooks in its spec")
        self.assertFalse(made.exists())
        self.allowed("--allow-host-programs")
        self.assertTrue(made.exists())

    @unittest.skipUnless(shutil.which("protoc"), "protoc is not installed")
    def test_hooks_in_the_eyes_of_others(self):
        """Go's decoder folds case, and letters to ASCII; of a key that is there twice it keeps the hooks of both."""
        for key in "Hooks", "hook\u017f":
            with self.subTest(key):
                self.foreign(key)
                self.refused("has hooks in its spec")
                self.ctr("images", "delete", "--sync", "evil:1")
        made = self.foreign(twice=True)
        self.allowed()
        spec = self.ctr("containers", "info", "--spec", "again").stdout
        self.assertNotIn("createRuntime", spec)
        self.assertFalse(made.exists())

    def test_export_is_whole(self):
        """What an index lists beside manifests goes into the archive, and into no parser."""
        self.running(name="evil")
        self.addCleanup(self.ctr, "images", "delete", "--sync", "evil:1", check=False)
        self.ctr("containers", "checkpoint", "--image", "--rw", "--task", "evil", "evil:1")
        for way in [], ["--local"], ["--platform", "linux/amd64"]:
            with self.subTest(way):
                path = self.scratch.path / "saved.tar"
                self.ctr("images", "export", *way, path, "evil:1")
                with tarfile.open(path) as t:
                    sizes = {m.name: m.size for m in t.getmembers()}
                    blob = lambda d: f"blobs/{d['digest'].replace(':', '/')}"  # noqa: E731
                    top = json.load(t.extractfile("index.json"))["manifests"][0]
                    parts = json.load(t.extractfile(blob(top)))["manifests"]
                self.assertGreaterEqual(len({m["mediaType"] for m in parts}), 4)
                self.assertEqual([m for m in parts if sizes.get(blob(m)) != m["size"]], [])

    def test_export_comes_back(self):
        self.saved()
        path = self.scratch.path / "saved.tar"
        self.ctr("images", "export", path, "evil:1")
        self.ctr("images", "delete", "--sync", "evil:1")
        self.ctr("images", "import", "--no-unpack", path)
        self.allowed()


if __name__ == "__main__":
    unittest.main()
