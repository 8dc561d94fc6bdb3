//! GStreamer with bounds: pipelines whose errors are heard, sources that are never fed more than they can hold, stops
//! that end.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gst::prelude::*;

use crate::error::{Error, Result};
use crate::fault::{Fault, Flow};
use crate::preload::{ELEMENTS, STILL_ELEMENTS};

/// Stopping takes 3 to 10 ms; what takes this long hangs, and is left to the end of the process.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A running chain of elements. Stops when dropped.
pub(crate) struct Pipeline {
    pipeline: gst::Pipeline,
    name: String,
}

/// Party to blame when a pipeline reports an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The publisher's media.
    Source,
    /// This worker.
    Worker,
}

impl Pipeline {
    /// Links the elements in a row and starts them. Errors that they report stop the worker.
    pub(crate) fn start_chain(
        name: &str,
        chain: &[gst::Element],
        blame: Blame,
        fault: &Arc<Fault>,
    ) -> Result<Self> {
        let pipeline = gst::Pipeline::with_name(name);
        let failed = |what: String| Error::Build { pipeline: name.to_owned(), what };
        pipeline.add_many(chain).map_err(|error| failed(error.to_string()))?;
        gst::Element::link_many(chain).map_err(|error| failed(error.to_string()))?;
        let bus = pipeline.bus().ok_or_else(|| failed("it has no bus".into()))?;
        let heard = fault.clone();
        bus.set_sync_handler(move |_, message| {
            handle_message(message, blame, &heard);
            gst::BusSyncReply::Drop
        });
        let started = Self { pipeline, name: name.to_owned() };
        started.pipeline.set_state(gst::State::Playing).map_err(|error| failed(error.to_string()))?;
        Ok(started)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let pipeline = self.pipeline.clone();
        let (done, stopped) = mpsc::channel();
        let stop = std::thread::Builder::new().spawn(move || {
            let _ = pipeline.set_state(gst::State::Null);
            if let Some(bus) = pipeline.bus() {
                bus.unset_sync_handler();
            }
            let _ = done.send(());
        });
        if let Err(error) = stop {
            // For want of memory. An element that is let go of while it plays would bring the process down before the reason is told.
            tracing::error!(pipeline = self.name, %error, "the pipeline is left as it is");
            std::mem::forget(self.pipeline.clone());
        } else if stopped.recv_timeout(STOP_LIMIT).is_err() {
            tracing::error!(pipeline = self.name, limit = ?STOP_LIMIT, "the pipeline does not stop");
        }
    }
}

fn handle_message(message: &gst::MessageRef, blame: Blame, fault: &Fault) {
    match message.view() {
        gst::MessageView::Error(error) => {
            let element = error.src().map_or("GStreamer".into(), |source| source.name().to_string());
            let debug = error.debug().map(|text| format!(" ({text})")).unwrap_or_default();
            let message = format!("{}{debug}", error.error());
            fault.fail_with(Error::Element { element, message, of_source: blame == Blame::Source });
        }
        gst::MessageView::Warning(warning) => {
            let element = warning.src().map(|source| source.name().to_string());
            tracing::debug!(element, warning = %warning.error(), debug = ?warning.debug(), "GStreamer warns");
        }
        _ => {}
    }
}

/// Makes an element, under a name that people understand when they read it in an error.
pub(crate) fn make_element(
    factory: &'static str,
    name: impl Into<gst::glib::GString>,
) -> Result<gst::Element> {
    debug_assert!(
        ELEMENTS.contains(&factory) || STILL_ELEMENTS.contains(&factory),
        "{factory} is not preloaded, and can't be loaded in the sandbox"
    );
    let made = gst::ElementFactory::make(factory).name(name.into()).build();
    made.map_err(|source| Error::Missing { name: factory, source })
}

/// Lets through what the caps say, and so makes the elements around it agree on them.
pub(crate) fn caps_filter(caps: &gst::Caps) -> Result<gst::Element> {
    let builder = gst::ElementFactory::make("capsfilter").property("caps", caps);
    builder.build().map_err(|source| Error::Missing { name: "capsfilter", source })
}

/// The head of a pipeline: takes a bounded number of buffers and makes its feeder wait for more room.
pub(crate) struct PipelineInput {
    source: gst_app::AppSrc,
    full: Arc<AtomicBool>,
    fault: Arc<Fault>,
}

impl PipelineInput {
    /// Holds up to `room` buffers.
    pub(crate) fn new(name: &str, caps: Option<&gst::Caps>, room: u64, fault: &Arc<Fault>) -> Self {
        let full = Arc::new(AtomicBool::new(false));
        let filled = full.clone();
        let drained = full.clone();
        let woken = fault.clone();
        let callbacks = gst_app::AppSrcCallbacks::builder()
            .enough_data(move |_| filled.store(true, SeqCst))
            .need_data(move |_, _| {
                drained.store(false, SeqCst);
                woken.notify_waiters();
            })
            .build();
        let source = gst_app::AppSrc::builder()
            .name(name)
            .format(gst::Format::Time)
            .max_buffers(room)
            .max_bytes(0)
            .max_time(None)
            .callbacks(callbacks)
            .build();
        // Room is announced as soon as there is some; with 0 the pipeline would run dry first.
        source.set_property("min-percent", 50u32);
        source.set_caps(caps);
        Self { source, full, fault: fault.clone() }
    }

    pub(crate) fn source_element(&self) -> gst::Element {
        self.source.clone().upcast()
    }

    pub(crate) fn set_caps(&self, caps: &gst::Caps) {
        self.source.set_caps(Some(caps));
    }

    /// Waits for room.
    pub(crate) fn push_buffer(&self, buffer: gst::Buffer) -> Flow {
        self.fault.wait_for(&self.source.name(), || !self.full.load(SeqCst))?;
        match self.source.push_buffer(buffer) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refusal_error(&format!("it refused media: {error}"))),
        }
    }

    /// An event that stays in order with the buffers.
    pub(crate) fn send_event(&self, event: gst::Event) {
        self.source.send_event(event);
    }

    /// No more buffers.
    pub(crate) fn end_stream(&self) -> Flow {
        match self.source.end_of_stream() {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refusal_error(&format!("it refused to end: {error}"))),
        }
    }

    /// A pipeline that broke refuses what follows; its own report, if there is one, was heard before.
    fn refusal_error(&self, message: &str) -> crate::fault::Stopped {
        let element = self.source.name().to_string();
        self.fault.fail_with(Error::Element { element, message: message.to_owned(), of_source: false })
    }
}

/// Receiver of the samples at the end of a pipeline, in the pipeline's own thread.
pub(crate) trait Drain: Send + Sync + 'static {
    fn take_sample(&self, sample: &gst::Sample) -> Flow;
    /// Everything has come out.
    fn end_stream(&self) -> Flow;
}

/// The tail of a pipeline.
pub(crate) struct Tail {
    sink: gst_app::AppSink,
    ended: Arc<AtomicBool>,
    fault: Arc<Fault>,
}

impl Tail {
    pub(crate) fn new(name: &str, drain: Arc<dyn Drain>, fault: &Arc<Fault>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let last = drain.clone();
        let end = ended.clone();
        let heard = fault.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                drain.take_sample(&sample)?;
                Ok(gst::FlowSuccess::Ok)
            })
            .eos(move |_| {
                if last.end_stream().is_ok() {
                    end.store(true, SeqCst);
                    heard.notify_waiters();
                }
            })
            .build();
        let sink = gst_app::AppSink::builder()
            .name(name)
            .sync(false)
            .async_(false)
            .enable_last_sample(false)
            .callbacks(callbacks)
            .build();
        Self { sink, ended, fault: fault.clone() }
    }

    pub(crate) fn sink_element(&self) -> gst::Element {
        self.sink.clone().upcast()
    }

    /// Tells the decoder before that it may pad its rows: otherwise it copies every picture.
    pub(crate) fn accept_padding(&self) {
        let Some(pad) = self.sink.static_pad("sink") else { return };
        pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
            match info.query_mut().map(gst::QueryRef::view_mut) {
                Some(gst::QueryViewMut::Allocation(query)) => {
                    query.add_allocation_meta::<gst_video::VideoMeta>(None);
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });
    }

    /// Waits until everything has come out.
    pub(crate) fn wait_for_end(&self) -> Flow {
        self.fault.wait_for(&self.sink.name(), || self.ended.load(SeqCst))
    }
}

/// When a sample is presented, in nanoseconds of source time: what went in as a timestamp comes out here, whatever
/// an element did to the timestamps in between.
pub(crate) fn running_time(sample: &gst::Sample) -> Option<u64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(sample.buffer()?.pts()?).map(gst::ClockTime::nseconds)
}
