"""A daemon's Snapshots service behind a socket of its own, under a lease: no plugin collects garbage by itself, a daemon does.
usage: snapshot_plugin.py SOCKET DAEMON LEASE, by Debian's Python with its gRPC (neither ours nor containerd's)."""
import concurrent.futures
import sys
import threading

import grpc


class Plugin(grpc.GenericRpcHandler):
    def __init__(self, daemon, lease):
        self.channel, self.lease = grpc.insecure_channel(f"unix://{daemon}"), ("containerd-lease", lease)

    def service(self, details):
        metadata = [m for m in details.invocation_metadata if m[0] == "containerd-namespace"] + [self.lease]
        if details.method.endswith("/List"):
            return grpc.unary_stream_rpc_method_handler(lambda q, context: self.forward(self.channel.unary_stream(details.method), q, metadata, context, self.stream))
        return grpc.unary_unary_rpc_method_handler(lambda q, context: self.forward(self.channel.unary_unary(details.method), q, metadata, context, bytes))

    def stream(self, answers):
        return iter(list(answers))

    def forward(self, method, request, metadata, context, kind):
        try:
            return kind(method(request, metadata=metadata, timeout=30))
        except grpc.RpcError as e:
            return context.abort(e.code(), e.details())


def main(address, daemon, lease):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Plugin(daemon, lease),))
    server.add_insecure_port(f"unix://{address}")
    server.start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
