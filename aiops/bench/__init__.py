"""The benches: accuracy and speed, each figure beside its reference, measured in the same run."""
