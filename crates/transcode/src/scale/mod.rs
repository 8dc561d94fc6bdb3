//! The scaler: a GStreamer element over libswscale. The one that GStreamer 1.22 brings costs four to seven times as
//! much and is softer.

mod element;
mod sws;

pub(crate) use element::Scale;
pub(crate) use sws::{Scaler, avoid_gathers, is_rgb};
