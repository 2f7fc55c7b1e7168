"""What can be wrong with manifests."""


class ManifestError(Exception):
    """The manifests cannot be read or built; the message says which file and why."""


class DocumentError(ManifestError):
    """A file is not the YAML that was expected of it."""


class MissingFileError(ManifestError):
    """A file that is referred to does not exist in the tree."""


class BuildError(ManifestError):
    """A kustomization cannot be built."""
