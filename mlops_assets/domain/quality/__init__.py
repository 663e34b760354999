"""Data quality: forecast ranges, anomalies, feed health, drift evidence."""
