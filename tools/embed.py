#!/usr/bin/env python3
"""embed.py IN OUT NAME: a file's bytes as a C array NAME and its size NAME_size."""
import pathlib
import sys


def main(source, out, name):
    data = pathlib.Path(source).read_bytes()
    rows = "\n".join("\t" + "".join(f"{b}," for b in data[i:i + 32]) for i in range(0, len(data), 32))
    pathlib.Path(out).write_text(f"#include <stddef.h>\nextern const unsigned char {name}[];\nextern const size_t {name}_size;\n"
                                 f"const unsigned char {name}[] = {{\n{rows}\n}};\nconst size_t {name}_size = sizeof {name};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
