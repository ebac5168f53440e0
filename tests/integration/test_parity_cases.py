"""The cases of tests/parity/cases.py on ours and on Debian's runc: same exit codes, outputs, errors, states."""
import pathlib
import shutil
import sys
import tempfile
import unittest

from casco import TOP, program

sys.path.insert(0, str(TOP / "tests/parity"))
import cases  # noqa: E402 (found through the line above)

THEIRS = "/usr/sbin/runc"


def known():
    lines = (TOP / "tests/parity/cases.known").read_text().splitlines()
    return {line.partition("  # ")[0] for line in lines if line and not line.startswith("#")}


@unittest.skipUnless(pathlib.Path(THEIRS).exists(), "Debian's runc is not installed")
class Cases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="casco-cases-"))
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        for name in ("ours", "runc"):
            (cls.top / name).mkdir()
        cls.ours, cls.theirs = cases.Side(program("runc"), cls.top / "ours"), cases.Side(THEIRS, cls.top / "runc")

    def test_all(self):
        seen = set()
        for name, (change, commands) in cases.CASES.items():
            with self.subTest(name):
                found = cases.compare(name, self.ours.run(change, commands), self.theirs.run(change, commands), True)
                self.assertEqual([(what, how) for what, how in found if what not in known()], [])
                self.assertEqual(self.ours.left(), [])
                seen.update(what for what, _ in found)
        self.assertEqual(known() - seen, set(), "no longer differs: take it off the list")


if __name__ == "__main__":
    unittest.main()
