"""A client of Kubernetes' container runtime interface: messages are dictionaries, as protobuf's JSON has them with the interface's own field names.

Debian's gRPC for Python speaks; it may belong to another Python than the test's, so it runs as a program of its own: cri.py ADDRESS reads
calls as lines of JSON and writes what comes back as lines of JSON."""
import base64
import itertools
import json
import pathlib
import queue
import subprocess
import sys
import threading

import rpc

PROTO = "runtime/v1/api.proto"


def text(data):
    """Of a field of bytes, which JSON has in base64."""
    return base64.b64decode(data).decode()



class Cri:
    """One connection.  Calls may be made from several threads."""

    def __init__(self, address, env=None):
        self.process = subprocess.Popen(["/usr/bin/python3", __file__, str(address)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.ids, self.lock, self.waiting = itertools.count(1), threading.Lock(), {}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            self.waiting[answer["call"]].put(answer)

    def begin(self, method, request=None, timeout=60):
        """The queue of a call's answers: {"answer": …}, then {"end": true} or {"code": …, "text": …}."""
        with self.lock:
            call, answers = next(self.ids), queue.Queue()
            self.waiting[call] = answers
            print(json.dumps({"call": call, "method": method, "request": request or {}, "timeout": timeout}), file=self.process.stdin, flush=True)
        return answers

    def all(self, method, request=None, timeout=60):
        answers = self.begin(method, request, timeout)
        found = []
        while True:
            a = answers.get(timeout=timeout + 10)
            if "answer" in a:
                found.append(a["answer"])
            elif "code" in a:
                raise rpc.RpcError(a["code"], a["text"])
            else:
                return found

    def __call__(self, method, request=None, timeout=60):
        [answer] = self.all(method, request, timeout)
        return answer

    def close(self):
        """Twice is fine."""
        if self.process.poll() is not None:
            return
        self.process.stdin.close()
        self.process.wait(10)
        self.reader.join()
        self.process.stdout.close()


def messages():
    """The interface's classes, made from its file."""
    import tempfile

    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["protoc", f"-I{rpc.API}", f"--descriptor_set_out={f.name}", PROTO], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    factory = message_factory.MessageFactory(pool)
    found = {}
    for service in files.file[0].service:
        for m in service.method:
            kinds = [factory.GetPrototype(pool.FindMessageTypeByName(t[1:])) for t in (m.input_type, m.output_type)]
            found[m.name] = (f"/runtime.v1.{service.name}/{m.name}", *kinds)
    return found


def main(address):
    import grpc
    from google.protobuf import json_format
    known, lock = messages(), threading.Lock()
    channel = grpc.insecure_channel(f"unix://{address}", options=[("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)])

    def say(**words):
        with lock:
            print(json.dumps(words), flush=True)

    def run(call, method, request, timeout):
        path, kind, answer_kind = known[method]
        try:
            data = json_format.ParseDict(request, kind()).SerializeToString()
            # a unary answer is a stream of one
            for answer in channel.stream_stream(path)(iter([data]), timeout=timeout):
                message = json_format.MessageToDict(answer_kind.FromString(answer), including_default_value_fields=True, preserving_proto_field_name=True)
                say(call=call, answer=message)
            say(call=call, end=True)
        except grpc.RpcError as e:
            say(call=call, code=e.code().name, text=e.details())
        except Exception as e:
            say(call=call, code="CLIENT", text=repr(e))

    for line in sys.stdin:
        threading.Thread(target=run, kwargs=json.loads(line), daemon=True).start()


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    main(sys.argv[1])
