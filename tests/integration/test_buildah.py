"""Debian's buildah with our runc: containers are made, run in, copied to and committed."""
import json
import shutil
import unittest

from casco import SHARE, Scratch, our_env, program, run

PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@unittest.skipUnless(shutil.which("buildah"), "buildah is not installed")
class Buildah(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        p = cls.scratch.path
        (p / "containers.conf").write_text('[engine]\ncgroup_manager = "cgroupfs"\n[containers]\noom_score_adj = 0\n'
                                           'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        (p / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        cls.env = our_env(CONTAINERS_CONF=str(p / "containers.conf"), TMPDIR=str(p), BUILDAH_RUNTIME=program("runc"), PATH=PLAIN_PATH)
        shutil.copy(SHARE / "busybox.tar", p / "image.tar")
        cls.base = cls.buildah("from", "--signature-policy", p / "policy.json", f"oci-archive:{p}/image.tar").stdout.strip()

    @classmethod
    def tearDownClass(cls):
        cls.buildah("rm", "-a", check=False)
        cls.buildah("rmi", "-a", "-f", check=False)

    @classmethod
    def buildah(cls, *args, **kw):
        p = cls.scratch.path
        return run(["buildah", "--root", p / "root", "--runroot", p / "run", "--storage-driver", "vfs", *args], env=cls.env, timeout=120, **kw)

    RUN = ("run", "--isolation", "oci", "--network", "none")

    def test_run_commit_and_build(self):
        p = self.scratch.path
        r = self.buildah(*self.RUN, "--user", "7:8", self.base, "--", "sh", "-c", "id -u; id -g; exit 3", check=False)
        self.assertEqual((r.stdout, r.returncode), ("7\n8\n", 3), r.stderr)
        self.buildah(*self.RUN, self.base, "--", "sh", "-c", "echo kept > /kept")
        self.buildah("config", "--env", "X=y", self.base)
        self.buildah("commit", "--signature-policy", p / "policy.json", self.base, "made:1")
        (p / "Dockerfile").write_text("FROM localhost/made:1\nRUN echo more >> /kept\nRUN --mount=type=tmpfs,target=/t touch /t/x && ls /t >> /kept\n"
                                      "RUN cat /kept\n")
        r = self.buildah("build", "--signature-policy", p / "policy.json", "--isolation", "oci", "--network", "none", "-t", "built:1", "-f", p / "Dockerfile", p)
        self.assertIn("kept\nmore\nx\n", r.stdout)
        config = json.loads(self.buildah("inspect", "--type", "image", "built:1").stdout)
        self.assertIn("X=y", config["OCIv1"]["config"]["Env"])

    def test_default_profile_and_mounts(self):
        (self.scratch.path / "volume").mkdir()
        r = self.buildah(*self.RUN, "-v", f"{self.scratch.path}/volume:/v", self.base, "--", "sh", "-c",
                         "echo in > /v/file; grep Seccomp: /proc/self/status")
        self.assertEqual(r.stdout.split(), ["Seccomp:", "2"], r.stderr)
        self.assertEqual((self.scratch.path / "volume/file").read_text(), "in\n")


if __name__ == "__main__":
    unittest.main()
