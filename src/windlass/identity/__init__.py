"""Who is there and what may they do: principals, hashed scoped tokens, sealed secrets."""

from windlass.identity.authentication import Authenticator, FixedAuthenticator, token_from_headers
from windlass.identity.links import LoginLinks
from windlass.identity.principal import Principal, ScopeError
from windlass.identity.secrets import SecretError, Secrets
from windlass.identity.tokens import Identity, IdentityError

__all__ = [
    "Authenticator",
    "FixedAuthenticator",
    "Identity",
    "IdentityError",
    "LoginLinks",
    "Principal",
    "ScopeError",
    "SecretError",
    "Secrets",
    "token_from_headers",
]
