-- The chunk index: a projection that can be rebuilt from records and objects. Run under an advisory lock; idempotent.
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE IF NOT EXISTS chunks (
    chunk int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chunk_id text COLLATE "C" NOT NULL UNIQUE,
    doc_id text COLLATE "C" NOT NULL,
    source text NOT NULL,
    native_id text NOT NULL,
    title text NOT NULL,
    title_path text NOT NULL,
    section text NOT NULL,
    kind text NOT NULL,
    intent text NOT NULL,
    body text NOT NULL,
    start_offset int NOT NULL,
    end_offset int NOT NULL,
    year int,
    conditions text[] NOT NULL,
    title_length int NOT NULL,
    body_length int NOT NULL
) WITH (toast_tuple_target = 512); -- long bodies live out of line, so that filters scan a narrow table
CREATE INDEX IF NOT EXISTS chunks_of_document ON chunks (doc_id);
CREATE INDEX IF NOT EXISTS chunks_by_native_id ON chunks (upper(native_id));

-- One row a (term, chunk). Lengths are repeated here so that scoring reads one covering index and nothing else.
CREATE TABLE IF NOT EXISTS word_postings (
    term text COLLATE "C" NOT NULL,
    chunk int NOT NULL,
    title_count int NOT NULL,
    body_count int NOT NULL,
    title_length int NOT NULL,
    body_length int NOT NULL
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.1);
CREATE INDEX IF NOT EXISTS word_postings_by_term ON word_postings (term)
    INCLUDE (chunk, title_count, body_count, title_length, body_length);
CREATE INDEX IF NOT EXISTS word_postings_by_chunk ON word_postings (chunk);

CREATE TABLE IF NOT EXISTS sparse_postings (
    term int NOT NULL,
    chunk int NOT NULL,
    weight real NOT NULL
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.1);
CREATE INDEX IF NOT EXISTS sparse_postings_by_term ON sparse_postings (term) INCLUDE (chunk, weight);
CREATE INDEX IF NOT EXISTS sparse_postings_by_chunk ON sparse_postings (chunk);

CREATE TABLE IF NOT EXISTS dense_vectors (
    chunk int PRIMARY KEY,
    embedding vector(384) NOT NULL
);
ALTER TABLE dense_vectors ALTER COLUMN embedding SET STORAGE PLAIN;

-- Exact corpus statistics, in shards so that writers of different documents rarely wait for each other.
CREATE TABLE IF NOT EXISTS corpus_statistics (
    shard smallint PRIMARY KEY,
    chunks bigint NOT NULL DEFAULT 0,
    title_terms bigint NOT NULL DEFAULT 0,
    body_terms bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO corpus_statistics (shard) SELECT generate_series(0, 15) ON CONFLICT DO NOTHING;
