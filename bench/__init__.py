"""The benchmark: each figure of Windlass beside a named reference that was measured in the same run."""
