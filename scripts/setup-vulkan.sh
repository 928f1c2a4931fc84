#!/bin/sh
# Gives this machine a Vulkan adapter that Dawn (npm `webgpu`) accepts, so that WebGPU tests can run without a GPU.
#
#   scripts/setup-vulkan.sh            does nothing when an adapter is there; else installs Mesa's lavapipe
#
# Debian and Ubuntu only; needs root or password-less sudo. Safe to run again. Debian 12's own Mesa (22.3) gives no
# adapter (Dawn: "shaderUniform*ArrayDynamicIndexing required"), so there the driver comes from bookworm-backports, by
# the mirror that the machine already uses. Prints what it did; exits 1, saying why, when no adapter results.
set -eu

say() { echo "setup-vulkan: $*"; }
fail() { say "$*" >&2; exit 1; }
repo=$(cd "$(dirname "$0")/.." && pwd)
# The loader complains on stderr without it.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"

# 0: an adapter; 1: none; 2: the npm package is not installed, so nobody can ask Dawn.
probe() {
  [ -d "$repo/node_modules/webgpu" ] || return 2
  (cd "$repo" && node --input-type=module -e '
    const { create } = await import("webgpu");
    let gpu = create([]);
    const adapter = await gpu.requestAdapter();
    if (adapter) console.log(`setup-vulkan: adapter: ${adapter.info.vendor} ${adapter.info.device} ${adapter.info.description}`.trim());
    process.exit(adapter ? 0 : 1);
  ' 2>/dev/null)
}

status=0
probe || status=$?
if [ "$status" = 0 ]; then
  say "an adapter exists; nothing to do"
  exit 0
fi
if [ "$status" = 2 ]; then
  installed=$(dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null || true)
  if [ -n "$installed" ] && dpkg --compare-versions "$installed" ge 23.1; then
    say "mesa-vulkan-drivers $installed is installed; nothing to do (npm package webgpu is not there to ask for an adapter)"
    exit 0
  fi
fi

command -v apt-get >/dev/null || fail "no apt-get here: install a Vulkan driver (Mesa 23.1 or later has lavapipe) by this system's own means"
root=""
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || fail "needs root or sudo to install mesa-vulkan-drivers"
  root="sudo"
fi
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
target=""
if [ "$codename" = bookworm ]; then
  target="bookworm-backports"
  if ! grep -rqsE '^[^#]*bookworm-backports' /etc/apt/sources.list /etc/apt/sources.list.d/; then
    # The machine's own mirror and key: the URI of the first source that carries the plain suite.
    files=$(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
    [ -n "$files" ] || fail "no apt source is configured"
    # shellcheck disable=SC2086
    line=$(awk '
      function flush() {
        if (!done && uri != "" && suites ~ /(^| )bookworm( |$)/ && comps ~ /(^| )main( |$)/) {
          options = key != "" ? "[signed-by=" key "] " : ""
          print "deb " options uri " bookworm-backports main"; done = 1
        }
        uri = ""; suites = ""; comps = ""; key = ""
      }
      FNR == 1 { flush() }
      /^#/ { next }
      /^[ \t]*$/ { flush(); next }
      /^URIs:/ { uri = $2 }
      /^Suites:/ { $1 = ""; suites = substr($0, 2) }
      /^Components:/ { $1 = ""; comps = substr($0, 2) }
      /^Signed-By:/ && $2 != "" { key = $2 }
      /^deb[ \t]/ {
        s = $0; options = ""
        if (match(s, /\[[^]]*\]/)) { options = substr(s, RSTART, RLENGTH) " "; s = substr(s, 1, RSTART - 1) substr(s, RSTART + RLENGTH) }
        split(s, f, /[ \t]+/)
        if (!done && f[3] == "bookworm" && s ~ /[ \t]main([ \t]|$)/) { print "deb " options f[2] " bookworm-backports main"; done = 1 }
      }
      END { flush() }
    ' $files)
    [ -n "$line" ] || fail "found no apt source with suite bookworm and component main to derive bookworm-backports from"
    echo "$line" | $root tee /etc/apt/sources.list.d/bookworm-backports.list >/dev/null
    say "added /etc/apt/sources.list.d/bookworm-backports.list: $line"
  fi
fi
$root apt-get update -qq || say "apt-get update reported a problem; going on with what it has"
if [ -n "$target" ]; then
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -t "$target" mesa-vulkan-drivers libvulkan1 >/dev/null
else
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 >/dev/null
fi
say "installed mesa-vulkan-drivers $(dpkg-query -W -f '${Version}' mesa-vulkan-drivers)"
status=0
probe || status=$?
[ "$status" != 1 ] || fail "Dawn still finds no adapter"
