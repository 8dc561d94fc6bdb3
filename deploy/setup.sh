#!/usr/bin/env bash
# Installs the Debian packages that are missing for what is named: build, run, demo, test, fuzz, bench, node.
#   deploy/setup.sh build run test
# Installs nothing and asks for nothing when all are there. Debian 12 or later, or Ubuntu 24.04 or later.
set -euo pipefail

build=(build-essential pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev
  libswscale-dev libavutil-dev)
run=(gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  gstreamer1.0-libav)
demo=(gstreamer1.0-x fonts-dejavu-core)
test=(redis-server ffmpeg gstreamer1.0-tools vlc-bin vlc-plugin-base procps iproute2 util-linux haproxy)
browser=(chromium)
fuzz=(python3-venv)
# What Headwater is measured against.
bench=(haproxy nginx-light libnginx-mod-rtmp)
node=(nodejs npm)

# Node from anywhere will do; Debian's is only taken where there is none.
command -v npm >/dev/null && command -v node >/dev/null && node=()

# So will one of these browsers, where the tests look for it. Ubuntu has only a snap of the first one.
for program in chromium chromium-browser google-chrome; do
  if [ -x "/usr/bin/$program" ]; then browser=(); fi
done

wanted=()
for group in "$@"; do
  case $group in
    build) wanted+=("${build[@]}") ;;
    run) wanted+=("${run[@]}") ;;
    demo) wanted+=("${demo[@]}") ;;
    test) wanted+=("${demo[@]}" "${test[@]}" "${browser[@]}" "${node[@]}") ;;
    fuzz) wanted+=("${fuzz[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    node) wanted+=("${node[@]}") ;;
    *) echo "setup: there is no group '$group': build, run, demo, test, fuzz, bench, node" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup: this machine has no apt. Install what these Debian packages hold, then run again with" >&2
  echo "       your own package manager's names: ${missing[*]}" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: run this as root once: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: apt could not install: ${missing[*]}" >&2
  exit 1
fi
