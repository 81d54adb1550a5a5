#!/bin/sh
# First process of the image that is built without a registry (scripts/server/containers/image.py). It keeps the contract of the
# official image that this project uses: POSTGRES_USER, POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, POSTGRES_DB,
# POSTGRES_INITDB_ARGS, PGDATA; a first boot with initdb; then `postgres` with the command's own options, not as root.
set -eu

if [ "${1:-postgres}" != postgres ]; then exec "$@"; fi
[ "$#" -gt 0 ] || set -- postgres

PGDATA="${PGDATA:-/var/lib/postgresql/18/docker}"
export PGDATA
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -n "${POSTGRES_PASSWORD:-}" ] && [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        echo "error: both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set (but are exclusive)" >&2
        exit 1
    fi
    file="${POSTGRES_PASSWORD_FILE:-}"
    if [ -z "$file" ]; then
        if [ -z "${POSTGRES_PASSWORD:-}" ]; then
            echo "Error: Database is uninitialized and superuser password is not specified." >&2
            exit 1
        fi
        file="$(mktemp)" # mode 0600
        printf '%s\n' "$POSTGRES_PASSWORD" >"$file"
    fi
    user="${POSTGRES_USER:-postgres}"
    # Words, as in the official image.
    # shellcheck disable=SC2086
    initdb -D "$PGDATA" --username="$user" --pwfile="$file" ${POSTGRES_INITDB_ARGS:-}
    [ "$file" = "${POSTGRES_PASSWORD_FILE:-}" ] || rm -f "$file"
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    database="${POSTGRES_DB:-$user}"
    if [ "$database" != postgres ]; then
        # Single-user mode reads one statement a line and needs no temporary server.
        printf 'CREATE DATABASE "%s"\n' "$(printf '%s' "$database" | sed 's/"/""/g')" |
            postgres --single -j -D "$PGDATA" postgres >/dev/null
    fi
fi
unset POSTGRES_PASSWORD
exec "$@"
