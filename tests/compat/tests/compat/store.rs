//! Objects in the store as a release has written them: recordings that are finished, that are not, and that viewers may still
//! go back in.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use headwater_compat::{clear_documents, is_update, release_folder, releases_with, write_document};
use headwater_hls::Packager;
use headwater_hls::cmaf::table;
use headwater_media::{
    Cut, EncodedFrame, Epoch, MediaEvent, MediaSequence, MediaTime, PartIndex, PeriodStart, Piece, Record,
    StoredSegment,
};
use headwater_platform::store::{DirectoryStore, ObjectStore};
use headwater_recordings::{
    Finished, Finisher, JournalWriter, Layout, Recording, Samples, State, Summary, describe, finish, list,
    mark_text, unfinished,
};
use headwater_wire::{JournalBlock, SegmentSamples};

use crate::{contract, fields, values};

/// Epoch of the recordings' last owner. The finished one has had another owner before.
const OWNER_EPOCH: Epoch = Epoch(1_800_000_000_124);
/// Recordings of the documents.
const FINISHED: u8 = 1;
const UNFINISHED: u8 = 2;
/// Folder in which a directory store writes what is not whole yet.
const TEMPORARY_FOLDER: &str = ".tmp";
const MEDIA_TYPE: &str = "video/mp4";

fn layout(nth: u8) -> Layout {
    Layout { stream: "demo".parse().unwrap(), broadcast: values::broadcast(nth) }
}

/// Segment of 2 s in each rendition, as a server packages it.
fn package(period: &PeriodStart, sequence: u64) -> Vec<Bytes> {
    let mut packager = Packager::default();
    packager.begin(period).unwrap();
    (0..period.renditions.len())
        .map(|rendition| package_rendition(&mut packager, period, rendition, sequence))
        .collect()
}

fn package_rendition(
    packager: &mut Packager,
    period: &PeriodStart,
    rendition: usize,
    sequence: u64,
) -> Bytes {
    const FRAMES: u64 = 4;
    let length = u64::from(period.renditions[rendition].0.timescale()) * 2 / FRAMES;
    let mut media = Vec::new();
    for nth in 0..FRAMES {
        let time = (sequence - period.first_sequence.0) * FRAMES * length + nth * length;
        let frame = EncodedFrame {
            rendition,
            time,
            end: time + length,
            composition_offset: 0,
            keyframe: nth == 0,
            sequence: MediaSequence(sequence),
            part: PartIndex(0),
            next: Some(if nth + 1 == FRAMES { Cut::Segment } else { Cut::None }),
            payload: vec![nth as u8; 100 + nth as usize].into(),
        };
        media.extend(packager.push(frame).unwrap());
    }
    let parts = media.into_iter().filter_map(|event| match event {
        MediaEvent::Part { bytes, .. } => Some(bytes),
        _ => None,
    });
    parts.collect::<Vec<_>>().concat().into()
}

/// Puts segments and the block of a journal that names them, as an owner does.
async fn record(
    store: &dyn ObjectStore,
    journal: &mut JournalWriter,
    layout: &Layout,
    period: &PeriodStart,
    count: u64,
) {
    journal.append(Record::Period(period.clone()));
    for (rendition, init) in &period.renditions {
        store
            .put(&layout.init(&rendition.id, period.first_sequence), init.clone(), MEDIA_TYPE)
            .await
            .unwrap();
    }
    for sequence in period.first_sequence.0..period.first_sequence.0 + count {
        let media = package(period, sequence);
        let ids: Vec<_> = period.renditions.iter().map(|(rendition, _)| rendition.id.clone()).collect();
        for (id, media) in ids.iter().zip(&media) {
            store.put(&layout.segment(id, MediaSequence(sequence)), media.clone(), MEDIA_TYPE).await.unwrap();
        }
        let start = MediaTime::from_millis((sequence - period.first_sequence.0) * 2_000);
        let duration = MediaTime::from_millis(2_000);
        let piece = |(id, media): (_, &Bytes)| Piece {
            rendition: Clone::clone(id),
            start,
            duration,
            size: Some(media.len() as u64),
        };
        let pieces = ids.iter().zip(&media).map(piece).collect();
        let sequence = MediaSequence(sequence);
        journal.append(Record::Segment(StoredSegment { sequence, pieces, drift: -7 }));
        let tables = ids.iter().cloned().zip(media.iter().map(|media| table::table_of(media).unwrap()));
        journal.add_samples(SegmentSamples { sequence, tables: tables.collect() });
    }
    let (key, block) = journal.block();
    store.put(&key, block, "application/octet-stream").await.unwrap();
}

fn journal(layout: &Layout, epoch: Epoch) -> JournalWriter {
    let kept = Some(vec![values::RENDITIONS[0].parse().unwrap(), values::RENDITIONS[1].parse().unwrap()]);
    JournalWriter::new(layout.clone(), epoch, values::SETTINGS, kept)
        .waiting_for(Duration::from_secs(60))
        .reaching_back(Duration::from_secs(3_600))
        .kept_for(Some(Duration::from_secs(30 * 86_400)))
}

async fn make_documents() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(folder.path().to_owned()).await.unwrap();
    let finished = layout(FINISHED);
    let first = values::period_start(0, 1_800_000_001);
    let mut before = journal(&finished, Epoch(OWNER_EPOCH.0 - 1));
    record(&store, &mut before, &finished, &first, 2).await;
    let gap = values::stored_segment(1_800_000_003);
    let pieces = gap.pieces.into_iter().map(|piece| Piece { size: None, ..piece }).collect();
    let mut owner = journal(&finished, OWNER_EPOCH);
    owner.append(Record::Segment(StoredSegment { pieces, ..gap }));
    record(&store, &mut owner, &finished, &values::period_start(1, 1_800_000_004), 3).await;
    let by = Finisher::Owner { epoch: OWNER_EPOCH, is_whole: true };
    assert_eq!(finish(&store, &finished, by).await.unwrap(), Finished::Done);

    let open = layout(UNFINISHED);
    store.put(&open.marker(), mark_text(Some(OWNER_EPOCH)), "text/plain").await.unwrap();
    let mut owner = journal(&open, OWNER_EPOCH);
    owner.hand_off(Some(values::handoff()));
    record(&store, &mut owner, &open, &first, 2).await;
    clear_documents("store");
    copy(folder.path(), folder.path(), &mut |name, content| {
        write_document(&format!("store/objects/{name}"), content)
    });
    write_document("store/facts.txt", facts(&store).await);
}

/// Gives the objects of a directory store, by their names. Folders of temporary files are none.
fn copy(root: &Path, folder: &Path, take: &mut impl FnMut(&str, Vec<u8>)) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if !entry.file_type().unwrap().is_dir() {
            take(&name, fs::read(&path).unwrap());
        } else if name != TEMPORARY_FOLDER {
            copy(root, &path, take);
        }
    }
}

/// Store with the objects of a release.
async fn restore(release: &str, root: &Path) -> DirectoryStore {
    let objects = release_folder(release).join("store/objects");
    copy(&objects, &objects, &mut |name, content| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    });
    DirectoryStore::open(root.to_owned()).await.unwrap()
}

/// Facts that are read of a store's recordings, a line each.
async fn facts(store: &dyn ObjectStore) -> String {
    let mut text = String::new();
    let (summaries, _) = list(store, &"demo".parse().unwrap(), None, 10).await.unwrap();
    for Summary { broadcast, state, start_unix_ms, duration_ms, bytes, renditions, .. } in summaries {
        let ids: Vec<_> = renditions.iter().map(|rendition| (&rendition.id, rendition.bytes)).collect();
        writeln!(
            text,
            "listed: {broadcast} {state:?} at {start_unix_ms}, {duration_ms} ms, {bytes} bytes, {ids:?}"
        )
        .unwrap();
    }
    for layout in unfinished(store).await.unwrap() {
        writeln!(text, "unfinished: {}", layout.broadcast).unwrap();
    }
    for nth in [FINISHED, UNFINISHED] {
        let layout = layout(nth);
        let recording = Recording::load_finished(store, &layout).await.unwrap().expect("a journal");
        describe_recording(&mut text, &recording);
        describe_samples(&mut text, store, &layout, &recording).await;
    }
    let block = store.get(&layout(UNFINISHED).journal(OWNER_EPOCH, 0)).await.unwrap();
    describe_block(&mut text, &JournalBlock::decode(block).unwrap());
    text
}

fn describe_recording(text: &mut String, recording: &Recording) {
    let Recording { archive, kept, dvr_window, epoch, .. } = recording;
    let kept: Vec<_> = kept.iter().flatten().map(ToString::to_string).collect();
    let broadcast = archive.broadcast();
    writeln!(text, "recording {broadcast}: epoch {epoch}, keeps {kept:?}, goes back {dvr_window:?}").unwrap();
    for period in archive.periods() {
        let PeriodStart { number, first_sequence, origin, wall_clock, .. } = &**period;
        writeln!(text, "period {number} from {first_sequence}: origin {origin}, at {} ms", wall_clock.0)
            .unwrap();
        for (rendition, init) in &period.renditions {
            writeln!(text, "  {} {}: init of {} bytes", rendition.id, rendition.codecs, init.len()).unwrap();
        }
    }
    for segment in archive.segments() {
        writeln!(text, "segment {}: drift {} ms", segment.sequence, segment.drift).unwrap();
        for Piece { rendition, start, duration, size } in &segment.pieces {
            writeln!(text, "  {rendition}: {start} + {duration}, {size:?} bytes").unwrap();
        }
    }
}

fn describe_block(text: &mut String, block: &JournalBlock) {
    let JournalBlock { revision, is_closed, reconnect_window, successor, .. } = block;
    writeln!(
        text,
        "block: revision {revision}, closed {is_closed}, waits {reconnect_window:?}, successor {successor:?}"
    )
    .unwrap();
    if let Some(retention) = block.retention {
        writeln!(text, "kept for {retention:?}").unwrap();
    }
    let handoff = block.handoff.as_ref().map(|handoff| {
        fields::describe(&fields::read(&contract::today(), "Handoff", &handoff.clone().encode()))
    });
    writeln!(text, "handoff:\n{}", handoff.unwrap_or_default()).unwrap();
}

async fn describe_samples(
    text: &mut String,
    store: &dyn ObjectStore,
    layout: &Layout,
    recording: &Recording,
) {
    let ids = values::RENDITIONS.map(|id| id.parse().unwrap());
    let samples = Samples::load(store, layout, &ids).await.unwrap();
    for segment in recording.archive.segments() {
        for Piece { rendition, size, .. } in &segment.pieces {
            let found = size.and_then(|size| samples.samples_of(rendition, segment.sequence, size));
            let count = found.map(|samples| samples.len());
            writeln!(text, "samples of {} {rendition}: {count:?}", segment.sequence).unwrap();
        }
    }
}

#[tokio::test]
async fn recordings_of_every_release_are_read_and_finished() {
    if is_update() {
        make_documents().await;
    }
    for release in releases_with("store") {
        let folder = tempfile::tempdir().unwrap();
        let store = restore(&release, folder.path()).await;
        let expected = fs::read_to_string(release_folder(&release).join("store/facts.txt")).unwrap();
        assert_eq!(facts(&store).await, expected, "{release}");
        let open = layout(UNFINISHED);
        let by = Finisher::Owner { epoch: OWNER_EPOCH, is_whole: true };
        assert_eq!(finish(&store, &open, by).await.unwrap(), Finished::Done, "{release}");
        let summary = describe(&store, &open).await.unwrap().unwrap();
        assert_eq!((summary.state, summary.duration_ms), (State::Complete, 4_000), "{release}");
        assert_eq!(unfinished(&store).await.unwrap(), [], "{release}");
    }
}
