-- 0023_evidence_packs_signing_anchoring_hooks.sql
-- Guarantee: a pack can be signed and anchored: at insertion in its own columns, later in rows of its own (INV-103).
-- Locks: ACCESS EXCLUSIVE and SHARE on evidence_packs. Nothing is rewritten.
SET LOCAL lock_timeout = '500ms';
ALTER TABLE public.evidence_packs
    ADD COLUMN signer_participant_id text,
    ADD COLUMN signature_alg text,
    ADD COLUMN signature text,
    ADD COLUMN signed_at timestamptz,
    ADD COLUMN anchor_type text,
    ADD COLUMN anchor_ref text,
    ADD COLUMN anchored_at timestamptz;
CREATE INDEX idx_evidence_packs_anchor_ref ON public.evidence_packs (anchor_ref) WHERE anchor_ref IS NOT NULL;

-- A pack's root hash is known only when its items are, and its row never changes: signing and anchoring are further rows.
CREATE TABLE public.evidence_pack_signatures (
    signature_id          uuid         NOT NULL DEFAULT public.uuid_v7_or_random(),
    pack_id               uuid         NOT NULL,
    root_hash             text         NOT NULL,
    signer_participant_id text         NOT NULL,
    signature_alg         text         NOT NULL,
    signature             text         NOT NULL,
    anchor_type           text,
    anchor_ref            text,
    anchored_at           timestamptz,
    signed_at             timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT evidence_pack_signatures_pkey PRIMARY KEY (signature_id),
    CONSTRAINT evidence_pack_signatures_pack_id_fkey FOREIGN KEY (pack_id) REFERENCES public.evidence_packs (pack_id),
    CONSTRAINT evidence_pack_signatures_root_hash_nonempty_check CHECK (root_hash <> ''),
    CONSTRAINT evidence_pack_signatures_anchor_check CHECK ((anchor_type IS NULL) = (anchor_ref IS NULL))
);
CREATE INDEX idx_evidence_pack_signatures_pack_id ON public.evidence_pack_signatures (pack_id);
COMMENT ON TABLE public.evidence_pack_signatures IS 'Append-only signatures and anchors of packs, each over the root hash at its time.';
REVOKE ALL ON TABLE public.evidence_pack_signatures FROM PUBLIC;
CREATE TRIGGER trg_deny_evidence_pack_signatures_mutation BEFORE UPDATE OR DELETE ON public.evidence_pack_signatures
    FOR EACH ROW EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.evidence_pack_signatures ENABLE ALWAYS TRIGGER trg_deny_evidence_pack_signatures_mutation;
CREATE TRIGGER trg_deny_evidence_pack_signatures_truncate BEFORE TRUNCATE ON public.evidence_pack_signatures
    FOR EACH STATEMENT EXECUTE FUNCTION public.deny_append_only_mutation();
ALTER TABLE public.evidence_pack_signatures ENABLE ALWAYS TRIGGER trg_deny_evidence_pack_signatures_truncate;
