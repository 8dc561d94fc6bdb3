//! Recordings: the objects of a broadcast in the store, their names, and how they get there and away again.

mod delete;
mod dvr;
mod expiry;
mod finish;
mod fold;
mod journal;
mod layout;
mod list;
mod pages;
mod pulse;
mod recover;
mod resume;
mod samples;
mod settings;
mod summary;
pub mod uploads;

pub use delete::{DeleteError, delete};
pub use dvr::clear;
pub use expiry::expire;
pub use finish::{Finished, Finisher, finish, refresh};
pub use journal::{JournalWriter, Recording};
pub use layout::{Layout, UNFINISHED_FOLDER};
pub use list::{describe, is_live, list, unfinished};
pub use pulse::{Pulse, SILENT_OWNER_GRACE, mark_text};
pub use resume::{Abandoned, Doubt, names_successor};
pub use samples::{Samples, segments_there};
pub use settings::upload_settings;
pub use summary::{RenditionSummary, State, Summary};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
