"""Offers: catalogue and eligibility, budget, reconciliation, and off-policy evaluation."""
