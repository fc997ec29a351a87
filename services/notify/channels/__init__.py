"""The ways in which something leaves for somebody: small adapters behind one port."""
