"""gRPC servicers: they decode, carry out and encode."""
