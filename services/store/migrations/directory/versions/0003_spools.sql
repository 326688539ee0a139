CREATE TABLE recado_directory.spools (
    copy text PRIMARY KEY,
    reported_at timestamptz NOT NULL,
    oldest_at timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON recado_directory.spools TO recado_directory;
GRANT SELECT ON recado_directory.spools TO recado_operator;
