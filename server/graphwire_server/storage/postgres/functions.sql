-- What the shared SQL calls and Postgres has under no name, or with another meaning.

CREATE OR REPLACE FUNCTION graphwire_now() RETURNS BIGINT
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT $$;

-- The number of the transaction, as it is kept with what must be read in the order of commits.
CREATE OR REPLACE FUNCTION graphwire_xid() RETURNS BIGINT
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$ SELECT pg_current_xact_id()::text::BIGINT $$;

-- All transactions with lower numbers have ended, and what they have committed can be seen.
CREATE OR REPLACE FUNCTION graphwire_settled_xid() RETURNS BIGINT
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT pg_snapshot_xmin(pg_current_snapshot())::text::BIGINT $$;

-- Whether a JSON document contains a JSON object, see records.ThreadFilter. jsonb's @>
-- means the same but for arrays, which it takes for sets: they are compared by themselves.
CREATE OR REPLACE FUNCTION graphwire_contains(document TEXT, wanted TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    have JSONB;
    want JSONB;
BEGIN
    IF document IS NULL THEN
        RETURN FALSE;
    END IF;
    BEGIN
        have := graphwire_jsonb(document);
    EXCEPTION WHEN OTHERS THEN
        -- No JSON, or none that jsonb can hold.
        RETURN FALSE;
    END;
    want := graphwire_jsonb(wanted);
    IF NOT have @> want THEN
        RETURN FALSE;
    END IF;
    IF strpos(wanted, '[') = 0 THEN
        RETURN TRUE;
    END IF;
    RETURN NOT EXISTS (
        WITH RECURSIVE node (path, value) AS (
            SELECT ARRAY[]::TEXT[], want
            UNION ALL
            SELECT path || child.key, child.value
            FROM node CROSS JOIN LATERAL jsonb_each(
                CASE WHEN jsonb_typeof(node.value) = 'object' THEN node.value ELSE '{}' END
            ) AS child
        )
        SELECT 1 FROM node
        WHERE jsonb_typeof(value) = 'array' AND have #> path IS DISTINCT FROM value
    );
END
$$;

-- A JSON text as jsonb, which can't hold the character NUL: two noncharacters stand for it.
CREATE OR REPLACE FUNCTION graphwire_jsonb(document TEXT) RETURNS JSONB
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN strpos(document, '\u0000') = 0 THEN document
        ELSE regexp_replace(document, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\uffff\\ufffe', 'g')
    END::JSONB
$$;

-- Whether an element of a JSON array contains a JSON object, as graphwire_contains means it.
CREATE OR REPLACE FUNCTION graphwire_any_contains(elements TEXT, wanted TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE
AS $$
    SELECT EXISTS (
        SELECT 1 FROM jsonb_array_elements(graphwire_jsonb(elements)) AS element
        WHERE element @> graphwire_jsonb(wanted))
$$;

-- Whether a JSON object has a list under a key with at least the elements of another list.
CREATE OR REPLACE FUNCTION graphwire_has_all(document TEXT, key TEXT, wanted TEXT) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE
AS $$
    SELECT COALESCE(
        jsonb_typeof(graphwire_jsonb(document) -> key) = 'array'
        AND NOT EXISTS (
            SELECT 1 FROM jsonb_array_elements(graphwire_jsonb(wanted)) AS want
            WHERE NOT EXISTS (
                SELECT 1 FROM jsonb_array_elements(graphwire_jsonb(document) -> key) AS have
                WHERE have = want)),
        FALSE)
$$;
