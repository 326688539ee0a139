CREATE SCHEMA recado_directory;

CREATE TABLE recado_directory.tenants (
    no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id text NOT NULL UNIQUE CHECK (length(company_id) BETWEEN 1 AND 36),
    cell text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    data_key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE recado_directory.meta_apps (
    id text PRIMARY KEY,
    tenant_no integer REFERENCES recado_directory.tenants (no),
    secrets bytea[] NOT NULL,
    verify_token text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE recado_directory.accounts (
    id text PRIMARY KEY,
    no integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    tenant_no integer NOT NULL REFERENCES recado_directory.tenants (no),
    business_id text NOT NULL,
    phone_number text NOT NULL,
    phone_number_id text,
    waba_id text,
    app_id text NOT NULL REFERENCES recado_directory.meta_apps (id),
    account_type text NOT NULL,
    name text,
    status text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    api_key bytea,
    api_key_last4 text,
    webhook_secret_set boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1,
    registered_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX accounts_phone_number ON recado_directory.accounts (phone_number) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX accounts_phone_number_id ON recado_directory.accounts (phone_number_id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_changed_at ON recado_directory.accounts (changed_at);
CREATE INDEX accounts_waba_id ON recado_directory.accounts (waba_id);

CREATE TABLE recado_directory.endpoints (
    id text PRIMARY KEY,
    tenant_no integer NOT NULL REFERENCES recado_directory.tenants (no),
    url text NOT NULL,
    secrets bytea[] NOT NULL,
    timeout_seconds double precision NOT NULL DEFAULT 10,
    max_in_flight integer NOT NULL DEFAULT 50,
    schedule_seconds integer[] NOT NULL DEFAULT '{5,30,300,1800,7200,28800}',
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE recado_directory.idempotency (
    tenant_no integer NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    body_sha256 text NOT NULL,
    status integer NOT NULL,
    answer jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_no, route, key)
);

CREATE TABLE recado_directory.redrive_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_no integer NOT NULL,
    account_id text NOT NULL,
    phone_number_id text,
    created_at timestamptz NOT NULL DEFAULT now()
);

GRANT USAGE ON SCHEMA recado_directory TO recado_directory;
GRANT SELECT ON recado_directory.tenants TO recado_directory;
GRANT SELECT, INSERT, UPDATE ON recado_directory.accounts, recado_directory.meta_apps, recado_directory.endpoints
    TO recado_directory;
GRANT SELECT, INSERT ON recado_directory.idempotency, recado_directory.redrive_requests TO recado_directory;

GRANT USAGE ON SCHEMA recado_directory TO recado_operator;
GRANT SELECT (no, company_id, cell, status, created_at) ON recado_directory.tenants TO recado_operator;
GRANT SELECT (id, no, tenant_no, business_id, phone_number, phone_number_id, waba_id, app_id, account_type, name,
    status, settings, version, registered_at, created_at, updated_at, deleted_at) ON recado_directory.accounts
    TO recado_operator;
GRANT SELECT (id, tenant_no, url, timeout_seconds, max_in_flight, schedule_seconds, status)
    ON recado_directory.endpoints TO recado_operator;
