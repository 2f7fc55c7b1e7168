"""What may stand where in a workflow and in an action file."""
