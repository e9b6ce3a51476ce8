//! What the first frame of a history begins with: its id, and the entries that open its logs or the place where it left
//! its parent.

use super::apply::apply;
use super::job::Job;
use super::staging::Staging;
use crate::domain::change::{Change, Setting};
use crate::domain::event::{Event, Fact, Log};
use crate::domain::id::Id;
use crate::storage::rows::{HistoryRow, Parent};
use crate::storage::view::View;
use crate::storage::{Moment, StoreError, chain};

/// A history of which there is no frame yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Preface {
    /// It begins with nothing.
    New {
        /// Its id.
        history: Id,
    },
    /// It goes on from a copy.
    Fork {
        /// Its id.
        history: Id,
        /// The number of the last frame that it has in common with its parent.
        frame: u64,
    },
}

impl Preface {
    /// Puts what the history begins with. Comes before everything else in the frame.
    pub(super) fn stage(self, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError> {
        let row = |row: HistoryRow| Change::PutSetting { key: Setting::History, value: Some(row.to_bytes()) };
        match self {
            Self::New { history } => {
                let opened = |log| Change::Event(Event { log, time: moment.now, fact: Fact::LogOpened { history } });
                for change in
                    [row(HistoryRow { id: history, parent: None }), opened(Log::Public), opened(Log::Internal)]
                {
                    apply(&change, staging, moment)?;
                }
                Ok(())
            }
            Self::Fork { history, frame } => {
                let view = View::new(staging);
                let last = |log| view.log_size(log).map(|size| size.saturating_sub(1));
                let (public, internal) = (last(Log::Public)?, last(Log::Internal)?);
                let parent = Parent { id: view.history()?.id, frame, public, internal };
                apply(&row(HistoryRow { id: history, parent: Some(parent) }), staging, moment)
            }
        }
    }
}

/// Has the preface written although nobody asked for a change.
pub(super) struct Begin(pub(super) Preface);

impl Job for Begin {
    fn stage(&mut self, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError> {
        self.0.stage(staging, moment)
    }

    fn answer(self: Box<Self>) {}

    /// The next change tries again.
    fn fail(self: Box<Self>, error: StoreError) {
        tracing::error!(error = %chain(&error), "a history could not be begun");
    }
}
