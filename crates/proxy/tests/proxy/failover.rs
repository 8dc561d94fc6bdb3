//! A publisher whose server is lost goes on with another one, and its encoder is told nothing.

use std::time::Duration;

use headwater_registry::Registry as _;
use headwater_runtime::config::Size;
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::publish_request::Message as Request;
use headwater_wire::v2::{self, ResumePoint};

use crate::support::media::{self, Kind};
use crate::support::{Call, Encoder, TestProxy, TestServer, failure, resume_point};

/// Pictures are so far apart; every fourth is a keyframe.
const STEP_MS: u32 = 500;

/// An encoder on the air, with a sound after every picture.
struct Show {
    proxy: TestProxy,
    encoder: Encoder,
    next_ms: u32,
}

impl Show {
    async fn start(proxy: TestProxy, server: &mut TestServer) -> (Self, Call) {
        let mut encoder = Encoder::request(proxy.address, "demo").await;
        let call = server.call().await;
        call.accept(3).await;
        encoder.accepted().await;
        encoder.headers().await;
        (Self { proxy, encoder, next_ms: 0 }, call)
    }

    /// Sends media up to this time.
    async fn send_until(&mut self, end_ms: u32) {
        while self.next_ms < end_ms {
            let time = self.next_ms;
            let name = format!("{time} ms");
            let picture = match time % (4 * STEP_MS) {
                0 => media::keyframe(name.as_bytes()),
                _ => media::picture(name.as_bytes()),
            };
            self.encoder.video(time, picture).await;
            self.encoder.audio(time + 10, media::sound(name.as_bytes())).await;
            self.next_ms += STEP_MS;
        }
    }

    /// Sends media up to this time, which has to arrive at this call.
    async fn pass(&mut self, call: &mut Call, end_ms: u32) {
        self.send_until(end_ms).await;
        while tag(&call.message().await.unwrap().unwrap()) != Some((Kind::Audio, end_ms - STEP_MS + 10)) {}
    }

    /// Messages that a replay has to bring: the period, then every tag once and in order, from a keyframe on.
    async fn expect_replay(&self, call: &mut Call, from_ms: u32) {
        let Some(Request::Period(period)) = call.message().await.unwrap() else { panic!("no period") };
        assert_eq!((period.number, period.origin_us), (3, 0));
        assert_eq!(&period.tracks[0].configuration[..], media::AVC);
        for time in (from_ms..self.next_ms).step_by(STEP_MS as usize) {
            let kind = if time % (4 * STEP_MS) == 0 { Kind::VideoKeyframe } else { Kind::Video };
            assert_eq!(tag(&call.message().await.unwrap().unwrap()), Some((kind, time)));
            assert_eq!(tag(&call.message().await.unwrap().unwrap()), Some((Kind::Audio, time + 10)));
        }
    }

    /// The encoder was told nothing: the next message that it hears is the refusal that it is given now.
    async fn told_nothing_until_now(self, call: Call) {
        call.reject(failure(Code::UnsupportedMedia, "by the last server")).await;
        assert_eq!(self.encoder.sent_away().await.1, "by the last server");
    }
}

fn tag(request: &Request) -> Option<(Kind, u32)> {
    let Request::Tag(tag) = request else { return None };
    Some((media::kind(tag), (tag.time_us / 1_000) as u32))
}

/// The point that a server has committed up to.
fn committed(start_ms: u64) -> ResumePoint {
    resume_point(3, Some(start_ms), 100 + start_ms / 2_000)
}

async fn two_servers() -> (TestProxy, TestServer, TestServer) {
    let proxy = TestProxy::start().await;
    let first = TestServer::start(&proxy.registry, "first", 0).await;
    let second = TestServer::start(&proxy.registry, "second", 1_500).await;
    (proxy, first, second)
}

#[tokio::test]
async fn a_server_that_is_lost_after_the_encoders_end_is_replaced_until_everything_is_made() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut call) = Show::start(proxy, &mut first).await;
    show.pass(&mut call, 4_000).await;
    call.commit(committed(2_000)).await;
    show.encoder.unpublish().await;
    while !matches!(call.message().await.unwrap(), Some(Request::End(_))) {}
    call.reject(failure(Code::Draining, "it goes away")).await;
    let mut call = second.call().await;
    assert_eq!(call.open.resume, Some(committed(2_000)));
    call.accept_at(committed(2_000)).await;
    show.expect_replay(&mut call, 0).await;
    let Some(Request::End(end)) = call.message().await.unwrap() else { panic!("no end") };
    assert_eq!(end.reason, "the publisher ended its stream");
}

#[tokio::test]
async fn a_server_that_can_not_start_a_worker_for_a_live_broadcast_is_left_for_another_one() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut call) = Show::start(proxy, &mut first).await;
    show.pass(&mut call, 1_000).await;
    call.reject(failure(Code::WorkerFailed, "its worker crashed")).await;
    // The same server is asked first, as it has the broadcast.
    first.call().await.reject(failure(Code::NoCapacity, "no worker starts")).await;
    let mut call = second.call().await;
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn a_server_that_says_where_a_publisher_goes_on_and_can_not_start_a_worker_is_left_for_another_one() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, call) = Show::start(proxy, &mut first).await;
    show.send_until(1_000).await;
    call.reject(failure(Code::NoCapacity, "no worker starts")).await;
    let mut call = second.call().await;
    assert_eq!(call.open.resume, Some(resume_point(3, None, 100)));
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn a_broken_call_goes_on_at_another_server_from_the_last_commit() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 5_000).await;
    lost.commit(committed(2_000)).await;
    lost.commit(committed(4_000)).await;
    show.pass(&mut lost, 7_000).await;
    drop(lost);
    let mut call = second.call().await;
    // It may have begun the segments up to 6.51 s.
    let expected = ResumePoint { free_sequence: 105, ..committed(4_000) };
    assert_eq!((call.open.epoch, call.open.resume.clone()), (2, Some(expected)));
    assert_eq!(show.proxy.owner("demo").await, Some(("second".into(), 2)));
    // While nobody has accepted it.
    show.send_until(9_000).await;
    call.accept_at(committed(4_000)).await;
    // The keyframe at 4 s might be too late for sound that is sent early.
    show.expect_replay(&mut call, 2_000).await;
    show.pass(&mut call, 10_000).await;
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn without_a_commit_it_goes_on_from_the_beginning() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 5_000).await;
    drop(lost);
    let mut call = second.call().await;
    // It may have begun the segments up to 4.51 s.
    let beginning = ResumePoint { free_sequence: 104, ..resume_point(3, None, 100) };
    assert_eq!(call.open.resume, Some(beginning.clone()));
    call.accept_at(beginning).await;
    show.expect_replay(&mut call, 0).await;
}

#[tokio::test]
async fn where_nothing_is_kept_the_encoder_is_told_to_connect_again() {
    let proxy = TestProxy::with(|config| config.proxy.replay_duration = Duration::ZERO).await;
    let mut first = TestServer::start(&proxy.registry, "first", 0).await;
    let mut second = TestServer::start(&proxy.registry, "second", 1_500).await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 5_000).await;
    lost.commit(committed(2_000)).await;
    drop(lost);
    let (code, told) = show.encoder.sent_away().await;
    assert_eq!(
        (code.as_str(), told.as_str()),
        ("NetStream.Failed", "the transcode server is gone: reconnect")
    );
    assert!(!second.was_called(), "there is nothing to go on with");
}

#[tokio::test]
async fn what_is_committed_just_before_the_last_word_counts() {
    let (proxy, mut server, _) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut server).await;
    show.pass(&mut lost, 5_000).await;
    let publisher = lost.open.publisher.clone();
    lost.commit(committed(4_000)).await;
    lost.reject(failure(Code::WorkerFailed, "x264enc")).await;
    let call = server.call().await;
    assert_eq!((call.open.epoch, call.open.publisher), (1, publisher));
    assert_eq!(call.open.resume, Some(committed(4_000)));
}

#[tokio::test]
async fn a_server_that_drains_is_left() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 3_000).await;
    lost.reject(failure(Code::Draining, "this server is stopping")).await;
    let mut call = second.call().await;
    assert_eq!(call.open.epoch, 2);
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    assert!(!first.was_called());
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn a_server_that_can_not_go_on_with_the_period_gets_a_new_one() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 5_000).await;
    lost.commit(committed(2_000)).await;
    lost.reject(failure(Code::Draining, "this server is stopping")).await;
    let call = second.call().await;
    call.accept_at(committed(2_000)).await;
    call.reject(failure(Code::PeriodDiffers, "480p would need another init segment")).await;
    let mut call = second.call().await;
    let anew = ResumePoint { free_sequence: 105, ..resume_point(4, None, 103) };
    assert_eq!((call.open.epoch, call.open.resume.clone()), (2, Some(anew.clone())));
    call.accept_at(anew).await;
    let Some(Request::Period(period)) = call.message().await.unwrap() else { panic!("no period") };
    assert_eq!((period.number, period.origin_us, period.first_sequence), (4, 2_000_000, Some(103)));
    assert_eq!(tag(&call.message().await.unwrap().unwrap()), Some((Kind::VideoKeyframe, 0)));
    show.pass(&mut call, 6_000).await;
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn the_second_server_may_be_lost_too() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 3_000).await;
    drop(lost);
    show.proxy.registry.unregister_server(&first.record.id).await.unwrap();
    let lost = second.call().await;
    // Not before: each of two would be asked by chance.
    let mut third = TestServer::start(&show.proxy.registry, "third", 1_900).await;
    lost.accept_at(resume_point(3, None, 100)).await;
    drop(lost);
    let mut call = third.call().await;
    assert_eq!(call.open.epoch, 3);
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
}

#[tokio::test]
async fn a_failed_worker_is_left_to_its_server_until_that_gives_up() {
    let (proxy, mut server, mut other) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut server).await;
    show.pass(&mut lost, 3_000).await;
    lost.reject(failure(Code::WorkerFailed, "the transcoder failed: x264enc")).await;
    let mut call = server.call().await;
    assert_eq!((call.open.epoch, call.open.resume.clone()), (1, Some(resume_point(3, None, 100))));
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    call.reject(failure(Code::WorkerFailed, "the transcoder failed: x264enc")).await;
    let text = "refused for a moment, as its transcoder failed 2 times: x264enc";
    server.call().await.reject(failure(Code::WorkerFailed, text)).await;
    let (code, told) = show.encoder.sent_away().await;
    assert_eq!((code.as_str(), told.as_str()), ("NetStream.Failed", text));
    assert!(!other.was_called(), "a source that breaks one server does not go on to the next");
}

#[tokio::test]
async fn a_server_is_told_what_the_publisher_has_cost_others() {
    let (proxy, mut server, mut other) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut server).await;
    show.pass(&mut lost, 3_000).await;
    lost.reject(failure(Code::WorkerFailed, "the transcoder failed: x264enc")).await;
    let again = server.call().await;
    assert_eq!(again.open.failures, 0, "it knows its own");
    again.accept_at(resume_point(3, None, 100)).await;
    again.reject(failure(Code::WorkerFailed, "the transcoder failed: x264enc")).await;
    let again = server.call().await;
    again.accept_at(resume_point(3, None, 100)).await;
    again.reject(failure(Code::Draining, "this server is stopping")).await;
    assert_eq!(other.call().await.open.failures, 2);
}

#[tokio::test]
async fn who_can_not_go_on_is_told() {
    for (refused, code) in [
        (failure(Code::CannotResume, "the broadcast has gone on"), "NetStream.Failed"),
        (failure(Code::StreamInUse, "another encoder is publishing"), "NetStream.Publish.BadName"),
        (failure(Code::UnsupportedMedia, "no picture in it"), "NetStream.Publish.Denied"),
    ] {
        let (proxy, mut first, mut second) = two_servers().await;
        let (show, lost) = Show::start(proxy, &mut first).await;
        drop(lost);
        second.call().await.reject(refused.clone()).await;
        assert_eq!(show.encoder.sent_away().await, (code.to_owned(), refused.message));
    }
}

#[tokio::test]
async fn without_any_server_the_publisher_waits_for_one() {
    let proxy = TestProxy::start().await;
    let mut only = TestServer::start(&proxy.registry, "only", 0).await;
    let (mut show, mut lost) = Show::start(proxy, &mut only).await;
    show.pass(&mut lost, 3_000).await;
    show.proxy.registry.unregister_server(&only.record.id).await.unwrap();
    drop(lost);
    show.send_until(8_000).await;
    // Longer than it takes to look twice.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!only.was_called());
    let mut late = TestServer::start(&show.proxy.registry, "late", 0).await;
    let mut call = late.call().await;
    show.send_until(9_000).await;
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    show.pass(&mut call, 10_000).await;
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn after_more_than_is_kept_it_goes_on_with_a_new_period() {
    let proxy = TestProxy::with(|config| config.proxy.replay_memory = Size(1 << 20)).await;
    let mut first = TestServer::start(&proxy.registry, "first", 0).await;
    let mut second = TestServer::start(&proxy.registry, "second", 1_500).await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 3_000).await;
    lost.commit(committed(2_000)).await;
    show.pass(&mut lost, 4_000).await;
    drop(lost);
    let mut call = second.call().await;
    // More than the buffers between the two hold: when it is written, most of it was read.
    for _ in 0..96 {
        show.encoder.video(show.next_ms, media::keyframe(&[7; 256 << 10])).await;
        show.next_ms += STEP_MS;
    }
    call.accept_at(committed(2_000)).await;
    let mut next_period = async || loop {
        if let Some(Request::Period(period)) = call.message().await.unwrap() {
            return period;
        }
    };
    let v2::Period { number, first_sequence, origin_us: origin, .. } = next_period().await;
    assert!(number == 4 && origin > 4_000, "{number} from {origin} ms");
    assert_eq!(first_sequence, Some(103), "of 101 and 102 viewers may have something");
    let first = call.message().await.unwrap().unwrap();
    assert_eq!(tag(&first), Some((Kind::VideoKeyframe, (origin / 1_000) as u32)));
    show.pass(&mut call, 60_000).await;
    show.told_nothing_until_now(call).await;
}

/// A keyframe, and then none for longer than is kept; the server that is to go on is lost on its way as well.
#[tokio::test]
async fn without_a_keyframe_to_go_on_from_it_goes_on_with_the_next_one() {
    let proxy = TestProxy::with(|config| config.proxy.replay_duration = Duration::from_secs(5)).await;
    let mut first = TestServer::start(&proxy.registry, "first", 0).await;
    let mut second = TestServer::start(&proxy.registry, "second", 1_500).await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 3_000).await;
    lost.commit(committed(2_000)).await;
    for time in (3_000..12_000).step_by(STEP_MS as usize) {
        show.encoder.video(time, media::picture(b"no keyframe")).await;
        while tag(&lost.message().await.unwrap().unwrap()) != Some((Kind::Video, time)) {}
    }
    drop(lost);
    show.proxy.registry.unregister_server(&first.record.id).await.unwrap();
    let lost = second.call().await;
    lost.accept_at(committed(2_000)).await;
    let mut third = TestServer::start(&show.proxy.registry, "third", 1_900).await;
    drop(lost);
    show.proxy.registry.unregister_server(&second.record.id).await.unwrap();
    let mut call = third.call().await;
    assert_eq!(call.open.resume, Some(resume_point(4, None, 103)));
    call.accept_at(resume_point(4, None, 103)).await;
    show.encoder.video(12_000, media::picture(b"no keyframe")).await;
    show.next_ms = 14_000;
    show.send_until(15_000).await;
    let Some(Request::Period(next)) = call.message().await.unwrap() else { panic!("no period") };
    assert_eq!((next.number, next.first_sequence, next.origin_us), (4, Some(103), 14_000_000));
    assert_eq!(tag(&call.message().await.unwrap().unwrap()), Some((Kind::VideoKeyframe, 14_000)));
    show.pass(&mut call, 16_000).await;
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn an_encoder_that_leaves_meanwhile_still_has_its_last_media_given() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut lost) = Show::start(proxy, &mut first).await;
    show.pass(&mut lost, 3_000).await;
    drop(lost);
    let unanswered = second.call().await;
    show.send_until(5_000).await;
    show.encoder.unpublish().await;
    let proxy = show.proxy;
    drop(show.encoder);
    drop(unanswered);
    // It is asked again, or another one is.
    let call = async {
        tokio::select! {
            call = first.call() => call,
            call = second.call() => call,
        }
    };
    let call = call.await;
    call.accept_at(resume_point(3, None, 100)).await;
    let (messages, reason) = call.until_it_ends().await;
    assert_eq!(reason, "the publisher ended its stream");
    let times: Vec<_> = messages.iter().filter_map(tag).map(|(_, time)| time).collect();
    let sent: Vec<_> = (0..5_000).step_by(STEP_MS as usize).flat_map(|time| [time, time + 10]).collect();
    assert_eq!(times, sent);
    drop(proxy);
}

#[tokio::test]
async fn media_that_no_server_survives_ends_the_publisher() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let (mut show, mut call) = Show::start(proxy, &mut server).await;
    show.pass(&mut call, 1_000).await;
    drop(call);
    let fail = async {
        loop {
            server.call().await.accept_at(resume_point(3, None, 100)).await;
        }
    };
    let (_, text) = tokio::select! {
        told = show.encoder.sent_away() => told,
        () = fail => unreachable!("it ends with the encoder"),
    };
    assert_eq!(text, "the transcode server is gone: reconnect");
}

#[tokio::test]
async fn a_server_that_had_no_room_is_asked_again() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut call) = Show::start(proxy, &mut first).await;
    show.pass(&mut call, 1_000).await;
    show.proxy.registry.unregister_server(&first.record.id).await.unwrap();
    call.reject(failure(Code::Draining, "it goes away")).await;
    second.call().await.reject(failure(Code::NoCapacity, "full for now")).await;
    let mut call = second.call().await;
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    show.told_nothing_until_now(call).await;
}

#[tokio::test]
async fn a_server_that_went_away_is_asked_when_it_is_back() {
    let proxy = TestProxy::start().await;
    let mut only = TestServer::start(&proxy.registry, "only", 0).await;
    let (mut show, mut call) = Show::start(proxy, &mut only).await;
    show.pass(&mut call, 1_000).await;
    show.proxy.registry.unregister_server(&only.record.id).await.unwrap();
    call.reject(failure(Code::Draining, "it starts anew")).await;
    only.offer(&show.proxy.registry, 2_000).await;
    let mut call = only.call().await;
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    show.told_nothing_until_now(call).await;
}

/// The replay is more than what is on its way at most, so that it can't be given to a server that does not read.
#[tokio::test]
async fn a_server_that_got_a_part_of_the_rest_is_replaced_and_never_told_that_this_was_all() {
    let proxy = TestProxy::with(|config| config.proxy.stall_timeout = Duration::from_secs(3)).await;
    let mut first = TestServer::start(&proxy.registry, "first", 0).await;
    let mut second = TestServer::start(&proxy.registry, "second", 1_500).await;
    let (mut show, mut call) = Show::start(proxy, &mut first).await;
    for n in 0..6 {
        show.encoder.video(n * 2_000, media::keyframe(&vec![0; 5 << 20])).await;
        show.encoder.audio(n * 2_000 + 10, media::sound(b"a sound")).await;
        while tag(&call.message().await.unwrap().unwrap()) != Some((Kind::VideoKeyframe, n * 2_000)) {}
    }
    show.proxy.registry.unregister_server(&first.record.id).await.unwrap();
    call.reject(failure(Code::Draining, "it goes away")).await;
    let _unanswered = second.call().await;
    show.encoder.unpublish().await;
    let mut cut = second.call().await;
    cut.accept_at(resume_point(3, None, 100)).await;
    let mut call = second.call().await;
    call.accept_at(resume_point(3, None, 100)).await;
    let mut keyframes = 0;
    let end = loop {
        match call.message().await.unwrap().unwrap() {
            Request::End(end) => break end,
            message => keyframes += u32::from(matches!(tag(&message), Some((Kind::VideoKeyframe, _)))),
        }
    };
    assert_eq!((keyframes, end.reason.as_str()), (6, "the publisher ended its stream"));
    let broken_off = loop {
        match cut.message().await {
            Ok(Some(Request::End(_))) => break false,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break true,
        }
    };
    assert!(broken_off);
}

/// The answer to a claim was lost, or the registry has lost everything: only the next owner knows whether for another one.
#[tokio::test]
async fn a_server_that_has_lost_the_stream_is_left_for_its_next_owner() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut call) = Show::start(proxy, &mut first).await;
    show.pass(&mut call, 1_000).await;
    let stream = "demo".parse().unwrap();
    let record = second.record.clone();
    let epoch = show.proxy.registry.owner(&stream).await.unwrap().map(|owner| owner.epoch);
    show.proxy.registry.claim(&stream, &record.id, &record.address, epoch).await.unwrap();
    call.reject(failure(Code::Fenced, "another server has this stream")).await;
    let mut call = second.call().await;
    call.accept_at(resume_point(3, None, 100)).await;
    show.expect_replay(&mut call, 0).await;
    show.told_nothing_until_now(call).await;
}

/// The registry has lost everything, and an owner of the past was the first to renew its lease.
#[tokio::test]
async fn an_owner_that_lost_the_stream_before_the_publishers_turn_is_not_asked() {
    let (proxy, mut first, mut second) = two_servers().await;
    let (mut show, mut call) = Show::start(proxy, &mut first).await;
    show.pass(&mut call, 4_000).await;
    let epoch = call.open.epoch + 6;
    call.commit_under(committed(2_000), epoch).await;
    call.reject(failure(Code::Draining, "it goes away")).await;
    let call = second.call().await;
    assert!(call.open.epoch > epoch, "{}", call.open.epoch);
    assert!(!first.was_called());
    call.accept_at(committed(2_000)).await;
    show.told_nothing_until_now(call).await;
}
