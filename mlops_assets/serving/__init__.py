"""Scoring by the champion that the ledger names."""
