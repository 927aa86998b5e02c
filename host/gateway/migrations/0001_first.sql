-- The desired state of one gateway. Documents are JSON text; times are milliseconds since the Unix epoch.

-- Admitted components. Deleted only while no live chain uses them.
CREATE TABLE plugins (
    digest          TEXT    NOT NULL PRIMARY KEY,
    name            TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    info            TEXT    NOT NULL,
    bytes           BLOB    NOT NULL,
    published_at_ms INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;

-- What every name@version ever meant. It outlives the plugin, so that a name can never be moved.
CREATE TABLE publications (
    name    TEXT NOT NULL,
    version TEXT NOT NULL,
    digest  TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE tenants (
    name          TEXT    NOT NULL PRIMARY KEY,
    spec          TEXT    NOT NULL,
    revision      INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- Upstreams, servers and issuers.
CREATE TABLE resources (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    kind   TEXT NOT NULL CHECK (kind IN ('upstream', 'server', 'issuer')),
    name   TEXT NOT NULL,
    spec   TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) STRICT;

-- `/servers/{server}/mcp` names no tenant: one server name in the whole gateway.
CREATE UNIQUE INDEX resources_server_name ON resources (name) WHERE kind = 'server';

-- One server for each host name, for the same reason.
CREATE TABLE hosts (
    host   TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind   TEXT NOT NULL DEFAULT 'server' CHECK (kind = 'server'),
    server TEXT NOT NULL,
    FOREIGN KEY (tenant, kind, server) REFERENCES resources (tenant, kind, name) ON DELETE CASCADE
) STRICT;

CREATE INDEX hosts_server ON hosts (tenant, kind, server);

CREATE TABLE keys (
    id            TEXT    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    spec          TEXT    NOT NULL,
    sha256        BLOB    NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX keys_tenant ON keys (tenant);

-- Every chain that was put: `written` as it was sent, `chain` with plugins resolved to digests.
CREATE TABLE revisions (
    tenant        TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    chain         TEXT    NOT NULL,
    written       TEXT    NOT NULL,
    author        TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT;

-- Plugins of the live chains: what may not be deleted.
CREATE TABLE plugin_uses (
    tenant TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES plugins (digest),
    PRIMARY KEY (tenant, digest)
) STRICT;

CREATE INDEX plugin_uses_digest ON plugin_uses (digest);
