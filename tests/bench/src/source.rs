//! What is published: about 4.7 Mb/s of H.264 and AAC, as OBS would send it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Seconds of the file that is looped.
const SECONDS: &str = "24";
/// Noise keeps the encoder at its bit rate.
const PICTURE: &str = "testsrc2=s=1280x720:r=30,noise=alls=20:allf=t";
const SOUND: &str = "sine=f=440:r=48000";
const VIDEO: &str = "-c:v libx264 -preset veryfast -b:v 4500k -maxrate 4500k -bufsize 4500k -g 60 -keyint_min 60 \
                     -sc_threshold 0 -bf 2 -pix_fmt yuv420p";
const AUDIO: &str = "-c:a aac -ac 2 -b:a 160k";

/// An FLV file is taken as it is; anything else is encoded.
pub fn make(film: Option<&Path>, directory: &Path) -> Result<PathBuf> {
    if let Some(film) = film.filter(|film| film.extension().is_some_and(|name| name == "flv")) {
        return Ok(film.to_owned());
    }
    let file = directory.join("source.flv");
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y"]);
    match film {
        Some(film) => {
            command.args(["-stream_loop", "-1", "-i"]).arg(film).args(["-vf", "scale=1280:-2", "-r", "30"])
        }
        None => command.args(["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND]),
    };
    command.args(["-t", SECONDS]).args(VIDEO.split_whitespace()).args(AUDIO.split_whitespace()).arg(&file);
    let status = command.status().context("ffmpeg could not be started: deploy/setup.sh test")?;
    ensure!(status.success(), "ffmpeg could not make the source: {status}");
    Ok(file)
}
