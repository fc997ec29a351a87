"""Rewards: plan × event → rewards → transfers, on a ledger that always balances."""
