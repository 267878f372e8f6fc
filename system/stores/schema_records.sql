-- The system of record. Run under an advisory lock; idempotent. Nothing here may be lost once acknowledged.
CREATE TABLE IF NOT EXISTS jobs (
    job_id text PRIMARY KEY,
    kind text NOT NULL,
    source text NOT NULL,
    principal text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS submissions (
    submission_id text PRIMARY KEY,
    job_id text NOT NULL REFERENCES jobs,
    source text NOT NULL,
    raw_object text NOT NULL,
    sha256 text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    split_at timestamptz
);
CREATE INDEX IF NOT EXISTS submissions_of_job ON submissions (job_id);
CREATE INDEX IF NOT EXISTS submissions_by_object ON submissions (raw_object);

CREATE TABLE IF NOT EXISTS idempotency (
    key text NOT NULL,
    principal text NOT NULL,
    route text NOT NULL,
    body_sha256 text NOT NULL,
    job_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, principal, route)
);

CREATE TABLE IF NOT EXISTS documents (
    doc_id text COLLATE "C" PRIMARY KEY,
    source text NOT NULL,
    native_id text NOT NULL,
    state text NOT NULL,
    version int NOT NULL,
    raw_object text NOT NULL,
    ir_object text,
    job_id text NOT NULL,
    reason jsonb,
    updated_at text NOT NULL -- ISO 8601 UTC, the same text that the audit chain hashes
);
CREATE INDEX IF NOT EXISTS documents_by_state ON documents (state, doc_id);
CREATE INDEX IF NOT EXISTS documents_by_raw ON documents (raw_object);
CREATE INDEX IF NOT EXISTS documents_by_ir ON documents (ir_object);

-- Versions (system.platform.lineage). Beside the state, not a state: an older version walks its steps and stays readable by its id.
ALTER TABLE documents
    ADD COLUMN IF NOT EXISTS series text NOT NULL DEFAULT '', -- empty: it has no versions
    ADD COLUMN IF NOT EXISTS rank text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS received text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS published boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS superseded_by text COLLATE "C",
    ADD COLUMN IF NOT EXISTS superseded_on text,
    ADD COLUMN IF NOT EXISTS marks int NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS documents_of_series ON documents (series) WHERE series <> '';
CREATE INDEX IF NOT EXISTS documents_superseded ON documents (doc_id) WHERE superseded_by IS NOT NULL;

CREATE TABLE IF NOT EXISTS job_documents (
    job_id text NOT NULL,
    doc_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (job_id, doc_id)
);
CREATE INDEX IF NOT EXISTS job_documents_of_document ON job_documents (doc_id);

-- The audit chain, in shards by subject so that writers of different documents do not wait for each other.
CREATE TABLE IF NOT EXISTS document_history (
    shard smallint NOT NULL,
    sequence bigint NOT NULL,
    subject text NOT NULL,
    entry text NOT NULL, -- canonical JSON, exactly the bytes that were hashed
    previous text NOT NULL,
    hash text NOT NULL,
    PRIMARY KEY (shard, sequence)
);
CREATE INDEX IF NOT EXISTS document_history_of_subject ON document_history (subject, sequence);

CREATE TABLE IF NOT EXISTS audit_anchors (
    shard smallint PRIMARY KEY,
    length bigint NOT NULL DEFAULT 0,
    head text NOT NULL DEFAULT '',
    tail text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
INSERT INTO audit_anchors (shard) SELECT generate_series(0, 7) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS outbox (
    position bigserial PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    topic text NOT NULL,
    key text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    relayed_at timestamptz
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (position) WHERE relayed_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_by_key ON outbox (key);

CREATE TABLE IF NOT EXISTS consumed_events (
    event_id text NOT NULL,
    consumer text NOT NULL,
    consumed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, consumer)
);

CREATE TABLE IF NOT EXISTS chunks (
    chunk_id text PRIMARY KEY,
    doc_id text COLLATE "C" NOT NULL,
    index int NOT NULL,
    body text NOT NULL,
    UNIQUE (doc_id, index)
);

CREATE TABLE IF NOT EXISTS extractions (
    doc_id text COLLATE "C" PRIMARY KEY,
    extractor text NOT NULL,
    fields text[] NOT NULL, -- names of the record fields that are not empty
    body text NOT NULL
);

CREATE TABLE IF NOT EXISTS graph_batches (
    supporter text PRIMARY KEY,
    write_id text UNIQUE,
    job_id text,
    payload text NOT NULL,
    payload_sha256 text NOT NULL,
    status text NOT NULL,
    staged_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz
);
ALTER TABLE graph_batches DROP CONSTRAINT IF EXISTS graph_batches_status_check;
ALTER TABLE graph_batches
    ADD CONSTRAINT graph_batches_status_check CHECK (status IN ('staged', 'applied', 'refused', 'withdrawn'));
CREATE INDEX IF NOT EXISTS graph_batches_staged ON graph_batches (staged_at) WHERE status = 'staged';

-- Which nodes a durable batch brings: the graph is a projection, so what exists is asked here.
CREATE TABLE IF NOT EXISTS graph_batch_nodes (
    supporter text NOT NULL REFERENCES graph_batches ON DELETE CASCADE,
    label text NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (label, key, supporter)
);
CREATE INDEX IF NOT EXISTS graph_batch_nodes_of ON graph_batch_nodes (supporter);

CREATE TABLE IF NOT EXISTS dead_letters (
    letter_id text PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    issues text NOT NULL,
    payload bytea NOT NULL,
    payload_sha256 text NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'replayed')),
    attempts int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);
