//! What is done to a registry, one step after another.

use std::sync::Arc;

use bytes::Bytes;
use vix_registry::domain::name::PackageName;
use vix_registry::domain::package::Description;
use vix_registry::domain::refusal::Refusal;
use vix_registry::domain::version::VersionNumber;
use vix_registry::domain::yank::VersionPatch;
use vix_registry::services::ServiceError;
use vix_registry::services::publish::{ByteSource, PublishRequest};
use vix_registry::services::sweep::{Due, SweepError};
use vix_registry::services::yank::VersionTarget;
use vix_registry::storage::journal::retention::NOTES_KEPT_TICKS;
use vix_registry::storage::progress::Unwatched;

use super::{RETENTION, Registry};
use crate::told::told;

/// One step. Each is one change of the rows at the most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A version of a package, with one of a few artifacts: the same one again is stored once.
    Publish {
        package: &'static str,
        version: &'static str,
        artifact: u8,
    },
    Yank {
        package: &'static str,
        version: &'static str,
    },
    Purge {
        package: &'static str,
        version: &'static str,
    },
    /// A new log, and the snapshot of the state at its beginning.
    Rotate,
    /// The same, everything older gone at once, and a fresh index.
    Compact,
    /// What nothing has referred to for long enough goes.
    Sweep,
    /// So many seconds of running.
    Pass(u64),
    /// A clean stop, and a start.
    Restart,
}

const JSON: &str = "json";
const TEXT: &str = "text";

/// A life of a registry in which everything happens that touches the disk.
pub(crate) const LIFE: &[Step] = &[
    Step::Publish { package: JSON, version: "1.0.0", artifact: 1 },
    Step::Publish { package: JSON, version: "1.1.0", artifact: 1 },
    Step::Publish { package: TEXT, version: "1.0.0", artifact: 2 },
    Step::Yank { package: JSON, version: "1.0.0" },
    Step::Rotate,
    Step::Publish { package: TEXT, version: "1.1.0", artifact: 3 },
    Step::Purge { package: TEXT, version: "1.0.0" },
    Step::Pass(RETENTION + 2),
    Step::Rotate,
    Step::Sweep,
    Step::Publish { package: JSON, version: "1.2.0", artifact: 4 },
    Step::Restart,
    // Where a note stands instead of what was swept.
    Step::Publish { package: TEXT, version: "1.2.0", artifact: 2 },
    Step::Pass(RETENTION + 2),
    Step::Purge { package: JSON, version: "1.2.0" },
    Step::Rotate,
    Step::Pass(RETENTION + 2),
    Step::Yank { package: TEXT, version: "1.2.0" },
    Step::Restart,
    Step::Sweep,
    Step::Restart,
    Step::Publish { package: JSON, version: "2.0.0", artifact: 5 },
    Step::Pass(NOTES_KEPT_TICKS + RETENTION + 2),
    Step::Rotate,
    Step::Sweep,
    Step::Publish { package: JSON, version: "2.1.0", artifact: 1 },
    Step::Purge { package: JSON, version: "2.0.0" },
    Step::Compact,
    Step::Publish { package: JSON, version: "2.2.0", artifact: 6 },
];

/// The bytes of an artifact: more than a sector.
pub(crate) fn artifact(number: u8) -> Vec<u8> {
    (0..1500 + usize::from(number)).map(|at| u8::try_from(at % 251).expect("small") ^ number).collect()
}

struct Body(Option<Bytes>);

impl ByteSource for Body {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        Ok(self.0.take())
    }
}

fn package(name: &str) -> PackageName {
    PackageName::parse(name).expect("a name")
}

fn number(text: &str) -> VersionNumber {
    VersionNumber::parse(text).expect("a version")
}

/// A publish that makes its package.
pub(crate) fn request(name: &str, version: &str) -> PublishRequest {
    PublishRequest {
        package: package(name),
        version: number(version),
        filename: None,
        about: Description::default(),
        dependencies: None,
        manifest: None,
        readme: None,
        create: true,
        visibility: None,
        dry_run: false,
        sha256: None,
        size: None,
        must_be_new: false,
    }
}

impl Registry {
    pub(crate) async fn publish(&self, name: &str, version: &str, number: u8) -> Result<(), ServiceError> {
        let mut body = Body(Some(artifact(number).into()));
        self.services.publish.publish(&self.context(), request(name, version), &mut body).await.map(|_| ())
    }

    /// Does a step; a restart gives another registry.
    pub(crate) fn step(self, step: Step) -> Result<Self, String> {
        if step == Step::Restart {
            let (disk, checkpoints) = (Arc::clone(&self.disk), self.checkpoints);
            drop(self);
            disk.restart();
            return Self::open(&disk, checkpoints);
        }
        self.act(step).map_err(|error| told(&format!("{step:?}"), &error))?;
        Ok(self)
    }

    /// Does a step that is no restart.
    pub(crate) fn act(&self, step: Step) -> Result<(), ServiceError> {
        let target =
            |name, version| VersionTarget { package: package(name), number: number(version), precondition: None };
        match step {
            Step::Publish { package, version, artifact } => self.run(self.publish(package, version, artifact)),
            Step::Yank { package, version } => {
                let patch = VersionPatch { yanked: Some(true), ..VersionPatch::default() };
                let (context, target) = (self.context(), target(package, version));
                self.run(self.services.yanks.patch(&context, &target, patch)).map(drop)
            }
            Step::Purge { package, version } => {
                let (context, target) = (self.context(), target(package, version));
                self.run(self.services.yanks.purge(&context, &target, None)).map(drop)
            }
            Step::Sweep => match self.run(self.services.sweep.sweep(Due::Retention, &Unwatched)) {
                Ok(_) => Ok(()),
                Err(SweepError::Failed(error)) => Err(error),
                Err(SweepError::Cancelled(_)) => panic!("nobody cancels it"),
            },
            Step::Rotate => Ok(self.run(self.stores.metadata.rotate_now()).map(drop)?),
            Step::Compact => Ok(self.run(self.stores.metadata.compact_history_now()).map(drop)?),
            Step::Pass(seconds) => {
                self.disk.pass(seconds);
                Ok(())
            }
            Step::Restart => panic!("a restart takes the registry"),
        }
    }
}
