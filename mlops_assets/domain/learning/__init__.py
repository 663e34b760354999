"""Corpora, splits, algorithms, metrics, leaderboard, gate and explanation."""
