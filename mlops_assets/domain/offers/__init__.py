"""Offers: what a policy of offers would have been worth, judged on the log of another policy."""
