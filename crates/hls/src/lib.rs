//! How a broadcast is shown. No sockets, no clock, no environment.
//!
//! The trip of a frame: [`Packager`] makes CMAF chunks ([`cmaf`]) of encoded frames and says so in [`headwater_media::MediaEvent`]s,
//! [`LiveWindow`] keeps what viewers may still ask for, [`playlist`] renders it, [`Directives`] and
//! [`LiveWindow::readiness`] decide when a blocked request is due.

pub mod archive;
pub mod cmaf;
pub mod mp4;
pub mod object;
pub mod packager;
pub mod playlist;
pub mod reload;
pub mod window;

pub use archive::{Archive, ArchiveError};
pub use object::{LiveObject, Object};
pub use packager::{Packager, PackagingError};
pub use reload::{Directives, DirectivesError, Readiness, Skip, Until};
pub use window::{Change, LiveWindow, Part, Segment, WholeSegment, WindowError};
