"""gRPC servicers: decode, carry out, encode."""
