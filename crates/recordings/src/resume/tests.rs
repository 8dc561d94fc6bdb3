use headwater_media::{MediaSequence, PeriodNumber, ResumePoint};
use headwater_platform::store::testing::MemoryStore;

use super::*;
use crate::testing::{SETTINGS, layout, period, segment};
use crate::uploads::{Guard, Progress, UploadSettings, Uploads};
use crate::{Finished, Finisher, JournalWriter, Recording, finish, mark_text};

const WINDOW: Duration = Duration::from_secs(60);
const SEGMENT: Duration = Duration::from_secs(2);
const OLD: Epoch = Epoch(4);
const NEW: Epoch = Epoch(9);

fn handoff(next: u64, is_publishing: bool) -> Handoff {
    let point = ResumePoint {
        broadcast: layout(1).broadcast,
        settings: SETTINGS,
        window_segments: 10,
        period: PeriodNumber(1),
        start: None,
        next_sequence: MediaSequence(next),
        discontinuity_sequence: 0,
        kept: Vec::new(),
        begun_as: None,
        free: MediaSequence(next),
        policy: None,
    };
    Handoff { point, is_publishing, lasts: WINDOW }
}

/// An owner that has made segments 7 to 9.
async fn owner(store: &MemoryStore, is_publishing: bool) -> JournalWriter {
    mark(store, OLD).await;
    let mut journal = JournalWriter::new(layout(1), OLD, SETTINGS, None).waiting_for(WINDOW);
    journal.append(period(0, 7));
    (7..10).for_each(|number| journal.append(segment(number)));
    journal.hand_off(Some(handoff(12, is_publishing)));
    write(store, &mut journal).await;
    journal
}

async fn mark(store: &MemoryStore, epoch: Epoch) {
    store.put(&layout(1).marker(), mark_text(Some(epoch)), "").await.unwrap();
}

async fn write(store: &MemoryStore, journal: &mut JournalWriter) {
    let (key, block) = journal.block();
    store.put(&key, block, "").await.unwrap();
}

async fn find(store: &MemoryStore) -> Option<Abandoned> {
    Abandoned::find(store, &layout(1).stream).await.unwrap()
}

/// Number and period of the beginning of a publisher that comes now.
async fn taken_over(store: &MemoryStore, epoch: Epoch) -> (u64, u32) {
    let abandoned = find(store).await.expect("it may go on");
    abandoned.falls_silent(store).await.unwrap();
    let point = abandoned.take_over(store, epoch).await.unwrap();
    assert_eq!((point.broadcast, point.free), (layout(1).broadcast, point.next_sequence));
    (point.next_sequence.0, point.period.0)
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_goes_on_behind_all_that_viewers_may_have_when_its_owner_is_silent() {
    let store = MemoryStore::new();
    owner(&store, true).await;
    let began = Instant::now();
    // A segment more may have begun in the five seconds.
    assert_eq!(taken_over(&store, NEW).await, (13, 1));
    assert!(
        (SEGMENT + MAX_WRITE_DELAY..=SEGMENT + MAX_WRITE_DELAY + AGE_ERROR).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_waits_for_its_publisher_is_not_waited_for() {
    let store = MemoryStore::new();
    owner(&store, false).await;
    sleep(WINDOW - 2 * SEGMENT).await;
    let began = Instant::now();
    assert_eq!(taken_over(&store, NEW).await, (12, 1));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_that_is_over() {
    let store = MemoryStore::new();
    assert!(find(&store).await.is_none(), "there is nothing");
    mark(&store, OLD).await;
    assert!(find(&store).await.is_none(), "nobody has seen anything");
    let mut journal = owner(&store, true).await;
    assert!(find(&store).await.is_some());
    sleep(WINDOW).await;
    assert!(find(&store).await.is_none(), "the publisher was away for too long");
    write(&store, &mut journal).await;
    let pulse = Pulse::of(&store, &layout(1)).await.unwrap();
    assert!(find(&store).await.is_some());
    assert!(pulse.clone().close_journal(&store, |_| {}).await.unwrap());
    assert!(find(&store).await.is_none(), "it is finished");
    journal.hand_off(None);
    write(&store, &mut journal).await;
    assert!(find(&store).await.is_none(), "its owner says that it has ended");
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_broadcast_that_was_seen_goes_on() {
    let store = MemoryStore::new();
    owner(&store, true).await;
    store.put(&layout(2).marker(), mark_text(Some(NEW)), "").await.unwrap();
    assert_eq!(*find(&store).await.unwrap().layout(), layout(1), "of the other one nobody has seen anything");
    let mut other = JournalWriter::new(layout(2), NEW, SETTINGS, None);
    other.append(period(0, 7));
    write(&store, &mut other).await;
    assert!(find(&store).await.is_none(), "the other one does not go on");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_writes_keeps_its_broadcast() {
    let store = MemoryStore::new();
    let mut journal = owner(&store, true).await;
    let watching = store.clone();
    let abandoned = find(&store).await.unwrap();
    let watch = tokio::spawn(async move { abandoned.falls_silent(&watching).await });
    sleep(SEGMENT).await;
    write(&store, &mut journal).await;
    assert!(matches!(watch.await.unwrap(), Err(Doubt::Alive)));
    let late = find(&store).await.unwrap();
    write(&store, &mut journal).await;
    let before = store.get(&layout(1).journal(OLD, 0)).await.unwrap();
    assert!(matches!(late.take_over(&store, NEW).await, Err(Doubt::Alive)));
    assert_eq!(store.get(&layout(1).journal(OLD, 0)).await.unwrap(), before, "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn one_of_two_servers_takes_it_over() {
    let store = MemoryStore::new();
    owner(&store, false).await;
    let [one, other] = [find(&store).await.unwrap(), find(&store).await.unwrap()];
    assert!(one.take_over(&store, NEW).await.is_ok());
    assert!(matches!(other.take_over(&store, Epoch(10)).await, Err(Doubt::Alive)));
    // A server that comes later goes on from the one that has it, behind what that may have shown.
    let next = find(&store).await.unwrap();
    assert_eq!(next.epoch(), NEW);
    assert!(next.handoff.is_publishing);
    assert_eq!((next.handoff.point.free.0, next.handoff.point.period.0), (14, 2));
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_dies_before_its_first_segment_leaves_the_broadcast_to_the_next_one() {
    let store = MemoryStore::new();
    owner(&store, false).await;
    assert_eq!(taken_over(&store, NEW).await, (12, 1));
    mark(&store, NEW).await;
    let (number, period) = taken_over(&store, Epoch(10)).await;
    assert!(number >= 14 && period >= 2, "{number}, period {period}");
}

/// The owner's server was frozen, or cut off from everything.
#[tokio::test(start_paused = true)]
async fn an_owner_that_comes_back_finds_its_successor_and_writes_nothing_more() {
    for rolls_over in [false, true] {
        let store = MemoryStore::new();
        let uploads = Uploads::start(std::sync::Arc::new(store.clone()), &UploadSettings::default()).await;
        let lane = uploads.lane(layout(1).lane());
        let guard = Guard::yielding(names_successor);
        mark(&store, OLD).await;
        let mut journal = JournalWriter::new(layout(1), OLD, SETTINGS, None).waiting_for(WINDOW);
        journal.append(period(0, 7));
        (7..10).for_each(|number| journal.append(segment(number)));
        journal.hand_off(Some(handoff(12, true)));
        let put = async |journal: &mut JournalWriter| {
            let (key, block) = journal.block();
            lane.put_guarded(key, block, "", &guard).settled().await
        };
        put(&mut journal).await;
        taken_over(&store, NEW).await;
        let taken = store.written();
        (10..if rolls_over { 100 } else { 12 }).for_each(|number| journal.append(segment(number)));
        for _ in 0..2 {
            assert!(matches!(put(&mut journal).await, Progress::Stored { .. }), "nothing waits for it");
        }
        guard.succeeded().await;
        assert_eq!(store.written(), taken);
        let recording = Recording::load(&store, &layout(1)).await.unwrap().unwrap();
        assert_eq!(recording.archive.segments().len(), 3);
        let finished = finish(&store, &layout(1), Finisher::Owner { epoch: OLD, is_whole: true }).await;
        assert_eq!(finished, Ok(Finished::Superseded));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_says_nothing() {
    use headwater_platform::store::testing::Fault;
    let store = MemoryStore::new();
    owner(&store, true).await;
    let abandoned = find(&store).await.unwrap();
    store.set(Fault::Away);
    assert!(Abandoned::find(&store, &layout(1).stream).await.is_err());
    assert!(matches!(abandoned.falls_silent(&store).await, Err(Doubt::Store(_))));
    assert!(matches!(abandoned.take_over(&store, NEW).await, Err(Doubt::Store(_))));
}
