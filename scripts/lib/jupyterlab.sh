# Sourced by scripts/up, scripts/test and scripts/bench, in the repository root.
#
# jupyterlab_venv   makes .cache/jupyterlab, a Python environment with the JupyterLab of
#                   scripts/jupyterlab-requirements.txt, unless it is there already. The user's own
#                   Python stays as it is. About half a minute the first time, nothing afterwards.

jupyterlab_venv() {
  local venv=.cache/jupyterlab wanted
  wanted=$(sha256sum <scripts/jupyterlab-requirements.txt)
  # The stamp is written last, so that an interrupted installation is done again.
  if [ "$(cat "$venv/.stationd-stamp" 2>/dev/null)" = "$wanted" ] &&
    "$venv/bin/python" -c "" 2>/dev/null; then
    return 0
  fi
  printf 'installing JupyterLab into %s\n' "$venv"
  rm -rf "$venv"
  mkdir -p .cache
  # Scripts in a venv carry its absolute path: it is made where it stays, and linked, never copied.
  if ! python3 -m venv "$venv"; then
    printf 'cannot make a Python environment: is python3-venv installed?\n' >&2
    return 1
  fi
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement scripts/jupyterlab-requirements.txt; then
    printf 'pip could not install JupyterLab; the lines above say why\n' >&2
    return 1
  fi
  printf '%s\n' "$wanted" >"$venv/.stationd-stamp"
}
