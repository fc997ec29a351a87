"""gRPC servicers: decode, command, encode."""
