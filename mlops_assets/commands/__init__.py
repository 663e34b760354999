"""The commands of `mlops`, one module per group.

Belongs here: arguments, output and exit status. Does not belong here: what a command does to data
(mlops_assets.domain, assets, sandbox).
"""
