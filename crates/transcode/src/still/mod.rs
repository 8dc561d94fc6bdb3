//! Still pictures: a process that reads one request, answers it with a JPEG, and ends. It decodes what strangers sent, so
//! it is confined like the worker, and ends in time whatever it is given.

mod decode;
mod jpeg;
mod sheet;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use headwater_wire::frames;
use headwater_wire::v2::StillRequest;

use crate::error::{Error, Result};
use crate::preload::{STILL_ELEMENTS, load_elements};
use crate::sandbox::{self, Gap};
use crate::sandbox_config::{SandboxConfig, prepare_process};
use sheet::Sheet;

/// The exit code where the media is to blame.
pub const UNSUPPORTED_EXIT_CODE: u8 = 3;
/// Seconds of CPU time. A sheet of 25 pictures takes 0.2 s, the last frame of the longest segment (10 s of 1080p60) 3 s.
const CPU_LIMIT: u32 = 10;
/// Seconds, on a machine that has other things to do; whoever asked has given up by then.
const TIME_LIMIT: u32 = 30;

/// The whole life of a still process: the request on standard input, the JPEG on standard output. The exit code is 0 when
/// it was written, [`UNSUPPORTED_EXIT_CODE`] where the media holds no picture, and another one when something else went wrong; what
/// it was is said on standard error.
pub fn main() -> ExitCode {
    let gaps = sandbox::harden_process();
    match serve_request(gaps) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(&error),
    }
}

/// Threads that hang must not keep the process.
fn exit_with(error: &Error) -> ! {
    let _ = writeln!(io::stderr(), "{error}");
    std::process::exit(if error.is_unsupported_media() { UNSUPPORTED_EXIT_CODE.into() } else { 1 })
}

fn serve_request(mut gaps: Vec<Gap>) -> Result<()> {
    let config = SandboxConfig::from_environment(|name| std::env::var(name).ok())?;
    gaps.extend(sandbox::lower_priority());
    gaps.extend(sandbox::end_after(CPU_LIMIT, TIME_LIMIT));
    load_elements(&STILL_ELEMENTS)?;
    let (memory, _) = prepare_process(&config, gaps)?;
    if let Some(memory) = &memory {
        memory.watch_usage(|error| exit_with(&error));
    }
    let made = read_request(io::stdin()).and_then(|request| make(&request));
    let jpeg = match &memory {
        Some(memory) => memory.explain_failure(made)?,
        None => made?,
    };
    io::stdout().write_all(&jpeg).map_err(Error::Output)
}

fn read_request(mut input: impl Read) -> Result<StillRequest> {
    frames::read(&mut input).map_err(Error::Input)?.ok_or(Error::InputEnded)
}

/// The JPEG that is asked for. GStreamer has been started.
///
/// # Errors
/// When the request contradicts itself, and when no picture of it can be decoded.
pub fn make(request: &StillRequest) -> Result<Vec<u8>> {
    let mut sheet = Sheet::from_request(request)?;
    let mut failed = None;
    let mut is_empty = true;
    for (place, picture) in request.pictures.iter().enumerate() {
        match decode::decode_picture(picture).and_then(|picture| sheet.put_picture(place as u32, &picture)) {
            Ok(()) => is_empty = false,
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) if is_empty => Err(error),
        _ => jpeg::encode_jpeg(sheet.into_canvas()?),
    }
}
