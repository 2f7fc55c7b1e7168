class IdentityError(Exception):
    """Something about who is there is wrong."""
