"""Offers: catalogue and eligibility, budget, reconciliation, and what a policy would have been worth by another one's log."""
