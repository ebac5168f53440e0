#!/usr/bin/env python3
"""Run one file of tests and write what became of each, a JSON line a test, to a file of its own: what a test or
a program of its prints can't be taken for a result.

    testrun.py RESULTS FILE

Lines are {"test": name, "outcome": "ok" | "failed" | "skipped", "detail": text}; the last one, {"ran": number of
tests}, says that the run came to its end.  What is printed is unittest's."""
import json
import os
import sys
import unittest


def results_to(path):
    """A class of results that writes them to the path.  The file is open only for the writing: tests use descriptors by
    their numbers, and programs of theirs must not have it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    owner = os.getpid()

    class Results(unittest.TextTestResult):
        def write(self, line):
            if os.getpid() != owner:  # a child that a test forked
                return
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.write(fd, json.dumps(line).encode() + b"\n")
            os.close(fd)

        def note(self, test, outcome, detail=""):
            test = getattr(test, "test_case", test)  # of a subtest
            name = getattr(test, "_testMethodName", None) or str(test)
            self.write({"test": name, "outcome": outcome, "detail": detail})

        def addSuccess(self, test):
            super().addSuccess(test)
            self.note(test, "ok")

        def addExpectedFailure(self, test, err):
            super().addExpectedFailure(test, err)
            self.note(test, "ok")

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            self.note(test, "skipped", reason)

        def addFailure(self, test, err):
            super().addFailure(test, err)
            self.note(test, "failed", str(err[1]))

        def addError(self, test, err):
            super().addError(test, err)
            self.note(test, "failed", str(err[1]))

        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test)
            self.note(test, "failed", "it was expected to fail")

        def addSubTest(self, test, subtest, err):
            super().addSubTest(test, subtest, err)
            if err:
                self.note(test, "failed", str(err[1]))

        def stopTestRun(self):
            super().stopTestRun()
            self.write({"ran": self.testsRun})

    return Results


def main():
    results, path = sys.argv[1:]
    sys.path[0] = os.getcwd()  # not our own folder: as with `python3 -m unittest`
    runner = unittest.TextTestRunner(verbosity=2, resultclass=results_to(results))
    unittest.main(module=None, argv=["unittest", path], testRunner=runner)


if __name__ == "__main__":
    main()
