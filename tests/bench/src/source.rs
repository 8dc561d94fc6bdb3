//! Source that is published: about 4.7 Mb/s of H.264 and AAC, as OBS would send it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Seconds of the file that is looped.
const SECONDS: &str = "24";
/// Noise keeps the encoder at its bit rate.
const PICTURE: &str = "testsrc2=s=1280x720:r=30,noise=alls=20:allf=t";
pub const SOUND: &str = "sine=f=440:r=48000";
pub const VIDEO: &str =
    "-c:v libx264 -preset veryfast -g 60 -keyint_min 60 -sc_threshold 0 -bf 2 -pix_fmt yuv420p";
pub const AUDIO: &str = "-c:a aac -ac 2";

/// An FLV file is taken as it is; anything else is encoded.
pub fn make(film: Option<&Path>, directory: &Path) -> Result<PathBuf> {
    match film.filter(|film| film.extension().is_some_and(|name| name == "flv")) {
        Some(film) => Ok(film.to_owned()),
        None => encode(film, directory, "source.flv", ["1280:720", "4500k", "160k"]),
    }
}

/// The same for so many publishers that a machine could not carry them otherwise: about half a megabit a second.
pub fn low(film: Option<&Path>, directory: &Path) -> Result<PathBuf> {
    encode(film, directory, "low.flv", ["640:360", "400k", "96k"])
}

fn encode(
    film: Option<&Path>,
    directory: &Path,
    name: &str,
    [size, video, audio]: [&str; 3],
) -> Result<PathBuf> {
    let file = directory.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y"]);
    match film {
        Some(film) => command.args(["-stream_loop", "-1", "-i"]).arg(film),
        None => command.args(["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND]),
    };
    command.args(["-vf", &format!("scale={size}"), "-r", "30", "-t", SECONDS]);
    command.args(VIDEO.split_whitespace()).args(["-b:v", video, "-maxrate", video, "-bufsize", video]);
    command.args(AUDIO.split_whitespace()).args(["-b:a", audio]).arg(&file);
    let status = command.status().context("ffmpeg could not be started: deploy/setup.sh test")?;
    ensure!(status.success(), "ffmpeg could not make the source: {status}");
    Ok(file)
}
