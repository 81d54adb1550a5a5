# What the scripts beside this one share; sourced, never run.

say() { printf 'ci: %s\n' "$*"; }
missing() { ! PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1; }
install_packages() {
    say "installing $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
