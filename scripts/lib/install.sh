# Sourced by the scripts that may install packages. It asks first, unless CI=true or --yes was given.
#
# missing_packages NAME...   prints those Debian packages of the list that are not installed
# install_packages NAME...   installs those that are missing; 1 when that was not possible or not wanted
# cargo_tool NAME VERSION    builds that version of a cargo tool into .cache/tools/bin, once
# require_rust               ends the script, and says what to do, when there is no fit Rust toolchain

ASSUME_YES="${ASSUME_YES:-false}"
if [ "${CI:-}" = true ]; then ASSUME_YES=true; fi

complain() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

missing_packages() {
  local package
  for package in "$@"; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      printf '%s\n' "$package"
    fi
  done
}

# May we install "$*"? Asks on a terminal, refuses without one.
may_install() {
  if [ "$ASSUME_YES" = true ]; then return 0; fi
  if [ ! -t 0 ]; then
    complain "would install: $*; run it again with --yes to allow that"
    return 1
  fi
  local answer
  read -r -p "Install $*? [y/N] " answer
  [ "$answer" = y ] || [ "$answer" = Y ] || [ "$answer" = yes ]
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    complain "this needs root and there is no sudo; as root, run: $*"
    return 1
  fi
}

install_packages() {
  local missing log
  mapfile -t missing < <(missing_packages "$@")
  if [ "${#missing[@]}" = 0 ]; then return 0; fi
  if ! command -v apt-get >/dev/null; then
    complain "missing: ${missing[*]}; there is no apt-get here, install them with your own package manager"
    return 1
  fi
  may_install "the Debian packages ${missing[*]}" || return 1
  printf 'installing %s\n' "${missing[*]}"
  log=$(mktemp)
  # An up-to-date list first: on a fresh machine there is none at all.
  if as_root apt-get update -q >"$log" 2>&1 &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
      "${missing[@]}" >>"$log" 2>&1; then
    rm -f "$log"
    return 0
  fi
  tail -n 15 "$log" >&2
  rm -f "$log"
  complain "apt-get could not install ${missing[*]}"
  return 1
}

cargo_tool() {
  if [ "$(".cache/tools/bin/$1" --version 2>/dev/null)" = "$1 $2" ]; then return 0; fi
  printf 'building %s %s (about a minute, once)\n' "$1" "$2"
  # The dev profile: what it does takes no time, and an optimised build takes five times as long.
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --force --profile dev \
    --root .cache/tools --version "$2" "$1"
}

require_rust() {
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  # rustup puts the tools here; a shell opened before its installation does not know yet.
  if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  if ! command -v cargo >/dev/null; then
    complain "no Rust toolchain: install rustup (https://rustup.rs), then Rust $wanted or newer"
    exit 3
  fi
  have=$(cargo --version | cut -d' ' -f2)
  if [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
    complain "Rust $have is too old, $wanted or newer is needed: run 'rustup update stable'"
    exit 3
  fi
}
