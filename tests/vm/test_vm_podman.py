"""Debian's podman as a user with a delegated cgroup, all controllers in it: limits, figures, update, pause."""
import unittest

import images
from casco import SHARE
from vm import VmTest


class Podman(VmTest):
    scripts = ("podman.sh",)
    boot_timeout = 480
    options = {"memory": 1024, "more": {"busybox.tar": SHARE / "busybox.tar"}}

    @classmethod
    def drives(cls):
        return [images.files_of(("podman", "conmon", "newuidmap", "newgidmap", "runc"), ("/etc/containers", "/usr/share/containers"))]


if __name__ == "__main__":
    unittest.main()
