"""mlops-assets: one Dagster asset graph that keeps a telecom operator's models true while the world drifts.

Where do I go to ...?

* add or change a feed, a use case, a geography: `configs/` (YAML only)
* see how configs are read and checked: `mlops_assets.config`
* change what is computed: `mlops_assets.domain` (no Dagster in there)
* change what Dagster shows and runs: `mlops_assets.assets`, `sensors`
* swap storage, engine, registry or ledger: `resources`
* change what is deployed, and how it answers online: `mlops_assets.domain.deployment`, `mlops_assets.serving`
* simulate an operator: `mlops_assets.sandbox`
* put it all together: `mlops_assets.definitions`; run it by hand: `mlops_assets.cli`
"""
