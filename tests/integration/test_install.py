"""`make install` into a folder: every file where the originals' go; man pages that man can read."""
import subprocess
import unittest

from casco import TOP, Scratch, run


class Install(unittest.TestCase):
    FILES = """usr/sbin/runc usr/bin/containerd usr/bin/containerd-shim-runc-v2 usr/bin/ctr
        usr/libexec/casco/containerd-transfer usr/lib/systemd/system/containerd.service etc/containerd/config.toml
        usr/share/bash-completion/completions/ctr usr/share/zsh/site-functions/_ctr
        usr/share/fish/vendor_completions.d/ctr.fish usr/share/bash-completion/completions/runc
        usr/share/zsh/site-functions/_runc usr/share/fish/vendor_completions.d/runc.fish usr/share/man/man8/runc.8 usr/share/man/man8/ctr.8
        usr/share/man/man8/containerd.8 usr/share/man/man3/libcasco-runtime.3 usr/lib/libcasco-runtime.a
        usr/lib/pkgconfig/libcasco-runtime.pc usr/include/casco-runtime/runtime/runtime.h""".split()

    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.remove)

    def make(self, verb):
        r = subprocess.run(["tools/install.sh", verb, "build", str(self.scratch.path), "/usr", "/etc"], cwd=TOP,
                           capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)

    def test_install_and_uninstall(self):
        self.make("install")
        for f in self.FILES:
            self.assertTrue((self.scratch.path / f).is_file(), f)
        unit = (self.scratch.path / "usr/lib/systemd/system/containerd.service").read_text()
        self.assertIn("ExecStart=/usr/bin/containerd\n", unit)
        # the installed daemon takes the installed configuration
        r = run([self.scratch.path / "usr/bin/containerd", "--config", self.scratch.path / "etc/containerd/config.toml",
                 "config", "dump"])
        self.assertIn("version = 3", r.stdout)
        self.make("uninstall")
        left = [p for p in self.scratch.path.rglob("*") if p.is_file()]
        self.assertEqual([p.name for p in left], ["config.toml"])  # the administrator's

    def test_runc_shim_and_ctr_need_no_library(self):
        for name in ("runc", "containerd-shim-runc-v2", "ctr"):
            r = run(["readelf", "-dl", TOP / "build" / "bin" / name])
            self.assertNotIn("NEEDED", r.stdout, name)
            self.assertNotIn("INTERP", r.stdout, name)
            self.assertIn("PIE", r.stdout, name)


class Demo(unittest.TestCase):
    def test_make_run_shows_and_cleans_up(self):
        scratch = Scratch()
        self.addCleanup(scratch.remove)
        r = run(["tools/demo.sh", "build"], cwd=TOP, timeout=120)
        self.assertIn("hello from a container", r.stdout)
        self.assertIn("uid=0(root)", r.stdout)
        self.assertFalse((TOP / ".run").exists())


if __name__ == "__main__":
    unittest.main()
