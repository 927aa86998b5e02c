-- Who vouched for a plugin. They go with it.
CREATE TABLE signatures (
    digest      TEXT    NOT NULL REFERENCES plugins (digest) ON DELETE CASCADE,
    public_key  TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    added_at_ms INTEGER NOT NULL,
    PRIMARY KEY (digest, public_key)
) STRICT;

-- Whose signatures count for a tenant, and whether one is required.
ALTER TABLE tenants ADD COLUMN trust TEXT NOT NULL DEFAULT '{}';
