"""The systemd cgroup driver, with Debian's systemd as init: on pure v2, and on its hybrid layout."""
import unittest

from vm import VmTest


class Systemd(VmTest):
    scripts = ("systemd.sh", "systemd_more.sh", "systemd_daemon.sh")
    has_disk = True
    options = {"programs": ("runc", "containerd", "containerd-shim-runc-v2", "containerd-transfer", "ctr")}


class SystemdHybrid(VmTest):
    scripts = ("systemd.sh",)
    has_disk = True
    options = {"append": "systemd.unified_cgroup_hierarchy=0"}


if __name__ == "__main__":
    unittest.main()
