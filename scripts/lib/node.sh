# Sourced by scripts/test, in the repository root.
#
# has_node        whether there are node and npm, from Debian's packages or another source
# node_packages   puts the npm packages of tests/node into .cache/node, unless they are there already;
#                 1 when that was not possible. Their scripts are not run. Seconds the first time.

has_node() {
  command -v node >/dev/null && command -v npm >/dev/null
}

node_packages() {
  local folder=.cache/node wanted
  has_node || return 1
  wanted=$(cat tests/node/package.json tests/node/package-lock.json | sha256sum)
  # The stamp is written last, so that an interrupted installation is done again.
  if [ "$(cat "$folder/.stationd-stamp" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  printf 'installing the packages of tests/node into %s\n' "$folder"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp tests/node/package.json tests/node/package-lock.json "$folder"
  if ! npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error; then
    printf 'npm could not install them; the lines above say why\n' >&2
    return 1
  fi
  printf '%s\n' "$wanted" >"$folder/.stationd-stamp"
}
