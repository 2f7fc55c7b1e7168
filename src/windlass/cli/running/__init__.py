"""How `windlass run` looks: as a live tree, as plain lines, as JSON."""
