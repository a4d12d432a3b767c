//! The real clients and checkers that the tests run, found by name.
//!
//! A missing one is an error that says what to install, never a test that passes without having run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Names a newer ffmpeg than the distribution's, one that speaks enhanced RTMP.
pub const FFMPEG_NEW_VARIABLE: &str = "LOCKGATE_FFMPEG_NEW";

/// Names a Chromium other than the distribution's.
pub const CHROMIUM_VARIABLE: &str = "LOCKGATE_CHROMIUM";

/// Debian's ffmpeg: RTMP as of before the enhanced dialect. Quiet but for warnings, never asks.
pub fn ffmpeg() -> Result<Command> {
    Ok(quiet_ffmpeg(&on_path("ffmpeg", "ffmpeg")?))
}

/// Debian's ffprobe, quiet but for errors.
pub fn ffprobe() -> Result<Command> {
    let mut command = Command::new(on_path("ffprobe", "ffmpeg")?);
    command.args(["-hide_banner", "-loglevel", "error"]);
    Ok(command)
}

/// A newer ffmpeg, which pushes and pulls HEVC, AV1, VP9 and Opus over enhanced RTMP.
///
/// Taken from `LOCKGATE_FFMPEG_NEW`, else from where `scripts/test-deps.sh` puts it.
pub fn ffmpeg_new() -> Result<Command> {
    if let Some(path) = std::env::var_os(FFMPEG_NEW_VARIABLE).map(PathBuf::from) {
        if !path.is_file() {
            bail!(
                "{FFMPEG_NEW_VARIABLE} names {}, which is no file",
                path.display()
            );
        }
        return Ok(quiet_ffmpeg(&path));
    }
    let directory = target().join("test-tools/imageio_ffmpeg/binaries");
    let found = newest_ffmpeg(&directory).with_context(|| {
        format!(
            "no ffmpeg in {}: run scripts/test-deps.sh, or set {FFMPEG_NEW_VARIABLE} to an ffmpeg 7 or later",
            directory.display()
        )
    })?;
    Ok(quiet_ffmpeg(&found))
}

/// `gst-launch-1.0 -q`, once every named element is known to exist.
pub fn gst_launch(elements: &[&str]) -> Result<Command> {
    let inspect = on_path("gst-inspect-1.0", "gstreamer1.0-tools")?;
    for element in elements {
        let known = Command::new(&inspect)
            .args(["--exists", "--atleast-version=0.1", element])
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("running {}", inspect.display()))?;
        if !known.success() {
            bail!(
                "GStreamer has no element {element}: apt-get install gstreamer1.0-plugins-good \
                 gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav \
                 gstreamer1.0-nice"
            );
        }
    }
    let mut command = Command::new(on_path("gst-launch-1.0", "gstreamer1.0-tools")?);
    command.arg("-q");
    Ok(command)
}

/// The distribution's Python, once it is known to have GStreamer's WebRTC.
pub fn gstreamer_python() -> Result<Command> {
    gst_launch(&[
        "webrtcbin",
        "nicesrc",
        "rtph265depay",
        "avdec_h265",
        "x264enc",
    ])?;
    // Bindings come for the distribution's own interpreter alone.
    let python = PathBuf::from("/usr/bin/python3");
    let script = "import gi; gi.require_version('GstWebRTC', '1.0'); gi.require_version('GstSdp', '1.0'); \
                  from gi.repository import GstWebRTC, GstSdp";
    let known = Command::new(&python)
        .args(["-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !known.is_ok_and(|status| status.success()) {
        bail!(
            "no Python bindings of GStreamer's WebRTC: apt-get install python3-gi \
             gir1.2-gst-plugins-bad-1.0"
        );
    }
    Ok(Command::new(python))
}

/// rtmpdump, which plays through librtmp.
pub fn rtmpdump() -> Result<Command> {
    Ok(Command::new(on_path("rtmpdump", "rtmpdump")?))
}

/// curl, quiet but for errors, failing where the server does.
pub fn curl() -> Result<Command> {
    let mut command = Command::new(on_path("curl", "curl")?);
    command.args(["--silent", "--show-error", "--fail"]);
    Ok(command)
}

/// Node.js, once the browser and what drives it are known to be there.
pub fn chromium_driver() -> Result<Command> {
    if std::env::var_os(CHROMIUM_VARIABLE).is_none() {
        on_path("chromium", "chromium")?;
    }
    let driver = target().join("test-tools/browser/node_modules/playwright-core");
    if !driver.is_dir() {
        bail!("no {}: run scripts/test-deps.sh", driver.display());
    }
    // Where scripts/test-deps.sh had to fetch a newer one.
    let fetched = target().join("test-tools/bin/node");
    if fetched.is_file() {
        return Ok(Command::new(fetched));
    }
    Ok(Command::new(on_path("node", "nodejs")?))
}

/// Prometheus' checker of rules and of their unit tests.
pub fn promtool() -> Result<Command> {
    Ok(Command::new(on_path("promtool", "prometheus")?))
}

/// nginx, which Debian keeps where only root looks.
pub fn nginx() -> Result<Command> {
    let sbin = PathBuf::from("/usr/sbin/nginx");
    match sbin.is_file() {
        true => Ok(Command::new(sbin)),
        false => Ok(Command::new(on_path("nginx", "nginx-light")?)),
    }
}

/// systemd's checker of unit files; it needs no running systemd.
pub fn systemd_analyze() -> Result<Command> {
    Ok(Command::new(on_path("systemd-analyze", "systemd")?))
}

/// The checker of shell scripts.
pub fn shellcheck() -> Result<Command> {
    Ok(Command::new(on_path("shellcheck", "shellcheck")?))
}

/// The top of the checkout.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Where tools and clips live: `target/` of the checkout, wherever cargo itself builds to.
pub fn target() -> PathBuf {
    workspace().join("target")
}

/// Finds a program on `PATH`; `package` is the Debian package that brings it.
fn on_path(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
        .with_context(|| format!("{program} is not installed: apt-get install {package}"))
}

/// The package carries one binary a platform, with its version in the name.
fn newest_ffmpeg(directory: &Path) -> Option<PathBuf> {
    let prefix = format!("ffmpeg-{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    std::fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        })
        .max()
}

fn quiet_ffmpeg(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.args([
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-loglevel",
        "warning",
        "-y",
    ]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = on_path("no-such-program", "some-package")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "no-such-program is not installed: apt-get install some-package"
        );
    }

    #[test]
    fn the_newest_ffmpeg_of_this_platform_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert!(newest_ffmpeg(directory.path()).is_none());
        let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        for name in [
            &format!("ffmpeg-{platform}-v7.1"),
            &format!("ffmpeg-{platform}-v7.2"),
            "ffmpeg-plan9-mips-v9",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let newest = newest_ffmpeg(directory.path()).unwrap();
        assert!(
            newest.ends_with(format!("ffmpeg-{platform}-v7.2")),
            "{}",
            newest.display()
        );
    }
}
