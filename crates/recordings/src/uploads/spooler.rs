//! Writes to the disk what waits too long, and removes from it what is done.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use headwater_runtime::outage::Outage;
use tokio::time::{Instant, sleep, sleep_until};

use super::queue::Full;
use super::spool::{Disk, head_line};
use super::worker::{Inner, run_blocking};

/// After a disk could not be written to.
const DISK_PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// Until it is told to stop.
    pub(super) async fn keep_spooling(&self) {
        let Some(disk) = self.disk.clone() else { return };
        let mut outage = Outage::default();
        while !self.stop.is_cancelled() {
            self.clear_away().await;
            if self.spool_one(&disk, &mut outage).await {
                continue;
            }
            let due = self.lock_queue().next_due(Instant::now());
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.clear_away().await;
    }

    /// Whether there may be more to do.
    async fn spool_one(&self, disk: &Arc<dyn Disk>, outage: &mut Outage) -> bool {
        let turn = self.writing.lock().await;
        let Some((number, head, body)) = self.lock_queue().to_spool(Instant::now()) else { return false };
        let line = head_line(&head);
        let file_size = (line.len() + body.len()) as u64;
        let has_room = self.with_losses(|queue| {
            let has_room = queue.make_spool_room(file_size);
            if !has_room {
                queue.lose_job(number);
            }
            has_room
        });
        self.clear_away().await;
        if !has_room {
            return true;
        }
        let writing = disk.clone();
        let written = run_blocking(move || writing.write_file(number, &[&line, &body])).await;
        if written.is_ok() {
            self.lock_queue().mark_spooled(number, file_size);
        }
        drop(turn);
        match written {
            Ok(()) => {
                if outage.ends() {
                    tracing::info!("the spool can be written to again");
                }
                self.publish_gauges();
            }
            Err(error) => self.not_spooled(error, outage).await,
        }
        true
    }

    /// Notes a file that was not written; a full disk is like a full spool. The object stays in memory, as long as there is room.
    async fn not_spooled(&self, error: io::Error, outage: &mut Outage) {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let full = if is_full { self.lock_queue().disk_is_full() } else { Full::OfOthers };
        if let Full::OfOurs { is_news } = full {
            if is_news {
                tracing::error!(%error, "the disk of the spool is full: the oldest segments make room for newer ones");
            }
            return;
        }
        if outage.begins() {
            tracing::error!(%error, "the spool can't be written to: make room, or set another recording.spool");
        }
        tokio::select! {
            () = sleep(DISK_PAUSE) => {}
            () = self.stop.cancelled() => {}
        }
    }

    pub(super) async fn clear_away(&self) {
        let garbage = self.lock_queue().take_garbage();
        let Some(disk) = self.disk.clone().filter(|_| !garbage.is_empty()) else { return };
        let removed =
            run_blocking(move || garbage.into_iter().try_for_each(|number| disk.remove_file(number))).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "a file of the spool can't be removed");
        }
    }

    /// Waits until nothing is left that only this process has.
    pub(super) async fn all_spooled(&self) {
        while self.disk.is_some() && self.lock_queue().to_spool(Instant::now()).is_some() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}
