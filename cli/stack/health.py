"""Asks processes how they are."""

import urllib.error
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

ASK_SECONDS = 2.0


def health(address: str, seconds: float = ASK_SECONDS, name: str = "") -> str:
    """The health of a service: `SERVING`, `NOT_SERVING`, or why there was no answer. `name`: a gRPC service, or
    BROKER_NAME of chassis/topology.py."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=name), timeout=seconds
            )
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def redirect_health(url: str, seconds: float = ASK_SECONDS) -> str:
    """The health of the redirect in the same words."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"{url}/healthz", timeout=seconds).close()
    except urllib.error.HTTPError:
        return "NOT_SERVING"
    except OSError:
        return "UNAVAILABLE"
    return "SERVING"
