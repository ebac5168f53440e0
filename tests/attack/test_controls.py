"""Positive controls: attack tests that find something in a runtime that is known to be open to them.

Each is run as it stands against Debian's runc, in a process of its own, and must fail there.  Tests
that it withstands name in their words the guard of ours without which they fail."""
import os
import pathlib
import subprocess
import sys
import unittest

import attack

HERE = pathlib.Path(__file__).resolve().parent
VERSION = "1.1.5"
OPEN_TO = [
    "test_rootfs.Rootfs.test_dev_as_a_symlink_to_the_host",
    "test_rootfs.Rootfs.test_mount_points_are_not_made_on_the_host_in_a_race",
    "test_redirects.Redirects.test_a_false_proc",
    "test_leaked_fds.LeakedDescriptors.test_interpreter_through_a_descriptor",
    "test_process.Descriptors.test_preserving_descriptors_that_are_not_open",
    "test_identity.Identity.test_ids_out_of_range",
    "test_procfs.Procfs.test_nul_bytes",
    "test_namespaces.OwnNamespaces.test_hostname_of_a_joined_uts",
    "test_namespaces.OwnNamespaces.test_own_mount_namespace",
    "test_namespaces.OwnNamespaces.test_sysctls_of_a_joined_ipc",
]


class Controls(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(attack.DEBIAN_RUNC):
            self.skipTest("Debian's runc is not installed")
        r = subprocess.run([attack.DEBIAN_RUNC, "--version"], capture_output=True, text=True, check=False)
        if f"version {VERSION}" not in r.stdout:
            self.skipTest(f"runc {VERSION} is what is known to be open to these, here is {r.stdout.split()[2]}")

    def test_each_finds_something(self):
        # races need more than a few tries to be won
        env = {**os.environ, "CASCO_ATTACKED": attack.DEBIAN_RUNC, "CASCO_RACES": "100"}
        for test in OPEN_TO:
            with self.subTest(test):
                r = subprocess.run([sys.executable, "-m", "unittest", test], cwd=HERE, env=env, stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True, errors="replace", timeout=120, check=False)
                self.assertNotEqual(r.returncode, 0, f"{test} does not see that runc {VERSION} is open to it")
                self.assertIn("FAIL: ", r.stderr)


if __name__ == "__main__":
    unittest.main()
