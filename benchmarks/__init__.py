"""Benchmarks: one file each, run by `python -m benchmarks run NAME...`; every figure is measured beside its peer.

Where do I go to ...
    see what there is and how it is run: __main__, registry.
    measure something: measuring (lines, goals, fresh processes), worker (what runs in those).
    get feed files of any size: operator_data.
    compare table work: subscriber_etl (the platform), pandas_feeds and pandas_etl (the peer), etl_runs (both).
    write docs/benchmarks.md: recording.
"""
