"""The services of Google Cloud, as typed Python."""
