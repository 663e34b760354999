"""The simulated operator: writes feeds as an operator's lake delivers them, and knows the truth behind them.

Where do I go to ...
- start it, let a day pass, schedule an event: `simulation`
- change how people or devices behave: `parameters` (numbers), `population`, `behaviour`, `fleet` (formulas)
- change the catalogue, holidays, common daily effects: `catalogue`, `day_calendar`
- change what is scripted to go wrong: `events`
- bring the platform's offers in: `proposals`, `campaign`
- know what a policy is truly worth, in weeks and in memory: `offer_world`, `offer_people`, `offer_week`
- see how a contract is inverted into the operator's form: `delivery`, `canonical_feeds`

Nothing here is imported by the platform. It learns about the sandbox only through delivered files.
"""
