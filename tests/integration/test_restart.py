"""The restart monitor: policies, counts, log files, and labels that an image brought."""
import json
import os
import pathlib
import time
import unittest

from casco import CONFIG, Daemon, DaemonTest, SHARE, Scratch, wait_for
from registry import Registry, busybox_layer, mkimage, write_hosts


DEBIAN_CTR, MANIFEST = "/usr/bin/ctr", "application/vnd.oci.image.manifest.v1+json"


class Restart(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + "\n[plugins.'io.containerd.internal.v1.restart']\n  interval = '300ms'\n")
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", SHARE / "busybox.tar")

    def tearDown(self):
        for name in self.ctr("containers", "list", "-q").stdout.split():
            self.ctr("containers", "label", name, "containerd.io/restart.status=", check=False)
        time.sleep(0.4)
        super().tearDown()

    def labels(self, name):
        return json.loads(self.ctr("containers", "info", name).stdout)["Labels"]

    def lines(self, log):
        return log.read_text().splitlines() if log.exists() else []

    def test_on_failure_three_times(self):
        log = self.scratch.path / "failing.log"
        self.ctr("run", "-d", "--restart", "on-failure:3", "--label", f"containerd.io/restart.loguri=file://{log}", self.IMAGE, "failing",
                 "sh", "-c", "echo again; exit 1")
        wait_for("three restarts", lambda: len(self.lines(log)) == 3)
        time.sleep(1)
        self.assertEqual(self.lines(log), ["again"] * 3)
        self.assertIn('"containerd.io/restart.count": "3"', self.ctr("containers", "info", "failing").stdout)

    def test_always_also_after_a_kill_and_a_crash_of_the_daemon(self):
        self.ctr("run", "-d", "--restart", "always", self.IMAGE, "always", "sleep", "100")
        pid = self.task_line("always").split()[1]
        self.ctr("tasks", "kill", "-s", "KILL", "always")
        wait_for("a new process", lambda: "RUNNING" in self.task_line("always") and self.task_line("always").split()[1] != pid)
        self.daemon.kill()
        pid = self.task_line("always").split()[1] if self.daemon.start() else None
        self.assertIn("RUNNING", self.task_line("always"))
        # stopped is a state to be kept, too
        self.ctr("containers", "label", "always", "containerd.io/restart.status=stopped")
        wait_for("the end", lambda: "RUNNING" not in self.task_line("always"))
        time.sleep(0.8)
        self.assertNotIn("RUNNING", self.task_line("always"))

    def test_goes_on_in_the_same_log(self):
        self.ctr("run", "-d", "--restart", "on-failure:1", self.IMAGE, "again", "sh", "-c", "echo once; exit 1")
        wait_for("a second life", lambda: self.ctr("logs", "again").stdout == "once\nonce\n")

    def test_success_and_explicitly_stopped_stay(self):
        self.ctr("run", "-d", "--restart", "on-failure", self.IMAGE, "fine", "true")
        self.ctr("run", "-d", "--restart", "unless-stopped", "--label", "containerd.io/restart.explicitly-stopped=true", self.IMAGE, "off", "true")
        time.sleep(1)
        self.assertIn("STOPPED", self.task_line("fine"))
        self.assertIn("STOPPED", self.task_line("off"))

    def test_an_image_cannot_command_the_daemon(self):
        # As a client would do that copies all labels of an image (CVE-2026-53488).
        registry = Registry(self.scratch.path / "registry")
        self.addCleanup(registry.stop)
        write_hosts(self.daemon.certs, "evil.test", registry)
        proof = self.scratch.path / "proof"
        labels = {"containerd.io/restart.status": "running", "containerd.io/restart.loguri": f"binary:///bin/touch?{proof}"}
        registry.push("img", "1", [busybox_layer()], config={"Labels": labels})
        self.ctr("images", "pull", "evil.test/img:1")
        self.ctr("containers", "create", *(x for k, v in labels.items() for x in ("--label", f"{k}={v}")), "evil.test/img:1", "evil", "true")
        self.assertIn("labels that the image carries are not taken over", self.daemon.log())
        self.assertEqual([k for k in self.labels("evil") if "restart" in k], [])
        # labels that come later do not help, while the image is here
        self.ctr("containers", "label", "evil", *(f"{k}={v}" for k, v in labels.items()))
        wait_for("the refusal", lambda: "the image itself carries" in self.daemon.log())
        self.assertEqual(self.task_line("evil"), "")
        self.assertFalse(pathlib.Path(proof).exists())
        # ctr itself copies none of them.
        self.ctr("containers", "create", "evil.test/img:1", "plain", "true")
        self.assertEqual([k for k in self.labels("plain") if "restart" in k], [])

    @unittest.skipUnless(os.path.exists(DEBIAN_CTR), "Debian's ctr is not installed")
    def test_labels_that_only_a_client_in_go_reads(self):
        # Go takes names of fields in any case and merges doubles, and Debian's ctr copies what it finds.
        registry = Registry(self.scratch.path / "registry-go")
        self.addCleanup(registry.stop)
        proof = self.scratch.path / "proof-go"
        label = {"containerd.io/restart.status": "running", "containerd.io/restart.loguri": f"binary:///bin/touch?{proof}"}
        registry.push("lower", "1", [busybox_layer()], config={"labels": label})
        registry.push("double", "0", [busybox_layer()], config={"Labels": label})
        evil = json.loads(registry.request("GET", "/v2/double/manifests/0", headers={"Accept": MANIFEST})[1])["config"]
        registry.push("double", "1", [busybox_layer()])
        fair = registry.request("GET", "/v2/double/manifests/1", headers={"Accept": MANIFEST})[1]
        registry.put_manifest("double", "2", fair.rstrip()[:-1] + b', "Config": ' + json.dumps(evil).encode() + b"}", MANIFEST)
        for name in ("lower:1", "double:2"):
            image, name = f"{registry.host}/{name}", name[:-2]
            self.ctr("images", "pull", "--plain-http", image, binary=DEBIAN_CTR)
            self.ctr("containers", "create", image, name, "true", binary=DEBIAN_CTR)
            self.assertEqual([k for k in self.labels(name) if "restart" in k], [], name)
        time.sleep(0.8)
        self.assertFalse(proof.exists())

    def test_an_image_that_hides_its_labels(self):
        # More documents than are read: who can't be asked is not believed.
        label = {"containerd.io/restart.status": "running"}
        blobs, index = mkimage.image([busybox_layer()], "evil.test/deep:1", {"Labels": label})
        real = index["manifests"][0]
        other = {"mediaType": real["mediaType"], "size": 10, "platform": {"os": "linux", "architecture": "s390x"}}
        listed = [dict(other, digest="sha256:" + f"{i:064x}") for i in range(70)]
        host = {"os": "linux", "architecture": mkimage.ARCHITECTURES[os.uname().machine]}
        data = json.dumps({"schemaVersion": 2, "mediaType": index["mediaType"],
                           "manifests": [*listed, {**{k: real[k] for k in ("mediaType", "digest", "size")}, "platform": host}]}).encode()
        blobs[mkimage.digest(data)] = data
        path = self.scratch.path / "deep.tar"
        mkimage.write_layout(path, blobs, dict(index, manifests=[mkimage.descriptor(index["mediaType"], data, annotations=real["annotations"])]))
        self.ctr("images", "import", path)
        self.ctr("containers", "create", "--label", "containerd.io/restart.status=running", "--label", "own=1", "evil.test/deep:1", "deep", "true")
        labels = self.labels("deep")
        self.assertEqual(([k for k in labels if "restart" in k], labels["own"]), ([], "1"))


if __name__ == "__main__":
    unittest.main()
