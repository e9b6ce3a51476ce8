//! The registry as a few maps, and how it is compared with a real one.

use std::collections::BTreeMap;

use semver::{Version, VersionReq};
use serde_json::Value;

use crate::support::client::encode;
use crate::support::{Persona, Server};

pub(crate) const PACKAGES: [&str; 3] = ["gk/a", "gk/b", "gk/c"];
pub(crate) const VERSIONS: [&str; 11] = [
    "0.9.0",
    "1.0.0-rc.1",
    "1.0.0-rc.2",
    "1.0.0",
    "1.0.0+b",
    "1.2.0+a",
    "1.2.0",
    "1.10.0",
    "2.0.0-beta",
    "2.0.0",
    "10.0.0",
];
/// Requirements that mean the same to cargo.
const REQUIREMENTS: [(&str, &str); 6] = [
    ("*", "*"),
    ("^1", "^1"),
    ("^1.0.0-rc.1", "^1.0.0-rc.1"),
    ("~1.2", "~1.2"),
    (">=1.0.0 <2.0.0", ">=1.0.0, <2.0.0"),
    ("1.0.0", "=1.0.0"),
];

/// How something is published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publish {
    pub(crate) content: usize,
    pub(crate) create: bool,
    pub(crate) dry_run: bool,
}

#[derive(Default)]
pub(crate) struct Model(BTreeMap<&'static str, Package>);

struct Package {
    public: bool,
    /// By number without build metadata, which takes no part in identity.
    versions: BTreeMap<Version, Release>,
}

struct Release {
    text: &'static str,
    content: usize,
    yanked: bool,
    purged: bool,
}

/// The artifact of a version; there are two to choose from, of one size.
pub(crate) fn bytes(package: &str, version: &str, content: usize) -> Vec<u8> {
    format!("{package} {} {content}", version.split('+').next().unwrap_or(version)).into_bytes()
}

fn number(text: &str) -> Version {
    let mut version: Version = text.parse().expect("SemVer");
    version.build = semver::BuildMetadata::EMPTY;
    version
}

const NO_PACKAGE: (u16, &str) = (404, "package_not_found");
const NO_VERSION: (u16, &str) = (404, "version_not_found");

impl Model {
    pub(crate) fn publish(
        &mut self,
        package: &'static str,
        version: &'static str,
        how: Publish,
    ) -> (u16, &'static str) {
        let Publish { content, create, dry_run } = how;
        let known = self.0.get(package).and_then(|package| package.versions.get(&number(version)));
        match known {
            None if !create && !self.0.contains_key(package) => return NO_PACKAGE,
            Some(release) if release.purged => return (409, "version_purged"),
            Some(release) if release.text == version && release.content == content => return (200, ""),
            Some(_) => return (409, "version_exists"),
            None if dry_run => return (200, ""),
            None => {}
        }
        let package = self.0.entry(package).or_insert(Package { public: true, versions: BTreeMap::new() });
        package.versions.insert(number(version), Release { text: version, content, yanked: false, purged: false });
        (201, "")
    }

    /// The release that a path names: by its full text, or without build metadata.
    fn release(&mut self, package: &str, version: &str) -> Result<&mut Release, (u16, &'static str)> {
        let package = self.0.get_mut(package).ok_or(NO_PACKAGE)?;
        let release = package.versions.get_mut(&number(version));
        release.filter(|release| release.text == version || !version.contains('+')).ok_or(NO_VERSION)
    }

    pub(crate) fn yank(&mut self, package: &str, version: &str, yanked: bool) -> (u16, &'static str) {
        match self.release(package, version) {
            Err(refused) => refused,
            Ok(release) if release.purged => (410, "purged"),
            Ok(release) => {
                release.yanked = yanked;
                (200, "")
            }
        }
    }

    pub(crate) fn purge(&mut self, package: &str, version: &str) -> (u16, &'static str) {
        match self.release(package, version) {
            Err(refused) => refused,
            Ok(release) if release.purged => (410, "purged"),
            Ok(release) => {
                release.purged = true;
                (200, "")
            }
        }
    }

    pub(crate) fn show(&mut self, package: &str, public: bool) -> (u16, &'static str) {
        let Some(package) = self.0.get_mut(package) else { return NO_PACKAGE };
        package.public = public;
        (200, "")
    }

    /// Compares everything that can be read.
    pub(crate) fn check(&self, server: &Server, when: &str) {
        for name in PACKAGES {
            match self.0.get(name) {
                None => drop(
                    server
                        .get(&format!("/v1/packages/{name}"), &Persona::Owner.token())
                        .refused(404, "package_not_found"),
                ),
                Some(package) => package.check(server, name, when),
            }
        }
        let listed = server.pages("/v1/packages", "");
        let listed: Vec<&str> = listed.iter().filter_map(|row| row["name"].as_str()).collect();
        let public: Vec<&str> = self.0.iter().filter(|(_, package)| package.public).map(|(name, _)| *name).collect();
        assert_eq!(listed, public, "{when}");
        assert_eq!(folded(server), self.resolvable(), "{when}: the public log folds to what is public");
    }

    /// What is public: each package's versions, with whether they are yanked.
    fn resolvable(&self) -> BTreeMap<String, BTreeMap<String, bool>> {
        let public = self.0.iter().filter(|(_, package)| package.public);
        let versions = |package: &Package| {
            let live = package.versions.values().filter(|release| !release.purged);
            live.map(|release| (release.text.to_owned(), release.yanked)).collect()
        };
        public.map(|(name, package)| ((*name).to_owned(), versions(package))).collect()
    }
}

impl Package {
    fn check(&self, server: &Server, name: &str, when: &str) {
        let owner = Persona::Owner.token();
        let path = format!("/v1/packages/{name}");
        let stranger = server.get(&format!("{path}/versions"), "");
        assert_eq!(stranger.status, if self.public { 200 } else { 404 }, "{when}: {name} {}", stranger.text());
        let live = || self.versions.iter().rev().filter(|(_, release)| !release.purged);
        for (query, with_yanked) in [("include_yanked=true", true), ("include_yanked=false", false)] {
            let listed = server.pages(&format!("{path}/versions?{query}&limit=3"), &owner);
            let listed: Vec<&str> = listed.iter().filter_map(|row| row["version"].as_str()).collect();
            let expected: Vec<&str> =
                live().filter(|(_, release)| with_yanked || !release.yanked).map(|(_, release)| release.text).collect();
            assert_eq!(listed, expected, "{when}: {name} {query}");
        }
        for (number, release) in &self.versions {
            let one = format!("{path}/versions/{number}");
            if release.purged {
                server.get(&one, &owner).refused(410, "purged");
                server.get(&format!("{one}/artifact"), &owner).refused(410, "purged");
                continue;
            }
            let data = server.get(&one, &owner).expect(200).data();
            assert_eq!(
                (data["version"].as_str(), data["yanked"].as_bool()),
                (Some(release.text), Some(release.yanked)),
                "{when}"
            );
            let fetched = server.get(&format!("{one}/artifact"), &owner).expect(200);
            assert!(fetched.body == bytes(name, release.text, release.content), "{when}: the bytes of {name} {number}");
        }
        let offered = || live().filter(|(_, release)| !release.yanked);
        let latest = offered().find(|(number, _)| number.pre.is_empty()).or_else(|| offered().next());
        let told = server.get(&path, &owner).expect(200).data();
        assert_eq!(told["latest"].as_str(), latest.map(|(_, release)| release.text), "{when}: {name}");
        assert_eq!(told["version_count"].as_u64(), Some(live().count() as u64), "{when}: {name}");
        for (requirement, for_cargo) in REQUIREMENTS {
            let req = VersionReq::parse(for_cargo).expect("a requirement");
            let best = offered().find(|(number, _)| req.matches(number)).map(|(_, release)| release.text);
            let answer = server.get(&format!("{path}/resolve?req={}", encode(requirement)), &owner);
            let found = (answer.status == 200).then(|| answer.data());
            let found = found.as_ref().and_then(|data| data["version"].as_str());
            assert_eq!(found, best, "{when}: {name} {requirement} {}", answer.text());
        }
    }
}

/// Plays the public log from its beginning.
fn folded(server: &Server) -> BTreeMap<String, BTreeMap<String, bool>> {
    let mut state: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = server.get(&format!("/v1/changes?after={after}&limit=1000"), "").expect(200).json();
        let last = page["meta"]["last"].as_u64().expect("a serial");
        for change in page["data"].as_array().expect("a list") {
            play(&mut state, change);
        }
        if last == after {
            return state;
        }
        after = last;
    }
}

fn play(state: &mut BTreeMap<String, BTreeMap<String, bool>>, change: &Value) {
    let text = |member: &str| change[member].as_str().unwrap_or("").to_owned();
    let (package, version) = (text("package"), text("version"));
    match text("type").as_str() {
        "package.created" => drop(state.entry(package).or_default()),
        "package.hidden" | "package.purged" => drop(state.remove(&package)),
        "version.published" | "version.unyanked" => drop(state.entry(package).or_default().insert(version, false)),
        "version.yanked" => drop(state.entry(package).or_default().insert(version, true)),
        "version.purged" => drop(state.entry(package).or_default().remove(&version)),
        _ => {}
    }
}
