"""Channels that verdicts are told in: one module for each platform."""
