"""Root-cause analysis of incidents from metrics, logs, traces and topology."""

__version__ = "0.1.0"
