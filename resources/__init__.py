"""Adapters to the outside: lake, engine, landing zone, model registry, promotion ledger, reports, environments."""
