#!/usr/bin/env python3
"""Make an OCI image (a tar of an image layout) from Debian's busybox-static.

    mkimage.py --name docker.io/library/busybox:latest --busybox /bin/busybox OUT.tar

The same input gives the same bytes: times are zero, entries are sorted."""
import argparse
import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile

PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}


def entry(tar, name, mode, data=None, link=None):
    info = tarfile.TarInfo(name)
    info.mode = mode
    if link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, link
        tar.addfile(info)
    elif data is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    else:
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def rootfs_layer(busybox):
    """The uncompressed layer: busybox, a link for each applet, and the few files a shell wants."""
    with open(busybox, "rb") as f:
        program = f.read()
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for d in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "var"):
            entry(tar, d, 0o700 if d == "root" else 0o755)
        entry(tar, "tmp", 0o1777)
        entry(tar, "bin/busybox", 0o755, data=program)
        for applet in sorted(set(applets) - {"busybox"}):
            entry(tar, "bin/" + applet, 0o777, link="busybox")
        entry(tar, "usr/bin/env", 0o777, link="../../bin/busybox")
        entry(tar, "etc/passwd", 0o644, data=PASSWD.encode())
        entry(tar, "etc/group", 0o644, data=GROUP.encode())
        entry(tar, "etc/hostname", 0o644, data=b"casco\n")
    return out.getvalue()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(media_type, data, **more):
    return dict({"mediaType": media_type, "digest": digest(data), "size": len(data)}, **more)


def image(layers, name, config=None):
    """Blobs (digest to bytes) and the index of an image of these uncompressed layers."""
    blobs, packed = {}, []
    for layer in layers:
        data = gzip.compress(layer, 6, mtime=0)
        blobs[digest(data)] = data
        packed.append(descriptor("application/vnd.oci.image.layer.v1.tar+gzip", data))
    config = json.dumps({
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux",
        "config": dict({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                        "Cmd": ["sh"]}, **(config or {})),
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created_by": "busybox-static"} for _ in layers],
    }).encode()
    blobs[digest(config)] = config
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config), "layers": packed,
    }).encode()
    blobs[digest(manifest)] = manifest
    target = descriptor("application/vnd.oci.image.manifest.v1+json", manifest,
                        annotations={"io.containerd.image.name": name,
                                     "org.opencontainers.image.ref.name": name.rpartition(":")[2]})
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
             "manifests": [target]}
    return blobs, index


def write_layout(path, blobs, index):
    with tarfile.open(path, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry(tar, "oci-layout", 0o644, data=b'{"imageLayoutVersion":"1.0.0"}')
        entry(tar, "index.json", 0o644, data=json.dumps(index).encode())
        entry(tar, "blobs", 0o755)
        entry(tar, "blobs/sha256", 0o755)
        for name, data in sorted(blobs.items()):
            entry(tar, "blobs/sha256/" + name.partition(":")[2], 0o644, data=data)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--name", required=True)
    p.add_argument("--busybox", default="/bin/busybox")
    p.add_argument("out")
    a = p.parse_args()
    write_layout(a.out, *image([rootfs_layer(a.busybox)], a.name))


if __name__ == "__main__":
    main()
