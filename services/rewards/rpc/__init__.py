"""gRPC in: decode → command or query → encode."""
