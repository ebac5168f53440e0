"""ctr snapshots, from prepare to diff, on each snapshotter that works here."""
import io
import subprocess
import tarfile
import unittest

from casco import DaemonTest, run


class Snapshots(DaemonTest):
    def chain(self):
        """The image's top snapshot, unpacked for this snapshotter."""
        digest = self.ctr("images", "list").stdout.splitlines()[1].split()[2]
        self.ctr("snapshots", "unpack", "--snapshotter", self.snapshotter, digest)
        return next(line.split()[0] for line in self.sn("list").stdout.splitlines()[1:] if line.startswith("sha256:"))

    def sn(self, command, *args, **kw):
        return self.ctr("snapshots", command, "--snapshotter", self.snapshotter, *args, **kw)

    def change(self, key):
        """Mounts it as the printed command says, and changes something."""
        where = self.scratch.path / f"mnt-{self.snapshotter}"
        where.mkdir(exist_ok=True)
        for line in self.sn("mounts", where, key).stdout.splitlines():
            run(line.split())
        try:
            (where / "new").write_text("new\n")
            (where / "etc/passwd").unlink()
        finally:
            run(["umount", where])

    def layer(self, *args):
        r = subprocess.run(self.daemon.command("snapshots", "diff", "--snapshotter", self.snapshotter, *args), env=self.daemon.env,
                           stdout=subprocess.PIPE, check=True)
        return r.stdout

    def names(self, data):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return tar.getnames()

    def test_from_prepare_to_diff(self):
        layers = {}
        for self.snapshotter in ("overlayfs", "native"):
            parent = self.chain()
            r = self.sn("prepare", "--mounts", "work", parent)
            self.assertIn('"Source"', r.stdout)
            self.change("work")
            names = self.names(self.layer("work"))
            self.assertEqual(names, ["etc", "etc/.wh.passwd", "new"])
            self.sn("commit", "done", "work")
            self.assertEqual(self.names(self.layer("--media-type", "application/vnd.oci.image.layer.v1.tar+zstd", parent, "done"))
                             if hasattr(tarfile, "ZstdFile") else names, names)
            self.assertEqual(self.layer("done"), self.layer(parent, "done"))
            layers[self.snapshotter] = self.names(self.layer("--media-type", "application/vnd.oci.image.layer.v1.tar", "done"))
            self.assertIn("a=b", self.sn("label", "done", "a=b").stdout)
            self.sn("view", "look", "done")
            self.assertIn("View", next(line for line in self.sn("list").stdout.splitlines() if line.startswith("look")))
            r = self.sn("delete", "done", check=False)
            self.assertIn("cannot remove snapshot with child", r.stderr)
            self.sn("delete", "look", "done")
            self.assertEqual(self.sn("list").stdout.count("diff-view"), 0)
        self.assertEqual(layers["overlayfs"], layers["native"])

    def test_failures(self):
        self.snapshotter = "overlayfs"
        for args, text in ((("commit", "x"), "must be provided"), (("diff", "nosuch"), "not found"), (("prepare", "k", "nosuch"), "not found"),
                           (("unpack", "sha256:" + "0" * 64), "manifest not found"), (("diff", "--media-type", "x/y", "k2"), "not found")):
            r = self.sn(*args, check=False)
            self.assertNotEqual(r.returncode, 0)
            self.assertIn(text, r.stderr)


if __name__ == "__main__":
    unittest.main()
