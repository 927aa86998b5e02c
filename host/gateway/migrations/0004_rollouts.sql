-- Candidate chains on their way to be the live one. `plan` is how each meets traffic and what ends it, as JSON text.
CREATE TABLE rollouts (
    tenant        TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id            INTEGER NOT NULL,
    revision      INTEGER NOT NULL,
    base          INTEGER NOT NULL,
    plan          TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('running', 'promoted', 'rolled-back', 'superseded')),
    reason        TEXT,
    author        TEXT    NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT;

-- One at a time.
CREATE UNIQUE INDEX rollouts_running ON rollouts (tenant) WHERE state = 'running';
