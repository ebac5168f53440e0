"""Kubernetes' container runtime interface: what kubelet asks of a node, over the daemon's own socket."""
import cri
from casco import DaemonTest


class CriTest(DaemonTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cri = cri.Cri(cls.daemon.address)
        cls.addClassCleanup(cls.cri.close)


class Runtime(CriTest):
    images = False

    def test_version(self):
        v = self.cri("Version")
        self.assertEqual((v["version"], v["runtime_name"], v["runtime_api_version"]), ("0.1.0", "containerd", "v1"))
        self.assertRegex(v["runtime_version"], r"^2\.")

    def test_status(self):
        s = self.cri("Status")
        conditions = {c["type"]: c["status"] for c in s["status"]["conditions"]}
        self.assertEqual(conditions, {"RuntimeReady": True, "NetworkReady": True, "ContainerdHasNoDeprecationWarnings": True})
        self.assertIn({"name": "runc", "features": {"recursive_read_only_mounts": True, "user_namespaces": True}}, s["runtime_handlers"])
        self.assertIn("", [h["name"] for h in s["runtime_handlers"]])
        self.assertTrue(s["features"]["supplemental_groups_policy"])
