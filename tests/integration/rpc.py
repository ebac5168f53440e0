"""Calls of the daemon's services by another's client: Debian's gRPC for Python sends them, protoc makes their bytes from text and back.

As a program: rpc.py ADDRESS METHOD [KEY=VALUE]... sends what stdin says (hexadecimal) and prints each answer's bytes as a line."""
import os
import pathlib
import re
import subprocess
import sys

API = pathlib.Path(__file__).resolve().parent.parent.parent / "api"


class RpcError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


def protoc(option, message, source, data):
    r = subprocess.run(["protoc", f"-I{API}", f"--{option}={message}", source], input=data, capture_output=True, check=False)
    if r.returncode:
        raise AssertionError(f"protoc --{option}={message}: {r.stderr.decode()}")
    return r.stdout


def types(source, service, method):
    """What a method of an interface file takes and answers."""
    text = (API / source).read_text()
    package = re.search(r"^package ([\w.]+);", text, re.M)[1]
    body = re.search(r"service %s \{(.*?)^\}" % service, text, re.M | re.S)[1]
    found = re.search(r"rpc %s\((?:stream )?([\w.]+)\) returns \((?:stream )?([\w.]+)\)" % method, body)
    return package, *(t[1:] if t.startswith(".") else f"{package}.{t}" for t in found.groups())


def raw(address, method, data, **metadata):
    """Bytes in, a list of bytes out."""
    pairs = [f"{k.replace('_', '-')}={v}" for k, v in metadata.items()]
    r = subprocess.run(["/usr/bin/python3", __file__, address, method, *pairs], input=data.hex(), capture_output=True, text=True, check=False, timeout=60)
    if r.returncode == 3:
        code, _, text = r.stderr.partition(" ")
        raise RpcError(code, text.strip())
    if r.returncode:
        raise AssertionError(f"{method}: {r.stderr}")
    return [bytes.fromhex(line) for line in r.stdout.splitlines()]


def call(daemon, source, method, text="", namespace="default", **metadata):
    """method is SERVICE/NAME of the interface file source; text and the answers are protobuf's text format."""
    service, _, name = method.partition("/")
    package, request, answer = types(source, service, name)
    data = protoc("encode", request, source, text.encode())
    if answer.startswith("google.protobuf.Empty"):
        return raw(daemon.address, f"/{package}.{service}/{name}", data, containerd_namespace=namespace, **metadata)
    answers = raw(daemon.address, f"/{package}.{service}/{name}", data, containerd_namespace=namespace, **metadata)
    return [protoc("decode", answer, source, a).decode() for a in answers]


def main(address, method, *metadata):
    import grpc
    os.environ.pop("http_proxy", None)
    request = bytes.fromhex(sys.stdin.read())
    channel = grpc.insecure_channel(f"unix://{address}", options=[("grpc.max_receive_message_length", -1)])
    # a unary answer is a stream of one
    stream = channel.stream_stream(method)
    try:
        for answer in stream(iter([request]), metadata=[tuple(m.split("=", 1)) for m in metadata], timeout=30):
            print(answer.hex(), flush=True)
    except grpc.RpcError as e:
        print(e.code().name, e.details(), file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main(*sys.argv[1:])
