"""The edge: outside forms (JSON, YAML, webhook bodies) to nouns and back."""
