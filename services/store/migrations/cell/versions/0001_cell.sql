CREATE SCHEMA recado;

CREATE FUNCTION recado.need_tenant() RETURNS integer LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    tenant text := current_setting('recado.tenant', true);
BEGIN
    IF tenant IS NULL OR tenant = '' THEN
        RAISE EXCEPTION 'tenant not set' USING errcode = '42501';
    END IF;
    -- the setting alone must not open another tenant's rows
    IF current_user <> 't_' || lpad(tenant, greatest(5, length(tenant)), '0') THEN
        RAISE EXCEPTION 'tenant and role differ' USING errcode = '42501';
    END IF;
    RETURN tenant::integer;
END $$;

CREATE TABLE recado.schema_versions (
    tenant_id integer PRIMARY KEY,
    version text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE recado.account_state (
    tenant_id integer NOT NULL,
    account_id text NOT NULL,
    field text NOT NULL,
    value jsonb NOT NULL,
    at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, account_id, field)
);

CREATE TABLE recado.deferred (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due_at timestamptz,
    tenant_id integer NOT NULL,
    reason text NOT NULL,
    queue text,
    topic text NOT NULL,
    key text NOT NULL,
    base uuid NOT NULL,
    n integer NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    subject text,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 200000, autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 100000);
CREATE INDEX deferred_due ON recado.deferred (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX deferred_queue ON recado.deferred (tenant_id, queue, id) WHERE queue IS NOT NULL;
CREATE INDEX deferred_unavailable ON recado.deferred (tenant_id, id) WHERE reason = 'tenant_unavailable';

CREATE TABLE recado.delivery_queues (
    tenant_id integer NOT NULL,
    endpoint_id text NOT NULL,
    conversation text NOT NULL,
    head_event_id uuid NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, endpoint_id, conversation)
);

CREATE TABLE recado.deliveries (
    tenant_id integer NOT NULL,
    endpoint_id text NOT NULL,
    event_id uuid NOT NULL,
    n integer NOT NULL,
    outcome text NOT NULL,
    http_status integer,
    detail text,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, endpoint_id, event_id, n)
);

CREATE TABLE recado.send_attempts (
    tenant_id integer NOT NULL,
    message_id text NOT NULL,
    attempt integer NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL,
    outcome text,
    wamid text,
    code text,
    detail jsonb,
    answered_at timestamptz,
    PRIMARY KEY (tenant_id, message_id, attempt)
);

CREATE TABLE recado.webhook_events (
    tenant_id integer NOT NULL,
    id uuid NOT NULL,
    account_id text,
    event_type text NOT NULL,
    payload jsonb NOT NULL,
    processed boolean NOT NULL DEFAULT false,
    process_result jsonb,
    raw_partition integer,
    raw_offset bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['account_state', 'deferred', 'delivery_queues', 'deliveries', 'send_attempts',
        'webhook_events'] LOOP
        EXECUTE format('ALTER TABLE recado.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON recado.%I TO recado_tenant '
            'USING (tenant_id = (SELECT recado.need_tenant())) '
            'WITH CHECK (tenant_id = (SELECT recado.need_tenant()))', name);
        EXECUTE format('CREATE POLICY reads_all ON recado.%I FOR SELECT TO recado_ledger, recado_operator USING (true)',
            name);
        EXECUTE format('GRANT SELECT ON recado.%I TO recado_ledger, recado_operator', name);
    END LOOP;
END $$;

CREATE POLICY gives_back ON recado.deferred TO recado_scheduler USING (true) WITH CHECK (true);
CREATE POLICY pushes ON recado.deferred TO recado_notifier USING (true) WITH CHECK (true);
CREATE POLICY pushes ON recado.delivery_queues TO recado_notifier USING (true) WITH CHECK (true);
CREATE POLICY pushes ON recado.deliveries TO recado_notifier USING (true) WITH CHECK (true);

GRANT USAGE ON SCHEMA recado TO recado_tenant, recado_scheduler, recado_notifier, recado_ledger, recado_operator;
GRANT SELECT ON recado.schema_versions TO recado_ledger, recado_operator;
GRANT SELECT, INSERT, UPDATE ON recado.account_state, recado.send_attempts, recado.webhook_events TO recado_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON recado.deferred TO recado_tenant, recado_scheduler, recado_notifier;
GRANT SELECT ON recado.deliveries TO recado_tenant;
GRANT SELECT, INSERT ON recado.deliveries TO recado_notifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON recado.delivery_queues TO recado_notifier;
