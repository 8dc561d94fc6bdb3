use std::pin::pin;

use futures::poll;

use super::*;

const SILENT: Duration = Duration::from_secs(3);

/// Takes the place for somebody who begins; none when it is in use.
async fn take(place: &PublisherSlot, id: &str) -> Option<Publisher> {
    match place.take_place(id, SILENT, false).await {
        Taken::By(publisher) => Some(publisher),
        Taken::InUse => None,
        Taken::Succeeded => panic!("it goes on with nothing"),
        Taken::TooOften(wait) => panic!("{wait:?}"),
    }
}

/// Publisher whose turn it is, and that was heard just now.
async fn on_air(place: &PublisherSlot) -> Publisher {
    let publisher = take(place, "1").await.unwrap();
    publisher.note_heard();
    publisher
}

#[tokio::test(start_paused = true)]
async fn a_second_one_is_refused_when_the_first_is_heard() {
    let place = PublisherSlot::default();
    let first = on_air(&place).await;
    let mut second = pin!(take(&place, "2"));
    assert!(poll!(&mut second).is_pending(), "it may be gone");
    tokio::time::advance(SILENT / 2).await;
    assert!(poll!(&mut second).is_pending());
    first.note_heard();
    first.note_listening();
    let began = Instant::now();
    assert!(second.await.is_none());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!first.is_replaced());
}

#[tokio::test(start_paused = true)]
async fn a_second_one_takes_the_place_when_the_first_was_silent_for_long_enough_in_all() {
    let place = PublisherSlot::default();
    let first = on_air(&place).await;
    tokio::time::advance(SILENT / 3).await;
    let began = Instant::now();
    let second = take(&place, "2").await.unwrap();
    assert_eq!(began.elapsed(), SILENT * 2 / 3);
    assert!(first.is_replaced() && !second.is_replaced());
    first.note_heard();
    drop(first);
    assert!(place.is_taken() && !second.is_replaced(), "the first takes nothing away");
    second.note_heard();
    tokio::time::advance(SILENT).await;
    let began = Instant::now();
    take(&place, "3").await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "it was silent long enough before");
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_some_time_ago_says_nothing() {
    let place = PublisherSlot::default();
    let first = on_air(&place).await;
    first.note_ahead();
    let began = Instant::now();
    assert!(take(&place, "2").await.is_none());
    assert_eq!(began.elapsed(), MAX_AHEAD_SILENCES * SILENT);
    let mut second = pin!(take(&place, "2"));
    assert!(poll!(&mut second).is_pending());
    tokio::time::advance(SILENT / 2).await;
    first.note_ahead();
    assert!(poll!(&mut second).is_pending());
    first.note_listening();
    let began = Instant::now();
    assert!(second.await.is_some(), "that was the last of it");
    assert_eq!(began.elapsed(), SILENT);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_its_turn_is_not_silent() {
    let place = PublisherSlot::default();
    let first = take(&place, "1").await.unwrap();
    tokio::time::advance(2 * SILENT).await;
    let began = Instant::now();
    assert!(take(&place, "2").await.is_none());
    assert_eq!(began.elapsed(), SILENT);
    let mut second = pin!(take(&place, "2"));
    assert!(poll!(&mut second).is_pending());
    tokio::time::advance(SILENT / 2).await;
    first.note_heard();
    assert!(second.await.is_none(), "its turn has come");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_the_place_as_soon_as_it_is_free() {
    for leave in [drop, |first: Publisher| first.note_gone(), |first: Publisher| first.note_leaving()] {
        let place = PublisherSlot::default();
        let first = on_air(&place).await;
        let mut second = pin!(take(&place, "2"));
        assert!(poll!(&mut second).is_pending());
        leave(first);
        let began = Instant::now();
        assert!(second.await.is_some());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn only_one_waits() {
    let place = PublisherSlot::default();
    let first = on_air(&place).await;
    {
        let mut second = pin!(take(&place, "2"));
        assert!(poll!(&mut second).is_pending());
        let mut third = pin!(take(&place, "3"));
        assert!(matches!(poll!(&mut third), std::task::Poll::Ready(None)));
    }
    // The second has given up.
    let mut third = pin!(take(&place, "3"));
    assert!(poll!(&mut third).is_pending());
    let again = take(&place, "1").await.unwrap();
    assert!(first.is_back(), "the connection that has the place never waits");
    again.note_heard();
    tokio::time::advance(SILENT / 2).await;
    again.note_heard();
    assert!(third.await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_that_was_asked_to_come_back_is_replaced_at_once_though_it_is_heard() {
    let place = PublisherSlot::default();
    let first = on_air(&place).await;
    first.note_leaving();
    first.note_heard();
    let began = Instant::now();
    let _second = take(&place, "2").await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(first.is_replaced());
}

#[tokio::test]
async fn a_connection_replaces_its_own_earlier_call() {
    let place = PublisherSlot::default();
    let first = on_air(&place).await;
    let again = take(&place, "1").await.unwrap();
    assert!(first.is_back() && !again.is_replaced());
    drop(first);
    assert!(place.is_taken(), "the earlier call takes nothing away");
    again.note_gone();
    assert!(!place.is_taken(), "who is gone is in nobody's way");
    let _other = take(&place, "2").await.unwrap();
    assert!(again.is_replaced() && !again.is_back());
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_goes_on_where_it_was() {
    let place = PublisherSlot::default();
    let first = on_air(&place).await;
    first.note_gone();
    let second = take(&place, "2").await.unwrap();
    assert!(!first.follows_another() && second.follows_another());
    let goes_on = async |id| place.take_place(id, SILENT, true).await;
    assert!(matches!(goes_on("1").await, Taken::Succeeded));
    second.note_gone();
    drop(second);
    assert!(matches!(goes_on("1").await, Taken::Succeeded), "also when the other one has left");
    assert!(matches!(goes_on("2").await, Taken::By(_)));
    assert_eq!(place.newest_publisher().as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn publishers_that_follow_each_other_too_fast_are_refused() {
    let place = PublisherSlot::default();
    let mut refused = None;
    for turn in 0..100 {
        match place.take_place(&turn.to_string(), SILENT, false).await {
            Taken::By(publisher) => publisher.count_period(),
            Taken::TooOften(wait) => {
                refused = Some((turn, wait));
                break;
            }
            Taken::InUse | Taken::Succeeded => panic!("the one before has left"),
        }
    }
    let (turn, wait) = refused.expect("a hundred at once are too many");
    assert!((8..16).contains(&turn), "{turn}");
    // The one that was there last may come back in its turn.
    assert!(matches!(place.take_place(&(turn - 1).to_string(), SILENT, true).await, Taken::By(_)));
    tokio::time::advance(wait).await;
    assert!(matches!(place.take_place("another", SILENT, false).await, Taken::By(_)));
}
