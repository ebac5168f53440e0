"""Positive controls: attack tests that find something in a runtime that is known to be open to them.

Each is run as it stands against Debian's runc, in a process of its own, and must fail there.  Tests
that it withstands name in their words the guard of ours without which they fail."""
import os
import pathlib
import subprocess
import sys
import time
import unittest

import attack

HERE = pathlib.Path(__file__).resolve().parent
VERSION = "1.1.5"
OPEN_TO = [
    "test_rootfs.Rootfs.test_dev_as_a_symlink_to_the_host",
    "test_rootfs.Rootfs.test_masked_file_does_not_become_core_pattern",
    "test_rootfs.Rootfs.test_masked_file_through_a_false_dev_null",
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
# What was found there, where a test has more to say than that.
FOUND = {
    "test_rootfs.Rootfs.test_dev_as_a_symlink_to_the_host": "the host's files were touched",
    "test_rootfs.Rootfs.test_masked_file_does_not_become_core_pattern": "\\nend\\n', '') != (0, 'end",
    "test_rootfs.Rootfs.test_masked_file_through_a_false_dev_null": "'not for you\\n",
    "test_rootfs.Rootfs.test_mount_points_are_not_made_on_the_host_in_a_race": "the host's files were touched",
}


class Controls(unittest.TestCase):
    """One test for each of OPEN_TO, so that what could not be shown here is skipped by its own name."""

    def sees(self, test):
        if not os.path.exists(attack.DEBIAN_RUNC):
            self.skipTest(f"{test} was not seen to fail here: {attack.DEBIAN_RUNC} is not installed")
        r = subprocess.run([attack.DEBIAN_RUNC, "--version"], capture_output=True, text=True, check=False)
        version = r.stdout.split()[2] if len(r.stdout.split()) > 2 else "of no version"
        if version.partition("+")[0] != VERSION:
            self.skipTest(f"{test} was not seen to fail here: runc {VERSION} is open to it, installed is {version}")
        # races need more than a few tries to be won, and more of them where other work takes the processors
        env = {**os.environ, "CASCO_ATTACKED": attack.DEBIAN_RUNC, "CASCO_RACES": "100"}
        end = time.monotonic() + 120
        while True:
            r = subprocess.run([sys.executable, "-m", "unittest", test], cwd=HERE, env=env, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, errors="replace", timeout=240, check=False)
            if r.returncode or not test.endswith("_in_a_race") or time.monotonic() > end:
                break
        self.assertNotEqual(r.returncode, 0, f"{test} does not see that runc {version} is open to it")
        self.assertIn("FAIL: ", r.stderr)
        self.assertIn(FOUND.get(test, ""), r.stderr)


def add(test):
    def control(self):
        self.sees(test)

    setattr(Controls, f"test_{test.rpartition('.')[2].removeprefix('test_')}", control)


for open_to in OPEN_TO:
    add(open_to)


if __name__ == "__main__":
    unittest.main()
