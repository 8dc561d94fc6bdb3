//! The handoff in the journal: the point at which the next owner goes on.

use headwater_recordings::{Abandoned, Doubt};

use super::*;

/// The owner dies when it has made so many segments, and its store takes that long for each request.
async fn next_after(segments: u64, delay: Duration) -> (u64, u64) {
    let store = MemoryStore::new();
    let elsewhere = store.from_elsewhere();
    store.set(Fault::Slow(delay));
    let mut on_air = OnAir::begin(&store, &policy()).await;
    on_air.period(0, first());
    on_air.segments(segments).await;
    on_air.keeper.abort();
    store.set(Fault::Away);
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < LONG, "it never falls silent");
        let abandoned = Abandoned::find(&elsewhere, &layout().stream).await.unwrap().unwrap();
        match abandoned.falls_silent(&elsewhere).await {
            Ok(()) => {
                let point = abandoned.take_over(&elsewhere, Epoch(2)).await.unwrap();
                assert_eq!((point.broadcast, point.period), (layout().broadcast, PeriodNumber(1)));
                return (on_air.next, point.next_sequence.0);
            }
            // An object that was on its way has arrived.
            Err(Doubt::Alive) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_owner_goes_on_behind_all_that_was_shown_however_late_the_store_is() {
    for delay in [0, 1, 3, 5] {
        let (made, next) = next_after(30, Duration::from_secs(delay)).await;
        // The segment after the last whole one may have begun, and the one after that.
        assert!(next >= made + ResumePoint::LEAD_SEGMENTS, "{delay} s: goes on with {next} after {made}");
        assert!(next <= made + 16, "{delay} s: leaves out {}", next - made);
    }
}
