"""A collector of traces over gRPC, by Debian's Python: each export is a line, its key in the metadata and its bytes.
usage: trace_collector.py FILE PORTFILE [CERTIFICATE KEY CA]: with these over TLS, for clients that the CA knows"""
import concurrent.futures
import os
import sys
import threading

import grpc


class Collector(grpc.GenericRpcHandler):
    def __init__(self, path):
        self.path = path

    def service(self, details):
        if details.method != "/opentelemetry.proto.collector.trace.v1.TraceService/Export":
            return None
        key = dict(details.invocation_metadata).get("x-key", "-")
        return grpc.unary_unary_rpc_method_handler(lambda body, _: self.take(key, body))

    def take(self, key, body):
        with open(self.path, "a") as f:
            f.write(f"{key} {body.hex()}\n")
        return b""


def main(path, port_file, *tls):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Collector(path),))
    if tls:
        certificate, key, ca = (open(name, "rb").read() for name in tls)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)], ca, True))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open(port_file + ".new", "w") as f:
        f.write(str(port))
    os.rename(port_file + ".new", port_file)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
