"""Calls shop.Echo in each kind by grpcio, and prints what came of it as JSON. usage: grpc_caller.py HOST:PORT"""

import json
import sys

import grpc

raw = {"request_serializer": str.encode, "response_deserializer": bytes.decode}
said = {}
with grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)]) as channel:
    said["unary"] = channel.unary_unary("/shop.Echo/unary", **raw)("hello", timeout=10)
    said["collect"] = channel.stream_unary("/shop.Echo/collect", **raw)(iter(["a", "b", "c"]), timeout=10)
    said["count"] = list(channel.unary_stream("/shop.Echo/count", **raw)("3", timeout=10))
    said["talk"] = list(channel.stream_stream("/shop.Echo/talk", **raw)(iter(["x", "y"]), timeout=10))
    for name, text, timeout in [("never", "never", 0.3), ("fail", "fail", 10)]:
        try:
            channel.unary_unary("/shop.Echo/unary", **raw)(text, timeout=timeout)
        except grpc.RpcError as error:
            said[name] = error.code().name
    try:
        channel.unary_unary("/shop.Echo/forbidden", **raw)("may I", timeout=10)
    except grpc.RpcError as error:
        said["forbidden"] = [error.code().name, error.details()]
    call = channel.unary_stream("/shop.Echo/count", **raw)("3 and on", timeout=10)
    next(call)
    call.cancel()
    said["cancelled"] = call.code().name
print(json.dumps(said))
