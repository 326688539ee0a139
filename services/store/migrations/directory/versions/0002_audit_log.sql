CREATE TABLE recado_directory.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    tenant_no integer,
    detail jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_subject ON recado_directory.audit_log (subject, id);

GRANT SELECT, INSERT ON recado_directory.audit_log TO recado_directory;
GRANT SELECT ON recado_directory.audit_log TO recado_operator;
GRANT DELETE ON recado_directory.redrive_requests TO recado_directory;
