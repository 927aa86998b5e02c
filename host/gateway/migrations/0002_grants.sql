-- What came of an upstream's authorization: registration and tokens. Written by the gateway itself, not by its operator.
CREATE TABLE grants (
    tenant        TEXT    NOT NULL,
    kind          TEXT    NOT NULL DEFAULT 'upstream' CHECK (kind = 'upstream'),
    upstream      TEXT    NOT NULL,
    document      TEXT    NOT NULL,
    written_at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, upstream),
    FOREIGN KEY (tenant, kind, upstream) REFERENCES resources (tenant, kind, name) ON DELETE CASCADE
) STRICT;
