# What the scripts beside this one share; sourced, never run.

say() { printf 'ci: %s\n' "$*"; }
missing() { ! PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1; }
install_packages() {
    say "installing $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
# Go on in a copy that other users can read, where they cannot read this checkout: below a folder of mode 0700, say.
# Without what nox and the runs made; the trap of the caller's EXIT removes it.
go_where_others_read() {
    if as_nobody test -r "$PWD/noxfile.py" && as_nobody test -x "$PWD/scripts"; then return; fi
    say "others cannot read $PWD: the tests run in a copy"
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    tar --exclude=./.venv --exclude=./.nox --exclude=./evidence -cf - . | tar -xf - -C "$copy"
    chmod -R a+rX "$copy"
    cd "$copy"
}
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@" 2>/dev/null; }
