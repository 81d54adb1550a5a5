-- 0025_boz_observability_role.sql
-- Guarantee: the regulator's seat exists, reads eight tables and can do nothing else (INV-111).   Locks: ACCESS SHARE on the eight tables.
-- Roles belong to the whole cluster: another database may be migrating at this very moment, and they may have been made by somebody
-- else. So a role that is there is left alone when it is right, put right when this migrator may, and refused otherwise.
DO $$
DECLARE
    v_name text;
    v_role record;
BEGIN
    FOREACH v_name IN ARRAY ARRAY['boz_auditor']
    LOOP
        FOR attempt IN 1..20 LOOP
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = v_name) THEN
                    EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', v_name);
                END IF;
                SELECT r.rolcanlogin, r.rolcreaterole, r.rolcreatedb,
                       r.rolsuper OR r.rolbypassrls OR r.rolreplication AS powerful,
                       EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.member = r.oid) AS joined
                  INTO STRICT v_role
                  FROM pg_catalog.pg_roles AS r
                 WHERE r.rolname = v_name;
                IF v_role.powerful THEN
                    RAISE EXCEPTION 'role % exists with SUPERUSER, BYPASSRLS or REPLICATION', v_name
                        USING ERRCODE = 'P7004', HINT = 'A superuser has to take these attributes away, or drop the role.';
                END IF;
                IF v_role.joined THEN
                    RAISE EXCEPTION 'role % is a member of other roles, whose rights it would have', v_name
                        USING ERRCODE = 'P7004', HINT = 'Revoke its memberships, or drop the role.';
                END IF;
                -- One by one: naming an attribute needs the right to change it, even where nothing changes.
                IF v_role.rolcanlogin THEN
                    EXECUTE pg_catalog.format('ALTER ROLE %I NOLOGIN', v_name);
                END IF;
                IF v_role.rolcreaterole THEN
                    EXECUTE pg_catalog.format('ALTER ROLE %I NOCREATEROLE', v_name);
                END IF;
                IF v_role.rolcreatedb THEN
                    EXECUTE pg_catalog.format('ALTER ROLE %I NOCREATEDB', v_name);
                END IF;
                EXIT;
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'role % is not as it must be, and % may not put it right', v_name, current_user
                        USING ERRCODE = 'P7004',
                              HINT = 'Let its owner or a superuser create it or make it NOLOGIN NOCREATEROLE NOCREATEDB.';
                WHEN duplicate_object OR unique_violation OR internal_error THEN
                    -- Another database's migration was quicker ("tuple concurrently updated" is internal_error). Look again.
                    IF attempt = 20 THEN
                        RAISE;
                    END IF;
                    PERFORM pg_catalog.pg_sleep(0.05 * attempt);
            END;
        END LOOP;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO boz_auditor;
REVOKE CREATE ON SCHEMA public FROM boz_auditor;
REVOKE ALL ON TABLE public.payment_outbox_pending, public.payment_outbox_attempts, public.participants, public.billable_clients,
    public.billing_usage_events, public.external_proofs, public.evidence_packs, public.evidence_pack_items FROM boz_auditor;
GRANT SELECT ON TABLE public.payment_outbox_pending, public.payment_outbox_attempts, public.participants, public.billable_clients,
    public.billing_usage_events, public.external_proofs, public.evidence_packs, public.evidence_pack_items TO boz_auditor;
