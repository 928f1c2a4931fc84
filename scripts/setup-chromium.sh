#!/bin/sh
# Installs Chromium for the browser tests. It brings SwiftShader, a software Vulkan, so pages have WebGPU without a GPU.
#
#   scripts/setup-chromium.sh          does nothing when a Chromium or Chrome is there
#
# Debian only (Ubuntu's package is a snap); needs root or password-less sudo. Safe to run again.
set -eu

say() { echo "setup-chromium: $*"; }
fail() { say "$*" >&2; exit 1; }

for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if found=$(command -v "$name"); then
    say "$found exists; nothing to do"
    exit 0
  fi
done
command -v apt-get >/dev/null || fail "no apt-get here: install Chromium or Chrome by this system's own means"
root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "needs root or sudo to install chromium"
  root="sudo"
fi
$root apt-get update -qq || say "apt-get update reported a problem; going on with what it has"
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
command -v chromium >/dev/null || fail "the package chromium left no chromium in PATH"
say "installed $(chromium --version 2>/dev/null || echo chromium)"
