//! The scaler as a GStreamer element. Its output is I420 of the size that the caps behind it ask for.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::BaseTransformMode;
use gst_base::subclass::prelude::*;
use gst_video::VideoFormat;
use gst_video::subclass::prelude::*;
use headwater_media::lock::MutexExt;

use super::sws::{self, Scaler};

glib::wrapper! {
    /// Scaler of pictures, as an element of a pipeline.
    pub struct Scale(ObjectSubclass<imp::Scale>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

impl Scale {
    /// An element that belongs to nobody yet.
    pub(crate) fn make_element(name: &str) -> gst::Element {
        glib::Object::builder::<Self>().property("name", name).build().upcast()
    }
}

mod imp {
    use super::*;
    use gst_video::VideoBufferPoolConfig as _;
    use std::sync::{LazyLock, Mutex};

    /// State of the element; the scaler is made when the sizes are known.
    #[derive(Default)]
    pub struct Scale {
        scaler: Mutex<Option<Scaler>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Scale {
        const NAME: &'static str = "HeadwaterScale";
        type Type = super::Scale;
        type ParentType = gst_video::VideoFilter;
    }

    impl ObjectImpl for Scale {}
    impl GstObjectImpl for Scale {}

    impl ElementImpl for Scale {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                let class = "Filter/Converter/Video/Scaler";
                gst::subclass::ElementMetadata::new("libswscale scaler", class, "Scales to I420", "Headwater")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let sink = gst_video::VideoCapsBuilder::new().format_list(sws::supported_formats()).build();
                let src = gst_video::VideoCapsBuilder::new().format(VideoFormat::I420).build();
                [("sink", gst::PadDirection::Sink, sink), ("src", gst::PadDirection::Src, src)]
                    .map(|(name, direction, caps)| {
                        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                            .expect("the name holds no placeholder and the caps are valid")
                    })
                    .into()
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for Scale {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = true;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let other: gst::Caps = caps.iter().map(|structure| other_side(direction, structure)).collect();
            Some(match filter {
                Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
                None => other,
            })
        }

        fn decide_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
            // x264enc reads rows where a picture says that they are, though it can't answer this question yet.
            if let Some(caps) = query.get_owned().0 {
                offer_rows(query, &caps)?;
            }
            self.parent_decide_allocation(query)
        }
    }

    impl VideoFilterImpl for Scale {
        fn set_info(
            &self,
            _incaps: &gst::Caps,
            in_info: &gst_video::VideoInfo,
            _outcaps: &gst::Caps,
            out_info: &gst_video::VideoInfo,
        ) -> Result<(), gst::LoggableError> {
            let scaler = Scaler::new(in_info, out_info);
            let made = scaler.is_some();
            *self.scaler.lock_ignoring_poison() = scaler;
            made.then_some(())
                .ok_or_else(|| gst::loggable_error!(gst::CAT_RUST, "libswscale refused the formats"))
        }

        fn transform_frame(
            &self,
            source: &gst_video::VideoFrameRef<&gst::BufferRef>,
            target: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let mut scaler = self.scaler.lock_ignoring_poison();
            let scaler = scaler.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
            scaler
                .scale_frame(source, target)
                .then_some(gst::FlowSuccess::Ok)
                .ok_or(gst::FlowError::NotNegotiated)
        }
    }

    /// Pictures whose rows begin where libswscale writes fast.
    fn offer_rows(query: &mut gst::query::Allocation, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let refused = |_| gst::loggable_error!(gst::CAT_RUST, "no pool for aligned rows");
        let size = gst_video::VideoInfo::from_caps(caps).map_err(refused)?.size() as u32;
        let asked = query.allocation_pools().next();
        let (min, max) = asked.map_or((0, 0), |(_, _, min, max)| (min, max));
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(caps), size, min, max);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
        config.set_video_alignment(&gst_video::VideoAlignment::new(0, 0, 0, 0, &[sws::ROW_ALIGNMENT - 1; 4]));
        pool.set_config(config).map_err(refused)?;
        // What a row takes more than the caps say is known to the pool only.
        let size = pool.config().params().map_or(size, |(_, size, ..)| size);
        match query.allocation_pools().next() {
            Some(_) => query.set_nth_allocation_pool(0, Some(&pool), size, min, max),
            None => query.add_allocation_pool(Some(&pool), size, min, max),
        }
        Ok(())
    }

    /// Formats that the other pad can have: any size and shape of pixels, every format in, I420 out. Colours keep their
    /// meaning, only RGB has to become something else.
    fn other_side(direction: gst::PadDirection, structure: &gst::StructureRef) -> gst::Structure {
        let mut other = structure.to_owned();
        let any = gst::IntRange::new(1, i32::MAX);
        other.set("width", any);
        other.set("height", any);
        if other.has_field("pixel-aspect-ratio") {
            let least = gst::Fraction::new(1, i32::MAX);
            let most = gst::Fraction::new(i32::MAX, 1);
            other.set("pixel-aspect-ratio", gst::FractionRange::new(least, most));
        }
        if direction == gst::PadDirection::Sink {
            if from_rgb(structure) {
                other.set("colorimetry", "bt709");
                other.remove_field("chroma-site");
            }
            other.set("format", VideoFormat::I420.to_str());
        } else {
            other.set("format", gst::List::new(sws::supported_formats().map(|format| format.to_str())));
            other.remove_fields(["colorimetry", "chroma-site"]);
        }
        other
    }

    fn from_rgb(structure: &gst::StructureRef) -> bool {
        structure.get::<&str>("format").is_ok_and(|name| sws::is_rgb(VideoFormat::from_string(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Picture that comes out of a scaler.
    fn scaled(from: (u32, u32), to: (i32, i32)) -> gst::Buffer {
        let info = gst_video::VideoInfo::builder(VideoFormat::I420, from.0, from.1).fps((30, 1));
        let info = info.build().unwrap();
        let source =
            gst_app::AppSrc::builder().caps(&info.to_caps().unwrap()).format(gst::Format::Time).build();
        // Colours stay what they are, so nothing is said of them.
        let small = gst_video::VideoCapsBuilder::new().width(to.0).height(to.1).build();
        let sink = gst_app::AppSink::builder().caps(&small).sync(false).build();
        let pipeline = gst::Pipeline::new();
        let chain = [source.clone().upcast(), Scale::make_element("scaler"), sink.clone().upcast()];
        pipeline.add_many(&chain).unwrap();
        gst::Element::link_many(&chain).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut picture = gst::Buffer::from_mut_slice(vec![7; info.size()]);
        picture.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        source.push_buffer(picture).unwrap();
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(10)).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        sample.buffer_owned().unwrap()
    }

    #[test]
    fn rows_begin_where_libswscale_writes_fast() {
        gst::init().unwrap();
        for to in [(854, 480), (640, 360), (98, 54)] {
            let picture = scaled((1280, 720), to);
            let rows = picture.meta::<gst_video::VideoMeta>().expect("it says where its rows are");
            let aligned = sws::ROW_ALIGNMENT as usize;
            let strides = rows.stride().iter().map(|stride| *stride as usize);
            let places = rows.offset().iter().copied().chain(strides);
            let first = picture.map_readable().unwrap().as_ptr() as usize;
            assert!(places.chain([first]).all(|place| place % aligned == 0), "{to:?}: {rows:?}");
        }
    }
}
