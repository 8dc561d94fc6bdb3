//! Acceptance of publishers: the broadcast that each one gets, and its epoch. A call that is refused changes nothing.

use std::cmp::Ordering;
use std::sync::Arc;

use headwater_media::broadcast::{Policy, PolicyOverrides};
use headwater_media::{Epoch, ResumePoint, StreamId};

use super::failure::{just_ended, server_draining, stream_in_use, too_often, unknown_epoch};
use super::lease::Standing;
use super::publisher::Taken;
use super::takeover::TakenOver;
use super::{Broadcasts, OnAir, Publisher, handoff};
use crate::failure::{Code, Failure};

/// A publisher's call, as its proxy opens it.
pub(crate) struct Applicant {
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    pub(crate) source: EpochSource,
    /// Id of its connection.
    pub(crate) publisher: String,
    /// The point at which it goes on.
    pub(crate) resume: Option<ResumePoint>,
    /// Policy of a broadcast that begins with it; none where this server's configuration counts.
    pub(crate) policy: Option<Policy>,
    /// Settings of its live input, which count over this server's configuration.
    pub(crate) overrides: PolicyOverrides,
}

/// Source of a call's epoch, as its proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EpochSource {
    /// The registry has just given it.
    Registry,
    /// The server that had the stream last, which has it on air.
    OnAir,
    /// The server that had the stream last, while the registry does not answer the proxy.
    Memory,
}

/// Evidence for the epoch of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// The registry says the same to this server.
    Confirmed,
    /// A proxy says so, and this server has not asked, as it knows the epoch, or has got no answer.
    Told,
    /// The stream was here last, and goes on here if it is on air.
    OnAir,
    /// The stream was here last, and the registry does not answer its proxy.
    Memory,
}

impl Broadcasts {
    /// Gives a publisher its broadcast: the one that is on air, or a new one.
    pub(crate) async fn open_call(
        self: &Arc<Self>,
        applicant: &Applicant,
    ) -> Result<(OnAir, Publisher), Failure> {
        let evidence = self.confirm_epoch(applicant).await?;
        let on_air = if self.stop.is_cancelled() {
            self.find_waiting(applicant)?
        } else {
            self.find_or_begin(applicant, evidence, self.left_behind(applicant, evidence).await)?
        };
        let is_claimed_anew = evidence == Evidence::Confirmed && applicant.epoch > on_air.feed.epoch();
        let goes_on = applicant.resume.is_some() && !is_claimed_anew;
        let silent = self.settings.silent_publisher;
        let publisher = match on_air.slot.take_place(&applicant.publisher, silent, goes_on).await {
            Taken::By(publisher) => publisher,
            Taken::InUse => return Err(stream_in_use("another encoder is publishing this stream")),
            Taken::Succeeded => return Err(stream_in_use("another encoder has taken this stream over")),
            Taken::TooOften(wait) => return Err(too_often(wait)),
        };
        if is_claimed_anew {
            on_air.feed.raise_epoch(applicant.epoch);
            on_air.lease.changed.notify_one();
        } else if publisher.follows_another() && !goes_on {
            on_air.lease.next_turn().await?;
        }
        Ok((on_air, publisher))
    }

    /// Asks the registry about an epoch that this server does not know: nobody else makes epochs.
    async fn confirm_epoch(&self, applicant: &Applicant) -> Result<Evidence, Failure> {
        let Applicant { stream, epoch, source, .. } = applicant;
        match source {
            EpochSource::OnAir => return Ok(Evidence::OnAir),
            EpochSource::Memory => return Ok(Evidence::Memory),
            EpochSource::Registry => {}
        }
        let held = self.get(stream).map(|on_air| on_air.feed.epoch());
        if held.is_some_and(|held| *epoch <= held) {
            return Ok(Evidence::Told);
        }
        match self.registry.owner(stream).await {
            Ok(Some(owner)) if owner.server == self.home.server && owner.epoch == *epoch => {
                Ok(Evidence::Confirmed)
            }
            Ok(_) => Err(unknown_epoch(*epoch)),
            Err(error) => {
                tracing::warn!(%stream, %epoch, %error, "a claim is taken on trust");
                Ok(Evidence::Told)
            }
        }
    }

    /// The broadcast of an owner that died without a word, while its publisher may still come back.
    async fn left_behind(&self, applicant: &Applicant, evidence: Evidence) -> Option<TakenOver> {
        let here = self.get(&applicant.stream);
        let begins_none =
            here.as_ref().is_some_and(|on_air| !on_air.is_over()) || evidence == Evidence::OnAir;
        if begins_none || applicant.resume.is_some() {
            return None;
        }
        let left = match self.registry.handoff(&applicant.stream).await {
            Ok(Some(left)) => left,
            // A registry without one proves nothing: it may have lost it.
            Ok(None) if evidence == Evidence::Confirmed => {
                return self.take_over(&applicant.stream, applicant.epoch).await;
            }
            Ok(None) => return None,
            Err(error) => {
                tracing::warn!(%error, "whether a broadcast of this stream was left behind is not known");
                return None;
            }
        };
        let point = handoff::read(&left);
        if point.is_none() {
            tracing::warn!("what the stream's last owner has left can't be read: another broadcast begins");
        }
        // A broadcast that has ended here does not go on.
        let point = point
            .filter(|point| here.is_none_or(|here| here.id != point.broadcast || !here.feed.has_ended()))?;
        Some(TakenOver { point, epoch: applicant.epoch })
    }

    /// The broadcast of a publisher that comes back while the server stops. It is told where another server goes on.
    fn find_waiting(&self, applicant: &Applicant) -> Result<OnAir, Failure> {
        let is_its_own = |on_air: &OnAir| {
            !on_air.is_over() && applicant.epoch >= on_air.feed.epoch() && applicant.resume.is_none()
        };
        self.get(&applicant.stream).filter(is_its_own).ok_or_else(server_draining)
    }

    /// The broadcast that is on air, or a new one where the call may begin one.
    fn find_or_begin(
        self: &Arc<Self>,
        applicant: &Applicant,
        evidence: Evidence,
        left: Option<TakenOver>,
    ) -> Result<OnAir, Failure> {
        let Applicant { stream, epoch, publisher, resume, .. } = applicant;
        let resume = resume.as_ref();
        let is_registered = matches!(evidence, Evidence::Confirmed | Evidence::Told);
        let mut table = self.lock_table();
        let mut begins_under = *epoch;
        let mut before = None;
        if let Some(on_air) = table.get(stream) {
            let held = on_air.feed.epoch();
            if is_registered && *epoch < held {
                return Err(Failure::new(Code::Fenced, format!("epoch {epoch} is older than {held}")));
            }
            let is_other = resume.is_some_and(|resume| resume.broadcast != on_air.id);
            let is_behind = resume.is_some_and(|resume| match (*epoch).cmp(&held) {
                Ordering::Less => false,
                // The epoch may be one that this server was claimed for, and heard of by renewing its lease.
                Ordering::Equal => {
                    on_air.slot.newest_publisher().is_some_and(|newest| *newest == **publisher)
                        && on_air.feed.is_behind(resume)
                        && on_air.feed.skip_lost(resume).is_none()
                }
                Ordering::Greater => on_air.feed.is_behind(resume),
            });
            if !on_air.is_over() && is_other {
                return Err(Failure::new(
                    Code::CannotResume,
                    "another broadcast of this stream is on air by now",
                ));
            }
            if !on_air.is_over() && !is_behind {
                return Ok(on_air.clone());
            }
            if resume.is_some() && !is_other && on_air.feed.has_ended() {
                return Err(Failure::new(
                    Code::CannotResume,
                    "the broadcast has ended meanwhile: publish again",
                ));
            }
            // Its epoch is given up with it, and nobody can hold the stream under it again.
            if is_registered && *epoch == held {
                return Err(just_ended());
            }
            begins_under = held.max(*epoch);
            before = Some(on_air.feed.next_sequence());
        }
        if evidence == Evidence::OnAir {
            return Err(Failure::new(Code::Fenced, "the stream is not on air here any more: claim it anew"));
        }
        let standing =
            if is_registered { Standing::Given } else { Standing::Unclaimed { goes_on: resume.is_some() } };
        if let Some(left) = &left {
            begins_under = begins_under.max(left.epoch);
        }
        let from = resume.or(left.as_ref().map(|left| &left.point));
        let policy = self.choose_policy(applicant, from);
        let on_air = self.start_broadcast(
            stream,
            self.make_opening(begins_under, from, before),
            from,
            policy,
            standing,
        )?;
        if let Some(before) = table.insert(stream.clone(), on_air.clone()) {
            // This server has slept while another one had the stream: what was here is of no more use.
            before.end_fenced();
        }
        Ok(on_air)
    }
}
