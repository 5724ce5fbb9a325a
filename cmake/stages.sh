# What ./demo and ./check share. Sourced from the repository's root by bash.

export SYSTEMC_DISABLE_COPYRIGHT_MESSAGE=1  # every test program prints it when its tests are listed

# stage NAME: what begins now. Prints how long the stage before took; `stage` alone ends the last one.
stage() {
  if [ -n "${stage_name:-}" ]; then
    printf -- '-- %s: %d s\n' "$stage_name" $((SECONDS - stage_began))
  fi
  stage_name=${1:-}
  stage_began=$SECONDS
  if [ -n "$stage_name" ]; then printf '\n== %s\n' "$stage_name"; fi
}

# packages_for run|check: names in cmake/packages.txt. `check` takes those of `run` too.
packages_for() {
  awk -v who="$1" '!/^#/ && ($1 == who || $1 == "run") { print $2 }' cmake/packages.txt
}

# install_packages run|check: whatever Debian packages are missing, as root or through sudo; never asks.
install_packages() {
  local missing=() as_root=() name
  while read -r name; do
    dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
  done < <(packages_for "$1")
  if [ ${#missing[@]} -eq 0 ]; then
    echo "nothing is missing"
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "These Debian packages are missing, and neither root nor sudo without a password is at hand. Run:" >&2
      echo "  sudo apt-get install ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo -n)
  fi
  echo "installing with apt-get${as_root[0]:+ through sudo}: ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null || true
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 install "${missing[@]}" </dev/null >/dev/null
}
