"""The cases of tests/parity/cases.py on ours, on runc and on crun: same exit codes, outputs, errors, states.

Debian's runc and crun are compared with, and those of the folder that CASCO_PEER names."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

from casco import TOP, program, run

sys.path.insert(0, str(TOP / "tests/parity"))
import cases  # noqa: E402 (found through the line above)


def version(path):
    return ".".join(run([path, "--version"]).stdout.split()[2].split(".")[:2])


def known(file, of):
    """{what: must it differ?} for that version; the reason of one that need not says "sometimes"."""
    found = {}
    for line in (TOP / "tests/parity" / file).read_text().splitlines():
        entry, _, reason = line.partition("  # ")
        if entry and not entry.startswith("#"):
            only, _, rest = entry.partition("] ") if entry.startswith("[") else ("", "", entry)
            if not only or only == f"[{of}":
                found[rest] = not reason.startswith("sometimes")
    return found


class Cases(unittest.TestCase):
    def differences(self, name, path, wrap=()):
        if not pathlib.Path(path).exists():
            self.skipTest(f"{path} is not installed")
        r = subprocess.run([*wrap, sys.executable, TOP / "tests/parity/cases.py", "--json", f"ours={program('runc')}", f"{name}={path}"],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)
        return json.loads(r.stdout)

    def compare(self, name, path, file, wrap=()):
        found = self.differences(name, path, wrap)
        expected = known(file, version(path))
        left_out = [what for what, how in found if what.endswith(cases.NOT_COMPARED)]
        new = [(what, how) for what, how in found if what not in expected and what not in left_out]
        self.assertEqual(new, [])
        gone = {what for what, must in expected.items() if must} - {what for what, _ in found}
        self.assertEqual({g for g in gone if g.partition(":")[0] not in {w.partition(":")[0] for w in left_out}}, set(),
                         "no longer differs: take it off the list")
        for what in left_out:
            with self.subTest(what):
                self.skipTest(f"{what} with {path}: {dict(found)[what]}")

    def peer(self, name):
        if not os.environ.get("CASCO_PEER"):
            self.skipTest(f"CASCO_PEER names no folder with another {name} than Debian's")
        return os.path.join(os.environ["CASCO_PEER"], name)

    def test_runc_of_debian(self):
        self.compare("runc", "/usr/sbin/runc", "cases.known")

    def test_another_runc(self):
        self.compare("runc", self.peer("runc"), "cases.known")

    def test_crun_of_debian(self):
        self.compare("crun", "/usr/bin/crun", "cases.crun.known", cases.CGROUP2_VIEW)

    def test_another_crun(self):
        self.compare("crun", self.peer("crun"), "cases.crun.known", cases.CGROUP2_VIEW)


if __name__ == "__main__":
    unittest.main()
