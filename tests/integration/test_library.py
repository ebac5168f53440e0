"""libcasco-runtime as `make install` puts it: a program outside of the tree is compiled with pkg-config and runs a container."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import bundle
from casco import TOP, run


class Library(bundle.RuncTest):
    @classmethod
    def setUpClass(cls):
        cls.where = pathlib.Path(tempfile.mkdtemp(prefix="casco-library-"))
        cls.addClassCleanup(shutil.rmtree, cls.where)
        run(["tools/install.sh", "install", "build", cls.where / "dest", "/usr", "/etc"], cwd=TOP)
        shutil.copy(TOP / "tests/library/box.c", cls.where)
        cls.env = {**os.environ, "PKG_CONFIG_PATH": f"{cls.where}/dest/usr/lib/pkgconfig"}
        cls.lib = cls.where / "dest/usr/lib/libcasco-runtime.a"

    def compile(self, *more):
        words = []
        for option in ("--cflags", "--libs"):
            found = run(["pkg-config", f"--define-variable=prefix={self.where}/dest/usr", option, *more, "libcasco-runtime"], env=self.env).stdout
            words.append(found.split())
        run(["gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", *(["-static"] if more else []), *words[0], "box.c", "-o", "box", *words[1]],
            cwd=self.where)
        return str(self.where / "box")

    def box(self, program, *args):
        self.b.config["process"]["args"] = list(args)
        self.b.write()
        return subprocess.run([program, self.state, self.b.path, self.id], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=30, check=False)

    def test_a_program_runs_a_container(self):
        for static in ((), ("--static",)):
            with self.subTest(static=static):
                program = self.compile(*static)
                r = self.box(program, "sh", "-c", "echo inside; ls /proc/self/fd | wc -w; exit 7")
                self.assertEqual((r.stdout, r.returncode, r.stderr), ("inside\n4\n", 7, ""))
                r = self.box(program, "nosuch")
                self.assertEqual(r.returncode, 125)
                self.assertIn('box: unable to start container process: exec: "nosuch": executable file not found in $PATH', r.stderr)

    def test_it_shows_its_headers_names_only(self):
        headers = "".join(p.read_text() for p in (self.where / "dest/usr/include").rglob("*.h"))
        shown = {l.split()[-1] for l in run(["nm", "--defined-only", "-g", self.lib]).stdout.splitlines() if len(l.split()) == 3}
        self.assertIn("runtime_create", shown)
        self.assertEqual([n for n in shown if not re.search(rf"\b{n}\b", headers)], [])
        declared = set(re.findall(r"\b(runtime_\w+)\(const struct runtime \*", headers))
        self.assertGreater(len(declared), 10)
        self.assertEqual(declared - shown, set())


if __name__ == "__main__":
    import unittest
    unittest.main()
