#!/usr/bin/env python3
"""descriptors.py PROTOC FOLDER OUT: the interface files that the daemon serves, and all they import, as one FileDescriptorSet in a C array.

Names for JSON are left out: every reader makes them from the fields' own."""
import pathlib
import subprocess
import sys
import tempfile

SERVED = ("containerd/services", "containerd/events", "containerd/types", "grpc", "runtime")
# What to leave out and where to go on, by field number of descriptor.proto's messages.
SET, FILE, MESSAGE, FIELD = range(4)
INSIDE = {SET: {1: FILE}, FILE: {4: MESSAGE, 7: FIELD}, MESSAGE: {2: FIELD, 3: MESSAGE, 6: FIELD}, FIELD: {}}
WITHOUT = {SET: (), FILE: (9,), MESSAGE: (), FIELD: (10,)}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def as_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def trim(data, kind):
    out, at = bytearray(), 0
    while at < len(data):
        start = at
        tag, at = varint(data, at)
        number = tag >> 3
        if tag & 7 == 0:
            _, at = varint(data, at)
            out += data[start:at]
            continue
        if tag & 7 != 2:
            raise ValueError(f"wire type {tag & 7} in a descriptor")
        length, at = varint(data, at)
        body, at = data[at:at + length], at + length
        if number in WITHOUT[kind]:
            continue
        if number in INSIDE[kind]:
            body = trim(body, INSIDE[kind][number])
        out += as_varint(tag) + as_varint(len(body)) + body
    return bytes(out)


def main(protoc, folder, out):
    files = sorted(str(p.relative_to(folder)) for s in SERVED for p in (pathlib.Path(folder) / s).rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run([protoc, "-I.", "--include_imports", f"--descriptor_set_out={f.name}", *files], cwd=folder, check=True)
        data = trim(f.read(), SET)
    rows = "\n".join("\t" + "".join(f"{b}," for b in data[i:i + 32]) for i in range(0, len(data), 32))
    pathlib.Path(out).write_text(f"#include <stddef.h>\nextern const unsigned char api_descriptors[];\nextern const size_t api_descriptors_size;\n"
                                 f"const unsigned char api_descriptors[] = {{\n{rows}\n}};\nconst size_t api_descriptors_size = sizeof api_descriptors;\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
