"""From YAML nodes to checked tokens, and from tokens to the model."""
