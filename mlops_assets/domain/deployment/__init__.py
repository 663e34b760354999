"""Deployment: packages of promoted models, their self-test, activation, and what a scoring request may hold."""
