"""Calls of every RPC, generated from the contracts, against a stack as a person runs it: nothing that a caller can send
is answered by a defect, and what is refused changes nothing.

    python -m tests.fuzz --calls 100000 --seed 1
"""
