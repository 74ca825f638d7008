# Sourced by scripts/run, scripts/test and .ci/run: sets up whatever is missing, and costs a few milliseconds when nothing is.
# Needs only Node (20 or newer), git and a compiler. Requires: $root is the project's directory.

# macOS: bash 3.2 (no BASHPID, empty arrays are unset), BSD tools, no apt, no /proc. See native-notes/macos.md.
on_macos() { [ "$(uname)" = Darwin ]; }

say() { printf 'vnodefs: %s\n' "$*" >&2; }

# need_packages PROGRAM=PACKAGE...: installs (as root, by apt-get) the Debian packages of the programs that are missing.
need_packages() {
  if on_macos; then return 0; fi
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair%%=*}" ] || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "these packages are missing: ${missing[*]}; run: sudo apt-get install -y ${missing[*]}"
    return 1
  fi
  say "installing ${missing[*]} (apt-get)"
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update || say "apt-get update failed; trying with the package lists that are here"
  quietly apt-get install -y --no-install-recommends "${missing[@]}" || {
    say "apt-get could not install ${missing[*]}"
    return 1
  }
}

# Runs a command without its output, which is shown if it fails.
quietly() {
  local out
  out=$("$@" 2>&1 </dev/null) && return 0
  printf '%s\n' "$out" >&2
  return 1
}

need_node() {
  local major
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || {
    say "Node is missing: install Node 20 or newer"
    return 1
  }
  [ "$major" -ge 20 ] || {
    say "Node $major is too old: install Node 20 or newer"
    return 1
  }
}

# True when node_modules holds what package-lock.json asks for. A symlink is somebody's shared install: left alone.
modules_fresh() {
  [ -L node_modules ] && [ -d node_modules/ ] && return 0
  [ -d node_modules ] || return 1
  if [ -f node_modules/.vnodefs-lock ]; then cmp -s package-lock.json node_modules/.vnodefs-lock; else
    [ node_modules/.package-lock.json -nt package-lock.json ]
  fi
}

build_fresh() {
  [ -f build/.stamp ] && [ -d node_modules/ ] &&
    [ -z "$(find src test scripts tsconfig.json package.json -newer build/.stamp \
      \( -type d -o -name '*.ts' -o -name '*.json' \) -print 2>/dev/null | head -n 1)" ]
}

# Removes what was compiled from sources that are gone: their tests would still run.
prune_build() {
  local file
  find build/src build/test build/scripts -name '*.js' 2>/dev/null | while read -r file; do
    local source=${file#build/}
    [ -f "${source%.js}.ts" ] || rm -f "$file" "$file.map"
  done
}

# Installs modules and builds if stale. Two callers at once take turns.
setup_project() {
  modules_fresh && build_fresh && return 0
  need_node || return 1
  mkdir -p build
  exec 9>build/.setup-lock
  flock 9 2>/dev/null || true
  if ! modules_fresh; then
    say "installing node modules (npm ci)"
    quietly npm ci --no-audit --no-fund || return 1
    cp package-lock.json node_modules/.vnodefs-lock
  fi
  if ! build_fresh; then
    say "building (tsc)"
    prune_build
    touch build/.stamp-next
    quietly node_modules/.bin/tsc || return 1
    mv build/.stamp-next build/.stamp
  fi
  exec 9>&-
}
