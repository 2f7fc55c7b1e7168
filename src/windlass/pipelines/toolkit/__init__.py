"""What GitHub's own toolkit asks of a server, so that unmodified JavaScript actions work.

The services behind `@actions/artifact`, `@actions/cache` and `core.getIDToken`:

    /twirp/github.actions.results.api.v1.ArtifactService/METHOD    Twirp over JSON, the job's runtime token
    /twirp/github.actions.results.api.v1.CacheService/METHOD       the same
    /_jobs/blobs/ID?sig=…                                          uploads: Azure's block blobs, signed addresses
    /_jobs/downloads/KIND/ID?sig=…                                 downloads, signed addresses, ranges
    /_jobs/toolkit/_apis/artifactcache/…                           the first cache service, the runtime token
    /api/v3/…                                                      the little of GitHub's REST API that there is
    /_jobs/oidc/token, /_jobs/oidc/.well-known/…                   identity tokens
"""
