//! Reads an entry of an event log back from its exact bytes.
//!
//! Only bytes that [`Event::to_bytes`] writes are an entry: what is read is written again and compared, so that no two
//! texts mean the same event and nothing in an entry goes unread.

use super::digest::Sha256;
use super::event::{Event, Fact, Log, Owned};
use super::id::Id;
use super::name::{NamespaceName, PackageName};
use super::time::Timestamp;
use super::version::VersionNumber;

/// What every entry begins with.
const OPENING: &str = "{\"v\":1";

/// The event that an entry of `log` holds; `None` for bytes that this program would not have written.
pub fn read_entry(log: Log, entry: &[u8]) -> Option<Event> {
    let fields = Fields::read(std::str::from_utf8(entry).ok()?)?;
    let event = Event { log, time: Timestamp::parse(fields.text("time")?)?, fact: fields.fact()? };
    (event.to_bytes() == entry).then_some(event)
}

/// Keys and values in their order; values are texts without escapes, or digits.
struct Fields<'e>(Vec<(&'e str, &'e str)>);

impl<'e> Fields<'e> {
    fn read(entry: &'e str) -> Option<Self> {
        let mut rest = entry.strip_prefix(OPENING)?.strip_suffix('}')?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (key, after) = rest.strip_prefix(",\"")?.split_once("\":")?;
            let (value, after) = match after.strip_prefix('"') {
                Some(text) => text.split_once('"')?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            fields.push((key, value));
            rest = after;
        }
        Some(Self(fields))
    }

    fn text(&self, key: &str) -> Option<&'e str> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    fn package(&self) -> Option<PackageName> {
        PackageName::parse(self.text("package")?).ok()
    }

    fn version(&self) -> Option<VersionNumber> {
        VersionNumber::parse(self.text("version")?).ok()
    }

    fn digest(&self, key: &str) -> Option<Sha256> {
        Sha256::parse(self.text(key)?)
    }

    fn size(&self) -> Option<u64> {
        self.text("size")?.parse().ok()
    }

    fn owned(&self) -> Option<Owned> {
        match self.text("namespace") {
            Some(text) => NamespaceName::parse(text).ok().map(Owned::Namespace),
            None => self.package().map(Owned::Package),
        }
    }

    fn fact(&self) -> Option<Fact> {
        Some(match self.text("type")? {
            "log.opened" => Fact::LogOpened { history: Id::parse(self.text("history")?)? },
            "package.created" => Fact::PackageCreated { package: self.package()? },
            "package.updated" => {
                Fact::PackageUpdated { package: self.package()?, deprecated: self.digest("deprecated") }
            }
            "package.hidden" => Fact::PackageHidden { package: self.package()? },
            "package.purged" => Fact::PackagePurged { package: self.package()? },
            "version.published" => Fact::VersionPublished {
                package: self.package()?,
                version: self.version()?,
                sha256: self.digest("sha256")?,
                size: self.size()?,
                dependencies: self.digest("dependencies")?,
            },
            "version.yanked" => Fact::VersionYanked { package: self.package()?, version: self.version()? },
            "version.unyanked" => Fact::VersionUnyanked { package: self.package()?, version: self.version()? },
            "version.deprecated" => Fact::VersionDeprecated {
                package: self.package()?,
                version: self.version()?,
                message: self.digest("message"),
            },
            "version.purged" => Fact::VersionPurged {
                package: self.package()?,
                version: self.version()?,
                sha256: self.digest("sha256")?,
                size: self.size()?,
            },
            "owner.added" => Fact::OwnerAdded { of: self.owned()?, owner: Id::parse(self.text("owner")?)? },
            "owner.removed" => Fact::OwnerRemoved { of: self.owned()?, owner: Id::parse(self.text("owner")?)? },
            "namespace.created" => {
                Fact::NamespaceCreated { namespace: NamespaceName::parse(self.text("namespace")?).ok()? }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Vec<Fact> {
        let package = || PackageName::parse("gk/jwt").unwrap();
        let version = || VersionNumber::parse("1.0.0-rc.1+b").unwrap();
        let namespace = || NamespaceName::parse("gk").unwrap();
        let digest = Sha256::of(b"");
        let owned = [Owned::Package(package()), Owned::Namespace(namespace())];
        let mut facts = vec![
            Fact::LogOpened { history: Id(7) },
            Fact::PackageCreated { package: package() },
            Fact::PackageUpdated { package: package(), deprecated: None },
            Fact::PackageUpdated { package: package(), deprecated: Some(digest) },
            Fact::PackageHidden { package: package() },
            Fact::PackagePurged { package: package() },
            Fact::VersionPublished {
                package: package(),
                version: version(),
                sha256: digest,
                size: 7,
                dependencies: Sha256::of(b"a"),
            },
            Fact::VersionYanked { package: package(), version: version() },
            Fact::VersionUnyanked { package: package(), version: version() },
            Fact::VersionDeprecated { package: package(), version: version(), message: None },
            Fact::VersionDeprecated { package: package(), version: version(), message: Some(digest) },
            Fact::VersionPurged { package: package(), version: version(), sha256: digest, size: 0 },
            Fact::NamespaceCreated { namespace: namespace() },
        ];
        for of in owned {
            facts.push(Fact::OwnerAdded { of: of.clone(), owner: Id(1) });
            facts.push(Fact::OwnerRemoved { of, owner: Id(2) });
        }
        facts
    }

    #[test]
    fn every_entry_is_read_back_as_it_was_written() {
        for fact in facts() {
            let event = Event { log: Log::Internal, time: Timestamp(1_700_000_000_120), fact };
            let entry = event.to_bytes();
            assert_eq!(read_entry(Log::Internal, &entry), Some(event), "{}", String::from_utf8_lossy(&entry));
        }
    }

    #[test]
    fn an_entry_with_any_byte_changed_is_another_event_or_none() {
        for fact in facts() {
            let event = Event { log: Log::Public, time: Timestamp(0), fact };
            let entry = event.to_bytes();
            for at in 0..entry.len() {
                let mut changed = entry.clone();
                changed[at] ^= 1;
                let read = read_entry(Log::Public, &changed).map(|event| event.to_bytes());
                assert!(read.is_none_or(|read| read == changed), "byte {at}");
            }
            assert_eq!(read_entry(Log::Public, &entry[..entry.len() - 1]), None);
        }
    }
}
