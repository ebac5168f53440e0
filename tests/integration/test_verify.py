"""What may come in: the operator's verifier programs, and containers-policy.json with signatures as cosign makes them."""
import base64
import json
import pathlib
import shutil
import subprocess
import unittest

from casco import CONFIG, Daemon, Scratch, run
from registry import Registry, layer, mkimage

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
MORE = """
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "{base}/verifiers"
  max_verifiers = 2
  per_verifier_timeout = "1s"
[plugins."io.containerd.image-verifier.v1.policy"]
  path = "{policy}"
"""
ANYTHING = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]


class Verified(unittest.TestCase):
    policy = ""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.base = cls.scratch.path
        cls.registry = Registry(cls.base / "registry")
        cls.addClassCleanup(cls.registry.stop)
        cls.daemon = Daemon(cls.base, config=CONFIG + MORE.format(base=cls.base, policy=cls.policy and cls.base / cls.policy))
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.digest = cls.registry.push("a/image", "1", [layer([("a", b"1")])])
        cls.name = f"{cls.registry.host}/a/image:1"

    def tearDown(self):
        for name in self.daemon.ctr("images", "list", "-q").stdout.split():
            self.daemon.ctr("images", "remove", "--sync", name)

    def pull(self, name=None, *flags):
        return self.daemon.ctr("images", "pull", *flags, name or self.name, check=False)

    def works(self, name=None):
        r = self.pull(name)
        self.assertEqual(r.returncode, 0, r.stderr)

    def fails(self, *texts, name=None):
        r = self.pull(name)
        self.assertNotEqual(r.returncode, 0, r.stdout)
        for t in texts:
            self.assertIn(t, r.stderr)
        self.assertEqual(self.daemon.ctr("images", "list", "-q").stdout, "")
        self.assertEqual(self.daemon.ctr("content", "ls", "-q").stdout.split(), [])


class Programs(Verified):
    def setUp(self):
        self.folder = self.base / "verifiers"
        self.folder.mkdir()
        self.addCleanup(shutil.rmtree, self.folder)

    def program(self, name, text):
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)

    def test_what_it_is_told(self):
        said = self.base / "said"
        self.program("a", f'echo "$@" > {said}; cat >> {said}; echo fine\n')
        self.works()
        words, _, descriptor = said.read_text().partition("\n")
        self.assertEqual(words, f"-name {self.name} -digest {self.digest} "
                                "-stdin-media-type application/vnd.oci.descriptor.v1+json")
        self.assertEqual(json.loads(descriptor)["digest"], self.digest)

    def test_one_that_says_no(self):
        self.program("a", "exit 0\n")
        self.program("b", "echo too old; exit 3\n")
        self.fails(f"image verifier bindir blocked pull of {self.name} with digest {self.digest} for reason: ",
                   "verifier b rejected image (exit code 3): too old")

    def test_only_so_many_are_asked(self):
        for name in "ab":
            self.program(name, "exit 0\n")
        self.program("c", "exit 1\n")
        self.works()

    def test_one_that_never_ends(self):
        self.program("a", f"sleep 300 & echo $! > {self.base}/pid; wait\n")
        self.fails(f"blocking pull of {self.name} with digest {self.digest}: image verifier bindir returned error: ")
        self.assertFalse(pathlib.Path("/proc", (self.base / "pid").read_text().strip(), "root").exists())

    def test_one_that_does_not_start(self):
        (self.folder / "a").write_text("no program")
        self.fails("image verifier bindir returned error", "/verifiers/a: permission denied")

    def test_one_that_talks_without_end(self):
        self.program("a", "head -c 3000000 /dev/zero | tr '\\0' y; exit 1\n")
        self.fails("rejected image (exit code 1): yyyy")


class Policy(Verified):
    policy = "policy.json"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key, cls.public = cls.make_key("key")
        cls.other = cls.make_key("other")[1]
        cls.sign(cls.digest, cls.digest, f"{cls.registry.host}/a/image")

    @classmethod
    def make_key(cls, name):
        key, public = cls.base / f"{name}.pem", cls.base / f"{name}.pub"
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key])
        run(["openssl", "ec", "-in", key, "-pubout", "-out", public])
        return key, public

    @classmethod
    def sign(cls, of, digest, reference, repository="a/image"):
        """cosign's artifact for `of`, whose payload names `digest` and `reference`."""
        payload = json.dumps({"critical": {"identity": {"docker-reference": reference},
                                           "image": {"docker-manifest-digest": digest},
                                           "type": "cosign container image signature"}, "optional": None}).encode()
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", cls.key], input=payload, check=True,
                              capture_output=True).stdout
        config = b"{}"
        for blob in (payload, config):
            cls.registry.put_blob(repository, blob)
        cls.registry.put_manifest(repository, of.replace(":", "-") + ".sig", json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST,
             "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config),
                        "digest": mkimage.digest(config)},
             "layers": [{"mediaType": SIMPLE, "size": len(payload), "digest": mkimage.digest(payload),
                         "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode(made).decode()}}]}).encode(),
            MANIFEST)

    def write(self, default, **transports):
        document = {"default": default}
        if transports:
            document["transports"] = {k.replace("_", "-"): v for k, v in transports.items()}
        (self.base / self.policy).write_text(json.dumps(document))

    def wants(self, identity="matchRepository", **more):
        rule = {"type": "sigstoreSigned", "keyPath": str(self.public), "signedIdentity": {"type": identity}}
        rule.update(more)
        self.write(REJECT, docker={self.registry.host: [{k: v for k, v in rule.items() if v is not None}]})

    def test_accept_and_reject(self):
        self.write(ANYTHING)
        self.works()
        self.tearDown()
        self.write(REJECT)
        self.fails(f"image verifier policy blocked pull of {self.name} with digest {self.digest} for reason: ",
                   f"Running image docker:{self.name} is rejected by policy.")
        self.write(REJECT, docker={f"{self.registry.host}/a": ANYTHING, f"{self.registry.host}/a/image:2": REJECT})
        self.works()

    def test_signed(self):
        self.wants()
        self.works()
        self.tearDown()
        self.wants(keyPath=None, keyData=base64.b64encode(self.public.read_bytes()).decode())
        self.works()
        self.tearDown()
        self.wants(keyPath=None, keyPaths=[str(self.other), str(self.public)])
        self.works()

    def test_by_somebody_else(self):
        self.wants(keyPath=str(self.other))
        self.fails("cryptographic signature verification failed")

    def test_not_signed(self):
        self.wants()
        self.registry.push("a/bare", "1", [layer([("b", b"2")])])
        self.fails("A signature was required, but no signature exists", name=f"{self.registry.host}/a/bare:1")

    def test_signature_of_another_image(self):
        """A good signature, moved to an image that nobody has signed."""
        bad = self.registry.push("a/image", "bad", [layer([("evil", b"2")])])
        self.sign(bad, self.digest, f"{self.registry.host}/a/image")
        self.wants()
        self.fails(f"Signature for image digest {self.digest}", name=f"{self.registry.host}/a/image:bad")

    def test_identity(self):
        self.wants("matchExact")
        self.fails(f'Signature for identity "{self.registry.host}/a/image" is not accepted')
        self.wants("exactRepository", signedIdentity={"type": "exactRepository",
                                                      "dockerRepository": f"{self.registry.host}/a/image"})
        self.works()
        self.tearDown()
        self.wants(signedIdentity={"type": "remapIdentity", "prefix": self.registry.host, "signedPrefix": "example.com"})
        self.fails("is not accepted")

    def test_what_cannot_be_checked_is_refused(self):
        self.write([{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}])
        self.fails("wants signedBy, which cannot be checked here")
        self.wants(rekorPublicKeyPath="/k")
        self.fails("wants rekorPublicKeyPath, which cannot be checked here")
        self.wants(keypath=str(self.public))
        self.fails('unknown key "keypath" in sigstoreSigned')
        (self.base / self.policy).write_text("{")
        self.fails("invalid policy in")
        (self.base / self.policy).unlink()
        self.fails("read policy", "no such file or directory")

    def test_other_doors(self):
        """Names for what is here already, archives, and clients that fetch by themselves."""
        self.wants()
        self.works()
        self.daemon.ctr("images", "tag", "--local", self.name, "docker.io/library/mine:1")  # Images.Create
        self.daemon.ctr("images", "tag", self.name, "docker.io/library/mine:2")  # Transfer
        archive = self.base / "archive.tar"
        self.daemon.ctr("images", "export", archive, self.name)
        self.write(REJECT)
        for flags in ([], ["--local"]):
            r = self.daemon.ctr("images", "tag", *flags, self.name, "docker.io/library/mine:3", check=False)
            self.assertIn("is rejected by policy", r.stderr)
        self.tearDown()
        r = self.daemon.ctr("images", "import", archive, check=False)
        self.assertIn("Running image oci-archive:", r.stderr)
        self.assertIn("is rejected by policy", self.pull(None, "--local", "--plain-http").stderr)
        self.assertEqual(self.daemon.ctr("images", "list", "-q").stdout, "")
        self.write(REJECT, oci_archive={"": ANYTHING})
        self.daemon.ctr("images", "import", archive)

    def test_a_tag_that_is_moved(self):
        """Judged is what is fetched, whatever the tag says a moment later."""
        self.wants()
        digest = self.registry.push("a/moved", "1", [layer([("a", b"3")])])
        self.sign(digest, digest, f"{self.registry.host}/a/moved", "a/moved")
        self.works(f"{self.registry.host}/a/moved:1")
        self.tearDown()
        self.registry.push("a/moved", "1", [layer([("a", b"4")])])
        self.fails("A signature was required", name=f"{self.registry.host}/a/moved:1")


del Verified
