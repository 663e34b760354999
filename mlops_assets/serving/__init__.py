"""Online scoring by champions, and the updater that brings the deployment pointers to the promotion ledger."""
