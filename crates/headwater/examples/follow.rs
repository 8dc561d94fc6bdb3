//! Follows a stream's live window at its server, without HTTP: prints each segment that is whole in every rendition, until the
//! broadcast ends.
//!
//! `cargo run -p headwater --example follow -- SERVER:7000 demo`

#![allow(clippy::print_stdout, reason = "this is what the example shows")]

use anyhow::{Context, bail};
use headwater_hls::LiveWindow;
use headwater_wire::v2::WatchRequest;
use headwater_wire::v2::delivery_client::DeliveryClient;
use headwater_wire::{Channels, WatchMessage};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, stream] = &arguments[..] else { bail!("usage: follow SERVER:PORT STREAM") };
    let channel = Channels::default().dedicated(server)?;
    let mut client = DeliveryClient::new(channel).max_decoding_message_size(usize::MAX);
    let mut messages = client.watch(WatchRequest { stream: stream.clone() }).await?.into_inner();
    let first = messages.message().await?.context("the server said nothing")?;
    let WatchMessage::Opening(opening) = first.try_into()? else { bail!("the first message is an opening") };
    let mut window = LiveWindow::new(opening);
    let mut printed = None;
    while let Some(message) = messages.message().await? {
        // Other messages are about the stored segments before the window.
        if let WatchMessage::Event(event) = message.try_into()? {
            window.apply(&event)?;
        }
        if window.committed() > printed {
            printed = window.committed();
            print_segment(&window);
        }
    }
    Ok(())
}

/// Prints number, duration and size of the newest whole segment of each rendition.
fn print_segment(window: &LiveWindow) {
    let Some(sequence) = window.committed() else { return };
    for rendition in window.renditions() {
        if let Some(segment) = window.segment(&rendition.id, sequence) {
            let seconds = segment.duration().as_secs_f64();
            println!("{sequence} {}: {seconds:.3} s, {} bytes", rendition.id, segment.size());
        }
    }
}
