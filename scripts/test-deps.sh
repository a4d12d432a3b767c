#!/usr/bin/env bash
# What the tests need besides Rust: real clients and checkers. Installs what is missing with apt, as
# root or through sudo; elsewhere it names what is missing and fails. Does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

# A newer ffmpeg than distributions have: it speaks enhanced RTMP. tests/src/tools.rs looks here.
readonly tools=target/test-tools
readonly newer_ffmpeg=imageio-ffmpeg==0.8.1
# A newer Node.js than Debian has, for the SDK: from npm, which has it as a package for each machine.
readonly newer_node=22.12.0
# What apps build their tokens with. tests/tests/tokens.rs looks here; npm's are in tests/tokens/.
readonly token_builder=agora-token-builder==1.0.0

packages=()
want() { packages+=("$1"); }
has() { command -v "$1" >/dev/null; }
has_elements() {
    local element
    for element; do
        gst-inspect-1.0 --exists "$element" 2>/dev/null || return 1
    done
}

has curl || want curl
{ has ffmpeg && has ffprobe; } || want ffmpeg
has rtmpdump || want rtmpdump
{ [[ -n ${LOCKGATE_CHROMIUM:-} ]] || has chromium; } || want chromium
{ has nginx || [[ -x /usr/sbin/nginx ]]; } || want nginx-light
has promtool || want prometheus
has systemd-analyze || want systemd
has shellcheck || want shellcheck
has gst-launch-1.0 || want gstreamer1.0-tools
has_elements videotestsrc || want gstreamer1.0-plugins-base
has_elements flvmux || want gstreamer1.0-plugins-good
has_elements rtmpsink rtmpsrc rtmp2sink rtmp2src webrtcbin || want gstreamer1.0-plugins-bad
has_elements x264enc || want gstreamer1.0-plugins-ugly
has_elements avenc_aac avdec_h265 || want gstreamer1.0-libav
gst-inspect-1.0 --exists --atleast-version=0.1 nicesrc 2>/dev/null || want gstreamer1.0-nice
if ! /usr/bin/python3 -c "import gi; gi.require_version('GstWebRTC', '1.0')" 2>/dev/null; then
    want python3-gi
    want gir1.2-gst-plugins-bad-1.0
fi

newer_ffmpeg_missing() { ! compgen -G "$tools/imageio_ffmpeg/binaries/ffmpeg-*" >/dev/null; }
token_builder_missing() { [[ ! -d $tools/agora_token_builder ]]; }
# The SDK is built and tested with Node.js 20.11 or later; the Makefile looks in $tools/bin first.
node_missing() {
    ! PATH="$PWD/$tools/bin:$PATH" node -e \
        'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 11) ? 0 : 1)' \
        2>/dev/null
}
token_packages_missing() { ! cmp -s tests/tokens/package-lock.json "$tools/package-lock.json"; }
browser_packages_missing() { ! cmp -s tests/browser/package-lock.json "$tools/browser/package-lock.json"; }
has node || want nodejs
has npm || want npm
if { newer_ffmpeg_missing || token_builder_missing; } && ! python3 -m pip --version >/dev/null 2>&1; then
    want python3-pip
fi

if ((${#packages[@]})); then
    as_root=()
    if ((EUID != 0)); then
        as_root=(sudo -n)
    fi
    if ! has apt-get || ! "${as_root[@]}" true 2>/dev/null; then
        echo "The tests need these, by their Debian names; install them and run this again:" >&2
        printf '  %s\n' "${packages[@]}" >&2
        exit 1
    fi
    echo "installing ${packages[*]}"
    apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    # The lists on this machine may be old or absent: fetch them, but only when something is missing.
    "${apt[@]}" update
    "${apt[@]}" install --yes --no-install-recommends "${packages[@]}" >/dev/null
fi

fetch_from_pypi() {
    echo "fetching $1 into $tools"
    mkdir -p "$tools"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
        --target "$tools" "$1"
}
if node_missing; then
    case $(uname -m) in
    aarch64) machine=arm64 ;;
    *) machine=x64 ;;
    esac
    echo "fetching $newer_node for linux-$machine into $tools"
    mkdir -p "$tools/bin" "$tools/node"
    npm install --prefix "$tools/node" --ignore-scripts --no-audit --no-fund --no-save --silent \
        "node-linux-$machine@$newer_node"
    ln -sf "../node/node_modules/node-linux-$machine/bin/node" "$tools/bin/node"
fi
if newer_ffmpeg_missing; then
    fetch_from_pypi "$newer_ffmpeg"
fi
if token_builder_missing; then
    fetch_from_pypi "$token_builder"
fi
# fetch_from_npm <folder with a package-lock.json> <where to>
fetch_from_npm() {
    echo "fetching what $1/package-lock.json names into $2"
    mkdir -p "$2"
    cp "$1/package.json" "$2"
    # The lock goes in last by its own name: it stands for an installation that is complete.
    cp "$1/package-lock.json" "$2/npm-shrinkwrap.json"
    npm ci --prefix "$2" --ignore-scripts --no-audit --no-fund --silent
    mv "$2/npm-shrinkwrap.json" "$2/package-lock.json"
}
if token_packages_missing; then
    fetch_from_npm tests/tokens "$tools"
fi
if browser_packages_missing; then
    fetch_from_npm tests/browser "$tools/browser"
fi
