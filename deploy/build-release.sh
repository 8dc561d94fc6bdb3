#!/usr/bin/env bash
# Builds the services of a commit below target/compat, by default of the last one that RELEASES.md names, and prints the folder of
# their executables. The source is a git worktree of its own, and what was built before is used again.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=${1:-$(grep -oE '`[0-9a-f]{40}`' RELEASES.md | tail -n 1 | tr -d '`')}
commit=$(git rev-parse --verify "$commit^{commit}")
root=$PWD/target/compat
mkdir -p "$root"
if [ ! -e "$root/source" ]; then
  git worktree prune
  git worktree add --quiet --detach "$root/source" "$commit" >&2
fi
git -C "$root/source" checkout --quiet --detach "$commit" >&2
make -C "$root/source" web >&2
CARGO_TARGET_DIR=$root/target cargo build --manifest-path "$root/source/Cargo.toml" \
  -p headwater-proxy -p headwater-server -p headwater-origin --bins >&2
echo "$root/target/debug"
