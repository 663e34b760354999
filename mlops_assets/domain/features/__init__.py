"""Feature tables as Ibis expressions, and the incremental builder that keeps them point-in-time."""
