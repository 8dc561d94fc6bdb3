#!/usr/bin/env bash
# Gets an ffmpeg with libvmaf, which Debian's lacks: the one that PyPI's imageio-ffmpeg carries. Only comparisons of
# pictures run it; where it can't be had, benchmarks go without VMAF.
#   deploy/vmaf.sh DIRECTORY      → DIRECTORY/ffmpeg
set -euo pipefail

directory=${1:?which directory?}
[ -x "$directory/ffmpeg" ] && exit 0

if ! python3 -c 'import ensurepip' 2>/dev/null; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
python3 -m venv "$directory"
"$directory/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
program=$("$directory/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
ln -sf "$program" "$directory/ffmpeg"
