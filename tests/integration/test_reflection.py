"""Server reflection: a client without interface files learns the services, and speaks to them by what it learnt."""
import re
import subprocess
import unittest

import rpc
from casco import DaemonTest

SOURCE = "grpc/reflection/{}/reflection.proto"


def fields(data):
    """(number, bytes) of a message's length-delimited fields."""
    at = 0
    while at < len(data):
        value = []
        for _ in range(2):
            n = shift = 0
            while True:
                byte = data[at]
                n |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            value.append(n)
        tag, n = value
        if tag & 7 == 2:
            yield tag >> 3, data[at:at + n]
            at += n


class Reflection(DaemonTest):
    images = False

    def ask(self, text, version="v1"):
        return rpc.call(self.daemon, SOURCE.format(version), "ServerReflection/ServerReflectionInfo", text)

    def files(self, text, version="v1"):
        """Each answer's descriptors, as bytes."""
        request = rpc.protoc("encode", f"grpc.reflection.{version}.ServerReflectionRequest", SOURCE.format(version), text.encode())
        [answer] = rpc.raw(self.daemon.address, f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", request)
        [response] = [b for n, b in fields(answer) if n == 4]
        return [b for n, b in fields(response) if n == 1]

    def as_set(self, files):
        path = self.scratch.path / "set"
        with open(path, "wb") as f:
            for one in files:
                n, head = len(one), bytearray(b"\n")
                while n > 127:
                    head.append(n & 127 | 128)
                    n >>= 7
                f.write(head + bytes([n]) + one)
        return path

    def test_services(self):
        for version in ("v1", "v1alpha"):
            [answer] = self.ask('host: "h" list_services: "*"', version)
            names = re.findall(r'name: "(.*)"', answer)
            self.assertEqual(names, sorted(names))
            self.assertIn('valid_host: "h"', answer)
            for name in ("containerd.services.tasks.v1.Tasks", "containerd.services.mounts.v1.Mounts", "grpc.health.v1.Health", f"grpc.reflection.{version}.ServerReflection"):
                self.assertIn(name, names)

    def test_every_service_is_described(self):
        """protoc encodes and decodes with nothing but the answers."""
        [answer] = self.ask('list_services: ""')
        for name in re.findall(r'name: "(.*)"', answer):
            files = self.files(f'file_containing_symbol: "{name}"')
            described = subprocess.run(["protoc", "--decode_raw"], input=files[0], capture_output=True, check=True).stdout.decode()
            self.assertIn(f'"{name.rpartition(".")[2]}"', described)
            own = re.search(r'^1: "(.*)"', described, re.M)[1]
            # all that it imports has come with it, and nothing is described that was not asked for
            r = subprocess.run(["protoc", f"--descriptor_set_in={self.as_set(files)}", "-o", "/dev/null", own], capture_output=True, text=True, check=False)
            self.assertEqual((r.returncode, r.stderr), (0, ""), name)

    def test_a_call_by_what_was_learnt(self):
        files = self.files('file_containing_symbol: "containerd.services.namespaces.v1.Namespaces.Create"')
        known = self.as_set(files)
        source = "containerd/services/namespaces/v1/namespace.proto"

        def protoc(option, message, data):
            return subprocess.run(["protoc", f"--descriptor_set_in={known}", f"--{option}=containerd.services.namespaces.v1.{message}", source], input=data, capture_output=True, check=True).stdout

        request = protoc("encode", "CreateNamespaceRequest", b'namespace { name: "learnt" labels { key: "a" value: "b" } }')
        [answer] = rpc.raw(self.daemon.address, "/containerd.services.namespaces.v1.Namespaces/Create", request)
        self.assertIn(b'name: "learnt"', protoc("decode", "CreateNamespaceResponse", answer))
        self.assertIn("learnt a=b", re.sub(" +", " ", self.ctr("namespaces", "list").stdout))

    def test_symbols(self):
        for symbol, source in (("containerd.types.Mount", "types/mount.proto"), ("containerd.types.Mount.options", "types/mount.proto"), ("containerd.v1.types.Status", "types/task/task.proto"),
                               ("containerd.v1.types.RUNNING", "types/task/task.proto"), ("containerd.services.tasks.v1.Tasks", "services/tasks/v1/tasks.proto"), ("containerd.services.tasks.v1.Tasks.Wait", "services/tasks/v1/tasks.proto"),
                               ("grpc.health.v1.HealthCheckResponse.ServingStatus", "health/v1/health.proto"), ("grpc.health.v1.HealthCheckResponse.SERVING", "health/v1/health.proto"), ("google.protobuf.Any", "google/protobuf/any.proto"),
                               ("containerd.events.TaskExit", "events/task.proto")):
            self.assertIn(source.encode(), self.files(f'file_containing_symbol: "{symbol}"')[0][:80], symbol)
        by_name = self.files('file_by_filename: "containerd/types/mount.proto"', "v1alpha")
        self.assertEqual(by_name, self.files('file_containing_symbol: "containerd.types.Mount"'))
        self.assertEqual(len(by_name), 2)  # google/protobuf/timestamp.proto, too
        for text in ('file_containing_symbol: "containerd.types.Moun"', 'file_containing_symbol: "containerd.types"', 'file_containing_symbol: ""', 'file_containing_symbol: "."', 'file_by_filename: "nosuch.proto"',
                     'file_containing_symbol: "containerd.types.Mount.nosuch"', 'file_containing_extension { containing_type: "containerd.types.Mount" extension_number: 1 }', 'all_extension_numbers_of_type: "nosuch"'):
            [answer] = self.ask(text)
            self.assertRegex(answer, r"error_response \{\s+error_code: 5", text)
        [answer] = self.ask('all_extension_numbers_of_type: "containerd.types.Mount"')
        self.assertIn('base_type_name: "containerd.types.Mount"', answer)
        with self.assertRaises(rpc.RpcError) as e:
            self.ask('host: "nothing asked"')
        self.assertEqual(e.exception.code, "INVALID_ARGUMENT")


if __name__ == "__main__":
    unittest.main()
