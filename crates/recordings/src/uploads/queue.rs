//! The queue of objects that wait for the store: their order, and which of them go when there is no room. It decides, and
//! does nothing itself.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use headwater_platform::store::Key;
use tokio::time::Instant;

use super::guard::Guard;
use super::job::{Body, Job, Progress, PutMode};
use super::spool::{Head, Leftover};

/// Time after which an object goes from memory to the disk: so much would be lost with the process. A store in the same region
/// takes a tenth of it.
pub(super) const SPILL_AFTER: Duration = Duration::from_secs(1);

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes.
    pub(super) memory: u64,
    /// Bytes; none where there is no disk to wait on.
    pub(super) spool: Option<u64>,
}

/// Everything that waits.
#[derive(Debug)]
pub(super) struct Queue {
    bounds: Bounds,
    /// By their numbers, which are their ages: the oldest first.
    jobs: BTreeMap<u64, Job>,
    lanes: HashMap<String, Waiting>,
    /// The newest job of each key.
    by_key: HashMap<Key, u64>,
    next: u64,
    memory: u64,
    spooled: u64,
    /// How much was on the disk when it was full: no more has room, until all of that is gone.
    full_at: Option<u64>,
    /// Files that nobody needs any more.
    garbage: Vec<u64>,
    /// How many objects were lost since the last outage ended.
    lost: u64,
    is_closing: bool,
}

/// Objects of one lane that wait.
#[derive(Debug, Default)]
struct Waiting {
    numbers: VecDeque<u64>,
    /// Whether somebody is at work for it.
    is_running: bool,
    is_failing: bool,
}

/// Change of an outage by an attempt, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutageChange {
    None,
    /// The first lane fails.
    Began,
    /// No lane fails any more; so many objects were lost meanwhile.
    Ended {
        lost: u64,
    },
}

/// Owner of the files that fill a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    OfOthers,
    /// Objects of ours, the oldest of which make room for newer ones.
    OfOurs {
        is_news: bool,
    },
}

/// Object that is to be stored next, as its lane has come to it.
#[derive(Debug)]
pub(super) struct NextJob {
    pub(super) number: u64,
    pub(super) key: Key,
    pub(super) content_type: String,
    pub(super) mode: PutMode,
    pub(super) guard: Option<Guard>,
    pub(super) body: Body,
}

impl Queue {
    pub(super) fn new(bounds: Bounds, leftovers: Vec<Leftover>) -> Self {
        let mut queue = Self {
            bounds,
            jobs: BTreeMap::new(),
            lanes: HashMap::new(),
            by_key: HashMap::new(),
            next: 0,
            memory: 0,
            spooled: 0,
            full_at: None,
            garbage: Vec::new(),
            lost: 0,
            is_closing: false,
        };
        for leftover in leftovers {
            queue.next = queue.next.max(leftover.number);
            let body = Body::Disk { file_size: leftover.file_size };
            let Head { lane, content_type, mode, .. } = leftover.head;
            let key = leftover.key;
            let size = leftover.size;
            let since = Instant::now();
            queue.spooled += leftover.file_size;
            let guard = None;
            let is_in_flight = false;
            let receipts = Vec::new();
            queue.insert_job(Job {
                lane,
                key,
                content_type,
                mode,
                guard,
                body,
                size,
                since,
                is_in_flight,
                receipts,
            });
        }
        queue.make_spool_room(0);
        queue
    }

    /// Takes an object in, or loses it where there is no room at all. Older objects go first.
    pub(super) fn push_job(&mut self, mut job: Job) {
        if job.mode != PutMode::New {
            self.replace_older(&mut job);
        }
        while self.memory + job.size > self.bounds.memory {
            let fits = job.size <= self.bounds.memory;
            let Some(number) = self.oldest_number(|job| fits && job.in_memory().is_some()) else {
                job.tell_receipts(Progress::Dropped);
                self.count_lost(job.mode);
                return;
            };
            self.lose_job(number);
        }
        self.memory += job.size;
        self.insert_job(job);
    }

    fn insert_job(&mut self, job: Job) {
        let number = self.next;
        self.next += 1;
        self.by_key.insert(job.key.clone(), number);
        self.lanes.entry(job.lane.clone()).or_default().numbers.push_back(number);
        self.jobs.insert(number, job);
    }

    /// Takes an older writing of an index away: only the newest counts, and it has the last place. Where the store is slow the
    /// first one keeps its place: an index that always gave way to the next one, and to the media that
    /// this one names, would never be stored.
    fn replace_older(&mut self, newer: &mut Job) {
        let Some(number) = self.by_key.get(&newer.key).copied() else { return };
        let is_same = |job: &&Job| job.lane == newer.lane && job.mode == newer.mode && !job.is_in_flight;
        let gives_way = self.is_lane_failing(&newer.lane) || self.is_second(number, newer);
        if gives_way
            && self.jobs.get(&number).filter(is_same).is_some()
            && let Some(older) = self.take_job(number)
        {
            for receipt in &older.receipts {
                // The copy that was safe has become out of date.
                receipt.send_replace(Progress::Waiting);
            }
            newer.receipts.extend(older.receipts);
        }
    }

    /// Whether another version of this object waits before this one.
    fn is_second(&self, number: u64, newer: &Job) -> bool {
        let waiting = self.lanes.get(&newer.lane).map(|lane| &lane.numbers);
        let before = waiting.into_iter().flatten().take_while(|other| **other < number);
        before.filter_map(|other| self.jobs.get(other)).any(|job| job.key == newer.key)
    }

    fn is_lane_failing(&self, lane: &str) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.is_failing)
    }

    /// The lanes that have work and nobody at it, who is now expected to come.
    pub(super) fn idle_lanes(&mut self) -> Vec<String> {
        let idle = self.lanes.iter_mut().filter(|(_, lane)| !lane.is_running && !lane.numbers.is_empty());
        idle.map(|(name, lane)| {
            lane.is_running = true;
            name.clone()
        })
        .collect()
    }

    /// The oldest object of a lane that may be stored now, which then is in flight: media at any time, an index when
    /// everything before it is stored. None where nothing may; that ends the lane, until there is more, if it is empty.
    pub(super) fn next_job(&mut self, lane: &str) -> Option<NextJob> {
        if self.lanes.get(lane).is_none_or(|waiting| waiting.numbers.is_empty()) {
            let was_failing = self.is_failing();
            self.lanes.remove(lane);
            if was_failing && !self.is_failing() {
                // All that could not be stored is lost: the next outage is another one.
                self.lost = 0;
            }
            return None;
        }
        let number = self.startable_number(lane)?;
        let job = self.jobs.get_mut(&number)?;
        job.is_in_flight = true;
        let key = job.key.clone();
        let content_type = job.content_type.clone();
        let body = job.body.clone();
        Some(NextJob { number, key, content_type, mode: job.mode, guard: job.guard.clone(), body })
    }

    /// Media does not wait for an index that its owner writes again and again; it waits for all others, such as the mark of
    /// an unfinished recording.
    fn startable_number(&self, lane: &str) -> Option<u64> {
        let waiting = &self.lanes.get(lane)?.numbers;
        let first = *waiting.front()?;
        for number in waiting.iter().copied() {
            let job = self.jobs.get(&number)?;
            if !job.is_in_flight && (job.mode == PutMode::New || number == first) {
                return Some(number);
            }
            if job.mode != PutMode::New && job.guard.is_none() {
                return None;
            }
        }
        None
    }

    /// The object in flight is in the store. Says how long it took.
    pub(super) fn finish_job(&mut self, number: u64, size: u64) -> (Duration, OutageChange) {
        let Some(job) = self.take_job(number) else { return (Duration::ZERO, OutageChange::None) };
        job.tell_receipts(Progress::Stored { size });
        (job.since.elapsed(), self.note_success(&job.lane))
    }

    /// The object in flight could not be stored, and has to wait.
    pub(super) fn retry_later(&mut self, number: u64) -> OutageChange {
        let is_first = !self.is_failing();
        let Some(job) = self.jobs.get_mut(&number) else { return OutageChange::None };
        job.is_in_flight = false;
        if let Some(lane) = self.lanes.get_mut(&job.lane) {
            lane.is_failing = true;
        }
        if is_first { OutageChange::Began } else { OutageChange::None }
    }

    /// An object can't be had any more, or there is no room for it.
    pub(super) fn lose_job(&mut self, number: u64) {
        if let Some(job) = self.take_job(number) {
            job.tell_receipts(Progress::Dropped);
            self.count_lost(job.mode);
        }
    }

    fn note_success(&mut self, lane: &str) -> OutageChange {
        let was_failing = self.is_failing();
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.is_failing = false;
        }
        if was_failing && !self.is_failing() {
            OutageChange::Ended { lost: std::mem::take(&mut self.lost) }
        } else {
            OutageChange::None
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.lanes.values().any(|lane| lane.is_failing)
    }

    fn count_lost(&mut self, mode: PutMode) {
        self.lost += 1;
        if mode == PutMode::New {
            metrics::counter!("headwater_recording_dropped_segments_total").increment(1);
        }
    }

    /// How many objects were lost in this outage.
    pub(super) fn lost_count(&self) -> u64 {
        self.lost
    }

    /// The oldest object that has to go to the disk now, and what its file says of it.
    pub(super) fn to_spool(&self, now: Instant) -> Option<(u64, Head, Bytes)> {
        self.bounds.spool?;
        let is_tight = self.memory > self.bounds.memory / 2;
        let is_due = |job: &Job| is_tight || self.is_closing || now >= self.spill_due(job, now);
        let mut waiting = self.jobs.iter().filter(|(_, job)| job.mode.outlives_its_process());
        let (number, job) = waiting.find(|(_, job)| job.in_memory().is_some() && is_due(job))?;
        let lane = job.lane.clone();
        let key = job.key.to_string();
        let content_type = job.content_type.clone();
        Some((*number, Head { lane, key, content_type, mode: job.mode }, job.in_memory()?.clone()))
    }

    /// When the next object has to go to the disk.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.bounds.spool?;
        let waiting =
            self.jobs.values().filter(|job| job.mode.outlives_its_process() && job.in_memory().is_some());
        waiting.map(|job| self.spill_due(job, now)).min()
    }

    /// An object has to go to the disk at once when those before it can't be stored.
    fn spill_due(&self, job: &Job, now: Instant) -> Instant {
        if self.is_lane_failing(&job.lane) { now } else { job.since + SPILL_AFTER }
    }

    /// The object is on the disk now.
    pub(super) fn mark_spooled(&mut self, number: u64, file_size: u64) {
        match self.jobs.get_mut(&number) {
            Some(job) => {
                self.memory -= job.size;
                self.spooled += file_size;
                job.body = Body::Disk { file_size };
                job.tell_receipts(Progress::Spooled);
            }
            // Stored meanwhile, or lost.
            None => self.garbage.push(number),
        }
    }

    /// Loses what is oldest on the disk until a file of this size has room. Whether it has.
    pub(super) fn make_spool_room(&mut self, file_size: u64) -> bool {
        while self.spooled + file_size > self.spool_bound() {
            let Some(oldest) = self.oldest_number(|job| job.in_memory().is_none()) else { return false };
            self.lose_job(oldest);
        }
        true
    }

    fn spool_bound(&self) -> u64 {
        let bound = self.bounds.spool.unwrap_or_default();
        bound.min(self.full_at.unwrap_or(bound))
    }

    /// The disk had no room for an object.
    pub(super) fn disk_is_full(&mut self) -> Full {
        match (self.spooled, self.full_at.is_some()) {
            (0, _) => Full::OfOthers,
            (spooled, is_known) => {
                self.full_at = Some(spooled);
                Full::OfOurs { is_news: !is_known }
            }
        }
    }

    /// The oldest segment, or else the oldest index, that is not in flight: an index is small, and says which segments
    /// are there.
    fn oldest_number(&self, wanted: impl Fn(&Job) -> bool) -> Option<u64> {
        let mut waiting = self.jobs.iter().filter(|(_, job)| !job.is_in_flight && wanted(job));
        let first = waiting.next()?;
        let mut all = std::iter::once(first).chain(waiting);
        Some(*all.find(|(_, job)| job.mode == PutMode::New).unwrap_or(first).0)
    }

    /// Removes an object from everywhere.
    fn take_job(&mut self, number: u64) -> Option<Job> {
        let job = self.jobs.remove(&number)?;
        match job.body {
            Body::Memory(_) => self.memory -= job.size,
            Body::Disk { file_size } => {
                self.spooled -= file_size;
                self.full_at = self.full_at.filter(|_| self.spooled > 0);
                self.garbage.push(number);
            }
        }
        if self.by_key.get(&job.key) == Some(&number) {
            self.by_key.remove(&job.key);
        }
        if let Some(lane) = self.lanes.get_mut(&job.lane) {
            lane.numbers.retain(|other| *other != number);
        }
        Some(job)
    }

    /// Number and body of an object that is not stored yet.
    pub(super) fn find_key(&self, key: &Key) -> Option<(u64, Body)> {
        let number = *self.by_key.get(key)?;
        Some((number, self.jobs.get(&number)?.body.clone()))
    }

    pub(super) fn take_garbage(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.garbage)
    }

    /// From now on everything goes to the disk.
    pub(super) fn close_queue(&mut self) {
        self.is_closing = true;
    }

    /// How many objects are in memory only, of those that should not be lost with the process.
    pub(super) fn unsafe_ones(&self) -> usize {
        let waiting = self.jobs.values().filter(|job| job.mode.outlives_its_process());
        waiting.filter(|job| job.in_memory().is_some()).count()
    }

    /// Forgets all objects, as nobody stores any more. Files on the disk stay there.
    pub(super) fn abandon_jobs(&mut self) {
        self.jobs.clear();
        self.lanes.clear();
        self.by_key.clear();
        (self.memory, self.spooled) = (0, 0);
    }

    /// Whether a lane has any object.
    pub(super) fn is_waiting(&self, lane: &str) -> bool {
        self.lanes.get(lane).is_some_and(|lane| !lane.numbers.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Bytes on the disk.
    pub(super) fn spooled_bytes(&self) -> u64 {
        self.spooled
    }
}
