//! Three kinds of pictures, 1280x720 at 30 a second with sound, encoded as OBS would send them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::tool::Tool;
use crate::source;

/// Bit rates that OBS is usually set to.
const RATES: &str = "-b:v 4500k -maxrate 4500k -bufsize 4500k";
pub const SIZE: (u32, u32) = (1_280, 720);
pub const FRAME_RATE: u32 = 30;

/// Picture where no film is given: detail at all scales, and a little noise, as cameras have it.
const PICTURE: &str =
    "mandelbrot=s=1920x1080:r=30:start_scale=0.6:end_scale=0.05:end_pts=900,noise=alls=4:allf=t";
/// A camera that is turned, zoomed and shaken, and two things that cross its picture fast and apart from each other.
const MOTION: &str = "fps=30,scale=1920:1080,split=3[a][b][c];\
    [a]zoompan=z='1.6+0.5*sin(on/19)':x='(iw-iw/zoom)*(0.5+0.45*sin(on/23)+0.02*sin(on*1.7))':\
    y='(ih-ih/zoom)*(0.5+0.4*sin(on/31)+0.03*cos(on*2.1))':d=1:s=1280x720:fps=30[camera];\
    [b]crop=220:300:600:300[one];[c]crop=160:160:1200:500,hflip[other];\
    [camera][one]overlay=x='530+560*sin(t*2.3)':y='220+180*sin(t*3.1)'[with];\
    [with][other]overlay=x='560+520*sin(t*3.7+1)':y='280+250*cos(t*2.9)',noise=alls=4:allf=t,format=yuv420p";
const FIT: &str =
    "fps=30,scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:-1:-1,format=yuv420p";

/// Source of the benchmark.
pub struct Content {
    pub name: &'static str,
    pub file: PathBuf,
}

/// Makes all three, `seconds` long.
pub fn make(tool: &Tool, film: Option<&Path>, seconds: u64, directory: &Path) -> Result<Vec<Content>> {
    let (name, input) = match film {
        Some(film) => ("footage", vec!["-stream_loop".into(), "-1".into(), "-i".into(), text(film)]),
        None => ("moving picture", lavfi(PICTURE)),
    };
    let screen = lavfi(&screen(directory)?);
    let kinds = [(name, &input, FIT), ("sport", &input, MOTION), ("screen", &screen, "null")];
    let make = |(name, input, filter): (&'static str, &Vec<String>, &str)| {
        let file = directory.join(format!("{}.flv", name.replace(' ', "-")));
        encode(tool, input, filter, seconds, &file)?;
        Ok(Content { name, file })
    };
    kinds.into_iter().map(make).collect()
}

fn encode(tool: &Tool, input: &[String], filter: &str, seconds: u64, file: &Path) -> Result<()> {
    let mut command = tool.ffmpeg();
    command.args(input).args(["-f", "lavfi", "-i", source::SOUND, "-map", "0:v", "-map", "1:a"]);
    command.args(["-vf", filter, "-t", &seconds.to_string()]);
    command.args(source::VIDEO.split_whitespace()).args(RATES.split_whitespace());
    command.args(source::AUDIO.split_whitespace()).args(["-b:a", "160k"]).arg(file);
    tool.run(&mut command)
}

fn lavfi(graph: &str) -> Vec<String> {
    ["-f", "lavfi", "-i", graph].map(Into::into).into()
}

/// A terminal that scrolls, an editor that stands still, a title with a clock, a pointer that moves.
fn screen(directory: &Path) -> Result<String> {
    let terminal = directory.join("terminal.txt");
    let editor = directory.join("editor.txt");
    std::fs::write(&terminal, lines(600, 95))?;
    std::fs::write(&editor, lines(30, 52))?;
    let terminal = text(&terminal);
    let editor = text(&editor);
    let font = "font=DejaVu Sans Mono";
    Ok(format!(
        "color=c=0x1e1e2e:s=1280x720:r=30,\
         drawtext={font}:textfile={terminal}:fontsize=15:fontcolor=0xd0d0d0:x=12:y='40-18*floor(t*6)':line_spacing=3,\
         drawbox=x=820:y=0:w=460:h=720:c=0xf4f4f0:t=fill,\
         drawtext={font}:textfile={editor}:fontsize=14:fontcolor=0x202020:x=832:y=60:line_spacing=4,\
         drawbox=x=0:y=0:w=1280:h=30:c=0x3060a0:t=fill,\
         drawtext={font}:text='%{{pts\\:hms}}':fontsize=16:fontcolor=white:x=20:y=7,\
         drawbox=x='600+400*sin(t*1.1)':y='360+250*sin(t*0.7)':w=12:h=18:c=white:t=fill"
    ))
}

/// Lines of something like code, the same every time.
fn lines(count: u32, longest: usize) -> String {
    const WORDS: [&str; 16] = [
        "let", "match", "self.", "stream", "(part", "frame)", "while", "return", "=>", "Ok(())", "{",
        "time;", "buffer", "queue[0]", "note:", "error",
    ];
    let mut state = 1u32;
    let mut random = move |below: u32| {
        // Numerical Recipes' generator; its upper bits are the good ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    let mut text = String::new();
    for number in 0..count {
        let mut line = format!("{number:4} {}", "    ".repeat(random(3) as usize));
        let length = 20 + random(longest as u32 - 20) as usize;
        while line.len() < length {
            let _ = write!(line, "{} ", WORDS[random(WORDS.len() as u32) as usize]);
        }
        line.truncate(longest);
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_same_every_time_and_fits() {
        let text = lines(100, 60);
        assert_eq!(text, lines(100, 60));
        assert!(text.lines().count() == 100 && text.lines().all(|line| line.is_ascii() && line.len() <= 60));
        assert!(text.lines().any(|line| line.len() > 50));
    }
}
