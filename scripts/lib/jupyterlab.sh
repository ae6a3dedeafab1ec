# Sourced by scripts/up, scripts/test and scripts/bench, in the repository root.
#
# jupyterlab_venv   makes .cache/jupyterlab, a Python environment with the JupyterLab of
#                   agent/pins/jupyterlab.txt, unless it is there already. The user's own
#                   Python stays as it is. About half a minute the first time, nothing afterwards.
# custom_apps_venv  the same for .cache/custom, with the web apps that the tests run as custom apps.
# schemathesis_venv the same for .cache/schemathesis, which exercises the API's description.

jupyterlab_venv() {
  python_venv JupyterLab .cache/jupyterlab agent/pins/jupyterlab.txt
}

custom_apps_venv() {
  python_venv 'TensorBoard and Streamlit' .cache/custom scripts/custom-apps-requirements.txt
}

schemathesis_venv() {
  python_venv schemathesis .cache/schemathesis scripts/openapi-requirements.txt
}

# Makes the environment $2 with the packages of the file $3, which people call $1.
python_venv() {
  local what=$1 venv=$2 file=$3 wanted
  wanted=$(sha256sum <"$file")
  # The stamp is written last, so that an interrupted installation is done again.
  if [ "$(cat "$venv/.stationd-stamp" 2>/dev/null)" = "$wanted" ] &&
    "$venv/bin/python" -c "" 2>/dev/null; then
    return 0
  fi
  printf 'installing %s into %s\n' "$what" "$venv"
  rm -rf "$venv"
  mkdir -p .cache
  # Scripts in a venv carry its absolute path: it is made where it stays, and linked, never copied.
  if ! python3 -m venv "$venv"; then
    printf 'cannot make a Python environment: is python3-venv installed?\n' >&2
    return 1
  fi
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$file"; then
    printf 'pip could not install %s; the lines above say why\n' "$what" >&2
    return 1
  fi
  printf '%s\n' "$wanted" >"$venv/.stationd-stamp"
}
