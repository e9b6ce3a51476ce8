//! The event logs: no gaps, a leaf hash for each entry, and *state == fold(log)*.

use super::RowCheck;
use crate::domain::digest::Blake3;
use crate::domain::entry::read_entry;
use crate::domain::event::{Log, leaf_hash};
use crate::domain::fold::{Fold, PackageState, owners};
use crate::domain::name::NamespaceName;
use crate::domain::package::{MemberOf, Package};
use crate::storage::keys;
use crate::storage::rows::Row as _;
use crate::storage::scrub::ScrubError;
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange};

/// About how many entries are folded at a time: the fold keeps about 200 bytes of each published version.
const FOLDED_ENTRIES_MAX: u64 = 250_000;

impl RowCheck<'_> {
    /// Serials count from 0 without gaps, entries read, and each has its leaf.
    pub(super) fn log(&self) -> Result<(), ScrubError> {
        let mut entries = 0;
        for log in Log::ALL {
            let mut next = 0;
            let range = KeyRange::prefix(&[keys::log_byte(log)], Direction::Up);
            entries += self.within(Table::Events, range, |key, entry| {
                if key != keys::event(log, next) {
                    self.wrong(Table::Events, key, &format!("the {} log has a gap before this entry", log.as_str()));
                }
                next = serial(key).unwrap_or(next).saturating_add(1);
                let leaf = self.rows.get(Table::Leaves, key)?;
                if leaf.is_none_or(|leaf| leaf != leaf_hash(entry).0) {
                    self.wrong(Table::Events, key, "its leaf hash is another one");
                }
                Ok(())
            })?;
        }
        let all = self.each(Table::Events, |_, _| Ok(()))?;
        let leaves = self.each(Table::Leaves, |_, _| Ok(()))?;
        if all != entries || leaves != entries {
            self.finding(format!("there are {entries} entries in two logs, {all} events and {leaves} leaf hashes"));
        }
        Ok(())
    }

    /// Folds the logs and compares with the rows, a share of the names at a time, so that memory stays bounded.
    pub(super) fn fold(&self) -> Result<(), ScrubError> {
        let mut entries = 0;
        for log in Log::ALL {
            entries += self.look(|view| view.log_size(log).map(Some))?.unwrap_or(0);
        }
        let shares = entries.div_ceil(FOLDED_ENTRIES_MAX).max(1);
        (0..shares).try_for_each(|share| self.fold_share(Share { share, of: shares }))
    }

    fn fold_share(&self, share: Share) -> Result<(), ScrubError> {
        let mut fold = Fold::default();
        for log in Log::ALL {
            let range = KeyRange::prefix(&[keys::log_byte(log)], Direction::Up);
            self.within(Table::Events, range, |key, entry| {
                if !share.has(subject(entry)) {
                    return Ok(());
                }
                match read_entry(log, entry).map(|event| fold.take(&event)) {
                    None => self.wrong(Table::Events, key, "is no entry"),
                    Some(Err(contradiction)) => self.wrong(Table::Events, key, &contradiction.what),
                    Some(Ok(())) => {}
                }
                Ok(())
            })?;
        }
        self.folded_packages(&fold, share)?;
        self.folded_namespaces(&fold, share)
    }

    fn folded_packages(&self, fold: &Fold, share: Share) -> Result<(), ScrubError> {
        let mut seen = 0_usize;
        self.each(Table::Packages, |key, value| {
            // A row that does not decode was told before.
            let package = Package::from_row(Table::Packages, value).ok().filter(|_| share.has(key));
            let Some(package) = package else { return Ok(()) };
            let difference = match fold.package(&package.name) {
                Err(contradiction) => Some(contradiction.what),
                Ok(None) if package.purged_at.is_some() => None,
                Ok(None) => Some("the log does not know it".to_owned()),
                Ok(Some(_)) if package.purged_at.is_some() => Some("it was purged, but lives in the log".to_owned()),
                Ok(Some((log, _))) if log != Log::of(package.visibility) => {
                    Some("it lives in the other log".to_owned())
                }
                Ok(Some((_, state))) => state.difference(&self.stored(&package)?),
            };
            seen += usize::from(package.purged_at.is_none());
            if let Some(what) = difference {
                self.wrong(Table::Packages, key, &format!("differs from the event log: {what}"));
            }
            Ok(())
        })?;
        if fold.packages().count() != seen {
            for name in fold.packages() {
                if self.look(|view| view.package(name))?.is_none() {
                    self.finding(format!("the log has the package `{name}`, and there is no row for it"));
                }
            }
        }
        Ok(())
    }

    fn stored(&self, package: &Package) -> Result<PackageState, ScrubError> {
        let of = MemberOf::Package(package.name.clone());
        let members = self.look(|view| view.members(&of).map(Some))?.unwrap_or_default();
        let mut state = PackageState::of(package, &members);
        self.contents(&package.name, |version, dependencies| state.add_version(version, dependencies))?;
        Ok(state)
    }

    fn folded_namespaces(&self, fold: &Fold, share: Share) -> Result<(), ScrubError> {
        self.each(Table::Namespaces, |key, _| {
            let name = std::str::from_utf8(key).ok().and_then(|text| NamespaceName::parse(text).ok());
            let Some(name) = name.filter(|_| share.has(key)) else { return Ok(()) };
            let of = MemberOf::Namespace(name.clone());
            let members = self.look(|view| view.members(&of).map(Some))?.unwrap_or_default();
            match fold.namespace(&name) {
                None => self.wrong(Table::Namespaces, key, "the event log does not know it"),
                Some(folded) if *folded != owners(&members) => {
                    self.wrong(Table::Namespaces, key, "its owners differ from the event log");
                }
                Some(_) => {}
            }
            Ok(())
        })?;
        for name in fold.owned_namespaces() {
            if self.look(|view| view.namespace(name))?.is_none() {
                self.finding(format!("the log has owners of the namespace `{name}`, and there is no row for it"));
            }
        }
        Ok(())
    }
}

/// A share of all names, by their hash.
#[derive(Clone, Copy)]
struct Share {
    share: u64,
    of: u64,
}

impl Share {
    fn has(self, name: &[u8]) -> bool {
        let [first, second, third, fourth, ..] = Blake3::of(name).0;
        u64::from(u32::from_le_bytes([first, second, third, fourth])) % self.of == self.share
    }
}

/// The name that an entry is about: its package, else its namespace, else nothing.
fn subject(entry: &[u8]) -> &[u8] {
    let named = |key: &[u8]| {
        let at = entry.windows(key.len()).position(|window| window == key)?;
        entry.get(at + key.len()..)?.split(|byte| *byte == b'"').next()
    };
    named(b",\"package\":\"").or_else(|| named(b",\"namespace\":\"")).unwrap_or_default()
}

fn serial(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}
