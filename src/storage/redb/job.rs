//! A decision on its way through the writer, and what it becomes when it can't be carried out.

use tokio::sync::oneshot;

use super::apply;
use super::staging::Staging;
use crate::storage::view::View;
use crate::storage::{ChangeError, Decided, Moment, StoreError};

/// A decision that waits for its turn.
pub(super) trait Job: Send {
    /// Decides and stages. An error is storage's: the whole batch is given up. A refusal is no error here.
    fn stage(&mut self, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError>;

    /// Whether there is to be a frame even if nothing was staged.
    fn is_change(&self) -> bool {
        false
    }

    /// Hands over what was decided, now that it is durable.
    fn answer(self: Box<Self>);

    /// Hands over why nothing was done.
    fn fail(self: Box<Self>, error: StoreError);
}

/// A decision with the type of its answer.
pub(super) struct Pending<R, F> {
    pub(super) decide: F,
    pub(super) decided: Option<Result<R, ChangeError>>,
    pub(super) reply: oneshot::Sender<Result<R, ChangeError>>,
}

impl<R, F> Job for Pending<R, F>
where
    R: Send,
    F: Fn(&View<'_>, Moment) -> Result<Decided<R>, ChangeError> + Send,
{
    fn stage(&mut self, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError> {
        match (self.decide)(&View::new(staging), moment) {
            Ok(Decided { changes, answer }) => {
                for change in &changes {
                    apply::apply(change, staging, moment)?;
                }
                self.decided = Some(Ok(answer));
            }
            Err(ChangeError::Store(error)) => return Err(error),
            Err(refused @ ChangeError::Refused(_)) => self.decided = Some(Err(refused)),
        }
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let decided = self.decided.unwrap_or(Err(ChangeError::Store(StoreError::Closed)));
        if self.reply.send(decided).is_err() {
            tracing::debug!("a change was done whose caller no longer waits");
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        if self.reply.send(Err(ChangeError::Store(error))).is_err() {
            tracing::debug!("a change failed whose caller no longer waits");
        }
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
