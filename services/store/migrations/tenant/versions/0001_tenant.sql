CREATE TABLE {schema}.contacts (
    id text PRIMARY KEY,
    name text,
    username text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE {schema}.contact_identities (
    kind text NOT NULL,
    value text NOT NULL,
    contact_id text,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, value)
);
CREATE INDEX contact_identities_contact ON {schema}.contact_identities (contact_id);

CREATE TABLE {schema}.conversations (
    id text PRIMARY KEY,
    account_id text NOT NULL,
    contact_id text NOT NULL,
    contact_phone text,
    contact_name text,
    status text NOT NULL DEFAULT 'open',
    last_message_at timestamptz,
    window_expires_at timestamptz,
    unread_count integer NOT NULL DEFAULT 0,
    last_sequence bigint NOT NULL DEFAULT 0,
    queues jsonb NOT NULL DEFAULT '{{}}',
    metadata jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, contact_id)
);
CREATE INDEX conversations_recent ON {schema}.conversations (last_message_at DESC, id);

CREATE TABLE {schema}.messages (
    id text PRIMARY KEY,
    conversation_id text,
    account_id text NOT NULL,
    direction text NOT NULL,
    message_type text NOT NULL,
    content text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{{}}',
    status text NOT NULL,
    wamid text,
    reply_to text,
    phone_number text,
    user_id text,
    template_id text,
    variables jsonb,
    metadata jsonb NOT NULL DEFAULT '{{}}',
    lane text,
    wait_no integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,
    attempt integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    base uuid NOT NULL,
    body_sha256 text,
    error jsonb,
    pricing jsonb,
    not_before timestamptz,
    not_after timestamptz,
    message_at timestamptz NOT NULL,
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    played_at timestamptz,
    failed_at timestamptz,
    raw_partition integer,
    raw_offset bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX messages_conversation ON {schema}.messages (conversation_id, message_at, id);

CREATE TABLE {schema}.wamids (
    account_id text NOT NULL,
    direction text NOT NULL,
    wamid text NOT NULL,
    message_id text,
    attempt integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, direction, wamid)
);

CREATE TABLE {schema}.message_statuses (
    account_id text NOT NULL,
    wamid text NOT NULL,
    status text NOT NULL,
    participant text NOT NULL DEFAULT '',
    status_at timestamptz NOT NULL,
    message_id text,
    late boolean NOT NULL,
    errors jsonb,
    pricing jsonb,
    base uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, wamid, status, participant, status_at)
);
CREATE INDEX message_statuses_message ON {schema}.message_statuses (message_id);

CREATE TABLE {schema}.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    base uuid NOT NULL,
    event_type text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    conversation_id text,
    message_id text,
    account_id text,
    sequence bigint NOT NULL,
    at timestamptz NOT NULL,
    value bytea NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_base ON {schema}.events (base);
CREATE INDEX events_message ON {schema}.events (message_id);

GRANT USAGE ON SCHEMA {schema} TO {schema}, recado_operator;
GRANT SELECT, INSERT, UPDATE ON {schema}.contacts, {schema}.contact_identities, {schema}.conversations,
    {schema}.messages, {schema}.wamids, {schema}.message_statuses TO {schema};
GRANT SELECT, INSERT ON {schema}.events TO {schema};
GRANT SELECT ON {schema}.contacts, {schema}.contact_identities, {schema}.conversations, {schema}.messages,
    {schema}.wamids, {schema}.message_statuses, {schema}.events TO recado_operator;
