"""Images into archives, read back by others (podman, GNU tar) and by ourselves."""
import json
import shutil
import subprocess
import tarfile
import unittest

from casco import DaemonTest, run


class Export(DaemonTest):
    def archive(self, *flags, images=None, name="out.tar"):
        path = self.scratch.path / name
        self.ctr("images", "export", *flags, path, *(images or [self.IMAGE]))
        return path

    def test_what_is_in_it(self):
        path = self.archive()
        with tarfile.open(path) as tar:
            names = tar.getnames()
            index = json.load(tar.extractfile("index.json"))
            docker = json.load(tar.extractfile("manifest.json"))
            self.assertEqual(json.load(tar.extractfile("oci-layout")), {"imageLayoutVersion": "1.0.0"})
            for entry in docker:
                for blob in [entry["Config"], *entry["Layers"]]:
                    self.assertIn(blob, names)
        self.assertEqual(index["manifests"][0]["annotations"],
                         {"io.containerd.image.name": self.IMAGE, "org.opencontainers.image.ref.name": "latest"})
        self.assertEqual(docker[0]["RepoTags"], ["busybox:latest"])
        self.assertNotIn("manifest.json", run(["tar", "-tf", self.archive("--skip-manifest-json")]).stdout.split())

    def test_the_same_bytes_to_stdout_and_again(self):
        path = self.archive()
        r = subprocess.run(self.daemon.command("images", "export", "-", self.IMAGE), env=self.daemon.env, stdout=subprocess.PIPE, check=True)
        self.assertEqual(r.stdout, path.read_bytes())

    def test_back_again(self):
        self.ctr("images", "tag", self.IMAGE, "example.com/other:1")
        path = self.archive(images=[self.IMAGE, "example.com/other:1"])
        before = {line.split()[0]: line.split()[2] for line in self.ctr("images", "list").stdout.splitlines()[1:]}
        for name in (self.IMAGE, "example.com/other:1"):
            self.ctr("images", "rm", "--sync", name)
        self.assertEqual(self.ctr("content", "list", "-q").stdout, "")
        self.ctr("images", "import", path)
        after = {line.split()[0]: line.split()[2] for line in self.ctr("images", "list").stdout.splitlines()[1:]}
        self.assertEqual(before, after)
        self.assertEqual(self.ctr("run", "--rm", "example.com/other:1", "x", "echo", "yes").stdout, "yes\n")
        self.ctr("images", "rm", "example.com/other:1")

    def test_failures(self):
        r = self.ctr("images", "export", self.scratch.path / "no.tar", "example.com/nosuch:1", check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("not found", r.stderr)
        self.assertFalse((self.scratch.path / "no.tar").exists())
        # a reader that goes away ends the export
        r = subprocess.run(["sh", "-c", '"$@" | head -c 10', "sh", *self.daemon.command("images", "export", "-", self.IMAGE)],
                           env=self.daemon.env, capture_output=True, timeout=30, check=False)
        self.assertEqual(len(r.stdout), 10)
        self.ctr("version")

    @unittest.skipUnless(shutil.which("podman"), "podman is not installed")
    def test_podman_loads_it(self):
        place = self.scratch.path / "podman"
        podman = ["podman", "--root", place / "root", "--runroot", place / "run", "--tmpdir", place / "tmp", "--storage-driver", "vfs"]
        r = run([*podman, "load", "-i", self.archive()])
        self.assertIn("docker.io/library/busybox:latest", r.stdout)


if __name__ == "__main__":
    unittest.main()
