//! Players of other people come to a broadcast that is three minutes old: its playlists have long left its beginning, and
//! its media counts from there. Each shows picture after picture, at the pace of the broadcast.
//!
//! Two of GStreamer 1.22's habits keep it out of this, with any server. Its old HLS demuxer (`playbin`) places the first
//! segment where it stands in the playlist, and reads the times of fragmented MP4 from the media: what it shows is as late
//! as the broadcast is old. And both of its DASH demuxers look for the live edge as much too late as the first segment
//! of the timeline is after the start of the presentation, so that they wait for the time that has passed once more.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::content::{self, HEIGHT, WIDTH};
use headwater_tests::http;
use headwater_tests::old;
use headwater_tests::process::{self, Process};
use headwater_tests::publish::Source;
use headwater_tests::stack::Plan;
use headwater_tests::wait;
use tempfile::TempDir;

const AGE: Duration = Duration::from_secs(180);
/// How long the server may take to catch up with the broadcast.
const CATCH_UP: Duration = Duration::from_secs(120);
/// How long a player may take to show what it has to.
const PLAYED: Duration = Duration::from_secs(60);
/// Pictures that a player has to show: four seconds.
const PICTURES: usize = 60;
const SOURCE: Source = Source {
    width: 320,
    height: 180,
    frame_rate: 15,
    seconds: 30,
    b_frames: 0,
    video: true,
    audio: true,
    pixel_format: "yuv420p",
    keyframe_interval: 30,
};

#[tokio::test]
async fn players_show_a_broadcast_that_is_three_minutes_old() -> Result<()> {
    let stack = Plan::tiny().start().await?;
    let file = SOURCE.make(stack.path(), "source").await?;
    let registry = stack.registry()?;
    let publisher = tokio::spawn(async move { old::publish(registry.as_ref(), "demo", &file, AGE).await });
    let origin = format!("{}/demo", stack.origin(0));
    wait::until("the broadcast to have caught up", CATCH_UP, || is_live(&origin)).await?;
    let watched = async {
        // One after the other: each has the machine's other half for itself.
        for (player, list) in [
            (Player::Ffmpeg, "live.m3u8"),
            (Player::Ffmpeg, "live.mpd"),
            (Player::Vlc, "live.m3u8"),
            (Player::Vlc, "live.mpd"),
            (Player::Playbin3, "live.m3u8"),
        ] {
            let mut viewer = Viewer::start(stack.path(), player, &format!("{origin}/{list}"), list)?;
            viewer.check().await.with_context(|| format!("{}: {}", viewer.name, viewer.said()))?;
        }
        Ok(())
    };
    tokio::select! {
        watched = watched => watched,
        published = publisher => published?.and(Err(anyhow::anyhow!("the broadcast is over"))),
    }
}

/// Whether the newest segment is of the last ten seconds.
async fn is_live(origin: &str) -> Option<()> {
    let list = http::get(&format!("{origin}/180p/index.m3u8")).await.ok()?;
    let mut dates = list.text().lines().filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
    let newest: jiff::Timestamp = dates.next_back()?.parse().ok()?;
    let behind = jiff::Timestamp::now().duration_since(newest);
    (behind < jiff::SignedDuration::from_secs(10)).then_some(())
}

#[derive(Clone, Copy, Debug)]
enum Player {
    Ffmpeg,
    Vlc,
    Playbin3,
}

/// A player that writes the pictures that it shows.
struct Viewer {
    name: String,
    process: Process,
    shown: Pictures,
}

/// Place of the pictures.
enum Pictures {
    /// In one file, as they are.
    Grey(PathBuf),
    /// A file each.
    Png(TempDir),
}

impl Viewer {
    fn start(directory: &Path, player: Player, url: &str, list: &str) -> Result<Self> {
        let name = format!("{player:?}-{list}").to_lowercase();
        let shown = match player {
            Player::Vlc => Pictures::Png(open_to_all()?),
            Player::Ffmpeg | Player::Playbin3 => Pictures::Grey(directory.join(format!("{name}.grey"))),
        };
        let (program, arguments) = player.command(url, shown.path());
        let home = ("HOME".to_owned(), shown.path().to_string_lossy().into_owned());
        let environment = if matches!(player, Player::Vlc) { vec![home] } else { Vec::new() };
        let process = Process::start(directory, &name, Path::new(program), arguments, &environment)?;
        Ok(Self { name, process, shown })
    }

    /// Waits until it has shown enough, and looks at what that is.
    async fn check(&mut self) -> Result<()> {
        let enough = || async { (self.shown.count() > PICTURES).then_some(()) };
        wait::until("pictures", PLAYED, enough).await?;
        self.process.kill().await?;
        let numbers = self.shown.numbers().await?;
        let round = SOURCE.frames() as u32;
        // A player that waits for more shows a picture again, and one that can't keep up with its clock leaves some out; none
        // goes back, or jumps by a second.
        let follows = |two: &[u32]| (two[1] + round - two[0]) % round < SOURCE.frame_rate;
        ensure!(numbers.windows(2).all(follows), "it has shown {numbers:?}");
        let different = 1 + numbers.windows(2).filter(|two| two[0] != two[1]).count();
        ensure!(different >= PICTURES / 2, "it has shown {different} pictures: {numbers:?}");
        Ok(())
    }

    fn said(&self) -> String {
        let all = self.process.output();
        all.chars().skip(all.chars().count().saturating_sub(2_000)).collect()
    }
}

impl Pictures {
    fn path(&self) -> &Path {
        match self {
            Self::Grey(file) => file,
            Self::Png(directory) => directory.path(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Grey(file) => content::written(file).map_or(0, |numbers| numbers.len()),
            Self::Png(directory) => std::fs::read_dir(directory.path()).map_or(0, Iterator::count),
        }
    }

    async fn numbers(&self) -> Result<Vec<u32>> {
        let file = match self {
            Self::Grey(file) => file.clone(),
            Self::Png(directory) => {
                let grey = directory.path().join("grey");
                let files = directory.path().join("p%05d.png");
                let out = grey.to_string_lossy();
                let scale = format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
                let files = files.to_string_lossy();
                // The last file may be half written.
                let fixed = ["-v", "fatal", "-i", &files, "-vf", &scale, "-f", "rawvideo", &out];
                process::run("ffmpeg", &fixed).await?;
                grey
            }
        };
        content::written(&file)
    }
}

impl Player {
    fn command(self, url: &str, shown: &Path) -> (&'static str, Vec<String>) {
        let shown = shown.to_string_lossy();
        let scale = format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
        let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match self {
            Self::Ffmpeg => {
                let fixed = ["-v", "warning", "-nostdin", "-threads", "1", "-i", url, "-map", "0:v:0"];
                let chosen = ["-fps_mode", "passthrough", "-vf", &scale, "-f", "rawvideo"];
                let out = ["-flush_packets", "1", &shown];
                ("ffmpeg", strings(&[&fixed[..], &chosen, &out].concat()))
            }
            Self::Vlc => {
                // It runs as anybody but root.
                let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "cvlc"];
                let fixed =
                    ["--intf", "dummy", "--vout", "dummy", "--aout", "adummy", "--no-drop-late-frames"];
                // Its scene filter can't follow a change of size.
                let fixed = [&fixed[..], &["--adaptive-logic", "highest"]].concat();
                let scene = ["--video-filter", "scene", "--scene-ratio", "1", "--scene-format", "png"];
                let out = ["--scene-prefix", "p", "--scene-path", &shown, url];
                let arguments = [&fixed[..], &scene, &out].concat();
                if is_root() {
                    ("setpriv", strings(&[&nobody[..], &arguments].concat()))
                } else {
                    ("cvlc", strings(&arguments))
                }
            }
            Self::Playbin3 => {
                let grey = format!("video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT}");
                let sink = format!("filesink sync=true buffer-mode=unbuffered location={shown}");
                let video =
                    format!("video-sink=videoconvert ! videoscale add-borders=false ! {grey} ! {sink}");
                let uri = format!("uri={url}");
                ("gst-launch-1.0", strings(&["playbin3", &uri, &video, "audio-sink=fakesink sync=true"]))
            }
        }
    }
}

/// A directory that a player may write to whoever it runs as.
fn open_to_all() -> Result<TempDir> {
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777))?;
    Ok(directory)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
