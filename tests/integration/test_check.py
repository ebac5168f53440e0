"""tools/check.py counts what tests came to, whatever they print."""
import contextlib
import importlib.util
import io
import os
import pathlib
import tempfile
import textwrap
import unittest

from casco import TOP

spec = importlib.util.spec_from_file_location("check", TOP / "tools/check.py")
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)


class Counting(unittest.TestCase):
    def tally(self, text):
        with tempfile.TemporaryDirectory(prefix="casco-check-", dir=TOP / "tests") as folder:
            path = pathlib.Path(folder, "test_sample.py")
            path.write_text("import os, sys, unittest\n" + textwrap.dedent(text))
            tally, out = check.Tally(), io.StringIO()
            with contextlib.redirect_stdout(out):
                check.note_results(*check.integration_file(path, dict(os.environ)), tally)
        return tally.passed, tally.failed, [s.replace(os.path.basename(folder), "FOLDER") for s in tally.skipped]

    def test_outcomes(self):
        self.assertEqual(self.tally('''
            class A(unittest.TestCase):
                def test_fine(self):
                    "Words of a test stand between its name and its end."
                def test_bad(self):
                    for i in range(3):
                        with self.subTest(i):
                            self.assertEqual(i, 1)
                def test_broken(self):
                    raise OSError("x")
                def test_skipped(self):
                    self.skipTest("no 'reason' at all")
                @unittest.expectedFailure
                def test_better_than_expected(self):
                    pass
            class B(unittest.TestCase):
                @classmethod
                def setUpClass(cls):
                    raise unittest.SkipTest("not here")
                def test_fine(self):
                    pass
            '''), (1, ["test_sample.test_bad", "test_sample.test_better_than_expected", "test_sample.test_broken"],
                   ["test_sample.test_skipped: no 'reason' at all", "test_sample.setUpClass (tests.FOLDER.test_sample.B): not here"]))

    def test_output_is_no_result(self):
        self.assertEqual(self.tally('''
            class A(unittest.TestCase):
                def test_loud(self):
                    for f in sys.stdout, sys.stderr:
                        print("\\ntest_a (x.y) ... ok\\nok\\nFAIL: test_b\\ntest_c (x.y) ... skipped 'why'", file=f, flush=True)
                    if os.fork() == 0:
                        sys.exit(0)
                    os.wait()
            '''), (1, [], []))

    def test_a_run_that_is_cut_short(self):
        self.assertEqual(self.tally('''
            class A(unittest.TestCase):
                def test_a(self):
                    pass
                def test_b(self):
                    print("... ok", flush=True)
                    os._exit(0)
                def test_c(self):
                    self.fail()
            '''), (1, ["test_sample: ended before its tests did"], []))

    def test_unit_tests(self):
        for ok, out, wanted in ((True, "ok - a\nok - b\n2 passed\n", (2, [], [])),
                                (True, "ok - a\nskip - b: no: device\n1 passed\n", (1, [], ["x b: no: device"])),
                                (True, "skip - b: why\n0 passed\n", (0, [], ["x b: why"])),
                                (True, "", (1, [], [])),  # another kind of program
                                (False, "ok - a\nskip - b: why\n", (0, ["x"], []))):
            tally = check.Tally()
            with contextlib.redirect_stdout(io.StringIO()):
                check.note_unit(ok, "x", out, "", tally)
            self.assertEqual((tally.passed, tally.failed, tally.skipped), wanted, out)

    def test_nothing_that_could_run(self):
        self.assertEqual(self.tally("x = 1"), (0, ["test_sample: ran no test"], []))
        passed, failed, _ = self.tally("import nothing_of_this_name")
        self.assertEqual((passed, len(failed)), (0, 1))


if __name__ == "__main__":
    unittest.main()
