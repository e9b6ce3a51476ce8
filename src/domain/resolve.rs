//! Which version of one package is meant: the best match of a requirement, and the alias `latest`.
//!
//! Closures over several packages are in [`super::closure`].

use super::requirement::{Prereleases, Requirement};
use super::version::VersionNumber;

/// One version that could be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its number.
    pub version: &'a VersionNumber,
    /// Whether its publisher advised against it.
    pub yanked: bool,
}

/// What a query lets through beside releases that are not yanked.
#[derive(Clone, Copy, Debug)]
pub struct ResolveOptions {
    /// Which prereleases match.
    pub prereleases: Prereleases,
    /// Whether yanked versions match.
    pub include_yanked: bool,
}

/// The highest version that matches, whatever the order they come in.
pub fn decide_resolve<'a>(
    versions: impl Iterator<Item = Candidate<'a>>,
    req: &Requirement,
    options: ResolveOptions,
) -> Option<&'a VersionNumber> {
    versions
        .filter(|candidate| options.include_yanked || !candidate.yanked)
        .map(|candidate| candidate.version)
        .filter(|version| req.matches(version, options.prereleases))
        .max()
}

/// What `latest` stands for: the highest release that is not yanked, else the highest such prerelease.
pub fn decide_latest<'a>(versions: impl Iterator<Item = Candidate<'a>>) -> Option<&'a VersionNumber> {
    versions
        .filter(|candidate| !candidate.yanked)
        .map(|candidate| candidate.version)
        .max_by_key(|&version| (!version.is_prerelease(), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions with blanks between them; a `!` before one says that it is yanked.
    fn check(versions: &str, choose: impl Fn(Vec<Candidate<'_>>) -> Option<String>, expected: Option<&str>) {
        let parse = |text: &str| (VersionNumber::parse(text.trim_start_matches('!')).unwrap(), text.starts_with('!'));
        let owned: Vec<_> = versions.split_whitespace().map(parse).collect();
        let candidates = || owned.iter().map(|(version, yanked)| Candidate { version, yanked: *yanked });
        assert_eq!(choose(candidates().collect()).as_deref(), expected, "{versions}");
        assert_eq!(choose(candidates().rev().collect()).as_deref(), expected, "{versions} reversed");
    }

    fn check_resolve(
        versions: &str,
        req: &str,
        prereleases: Prereleases,
        include_yanked: bool,
        expected: Option<&str>,
    ) {
        let req = Requirement::parse(req).unwrap();
        let options = ResolveOptions { prereleases, include_yanked };
        let choose =
            |list: Vec<Candidate<'_>>| decide_resolve(list.into_iter(), &req, options).map(ToString::to_string);
        check(versions, choose, expected);
    }

    #[test]
    fn the_highest_match_wins() {
        let versions = "1.9.0 1.10.0+b !1.11.0 1.12.0-rc.1 2.0.0-rc.1 2.0.0";
        check_resolve(versions, "^1", Prereleases::OnlyNamed, false, Some("1.10.0+b"));
        check_resolve(versions, "^1", Prereleases::OnlyNamed, true, Some("1.11.0"));
        check_resolve(versions, "^1", Prereleases::Allowed, false, Some("1.12.0-rc.1"));
        check_resolve(versions, "", Prereleases::OnlyNamed, false, Some("2.0.0"));
        check_resolve(versions, "^3", Prereleases::Allowed, true, None);
        check_resolve("", "*", Prereleases::Allowed, true, None);
    }

    #[test]
    fn latest_prefers_releases_and_never_takes_a_yanked_version() {
        let latest = |list: Vec<Candidate<'_>>| decide_latest(list.into_iter()).map(ToString::to_string);
        check("1.0.0 1.2.0 2.0.0-rc.1 !1.3.0", latest, Some("1.2.0"));
        check("!1.0.0 2.0.0-rc.1 2.0.0-rc.2 !2.0.0-rc.3", latest, Some("2.0.0-rc.2"));
        check("!1.0.0 !2.0.0-rc.1", latest, None);
        check("", latest, None);
    }
}
