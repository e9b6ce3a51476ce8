//! Closures of random registries, compared with trying every choice.

use super::tests::{Fake, registry, request};
use super::*;
use proptest::prelude::*;

/// Registries of five packages with up to three versions and up to two needs each.
fn small_registry() -> impl Strategy<Value = String> {
    let need = ("[a-e]", "\\*|\\^1|=?[123]|>=2|<=2").prop_map(|(package, req)| format!("gk/{package} {req}"));
    let version = ("[a-e]", "!?[123]", prop::collection::vec(need, 0..3))
        .prop_map(|(package, major, needs)| format!("gk/{package} {major}.0.0: {}\n", needs.join("; ")));
    prop::collection::vec(version, 0..15).prop_map(|lines| lines.concat())
}

/// Whether some choice fits, found by trying all of them.
fn fits(fake: &Fake, roots: &[(PackageName, Requirement)], chosen: &mut BTreeMap<PackageName, VersionNumber>) -> bool {
    let Some(((package, req), rest)) = roots.split_first() else { return true };
    if let Some(version) = chosen.get(package) {
        return req.matches(version, Prereleases::OnlyNamed) && fits(fake, rest, chosen);
    }
    for (version, needs) in fake.packages.get(package).into_iter().flatten() {
        if version.yanked || !req.matches(&version.number, Prereleases::OnlyNamed) {
            continue;
        }
        let mut chosen = chosen.clone();
        chosen.insert(package.clone(), version.number.clone());
        let needs = needs.iter().map(|need| (need.name.clone(), Requirement::parse(&need.req).unwrap()));
        if fits(fake, &rest.iter().cloned().chain(needs).collect::<Vec<_>>(), &mut chosen) {
            return true;
        }
    }
    false
}

/// Two lines for one version would contradict each other.
fn without_repeats(text: &str) -> Fake {
    let mut fake = registry(text);
    for versions in fake.packages.values_mut() {
        versions.sort_by(|a, b| a.0.number.cmp(&b.0.number));
        versions.dedup_by(|a, b| a.0.number == b.0.number);
    }
    fake
}

proptest! {
    #[test]
    fn a_closure_is_found_exactly_when_there_is_one(text in small_registry(), locked in "[123]") {
        let request = request("gk/a *; gk/b >=1", &format!("gk/c {locked}.0.0"));
        let mut fake = without_repeats(&text);
        let exists = fits(&fake, &request.roots, &mut BTreeMap::new());
        match decide_closure(&mut fake, &request) {
            Ok(closure) => {
                let chosen: BTreeMap<_, _> =
                    closure.packages.iter().map(|pinned| (&pinned.name, &pinned.version)).collect();
                for (package, req) in &request.roots {
                    prop_assert!(req.matches(chosen[package], Prereleases::OnlyNamed));
                }
                for pinned in &closure.packages {
                    let (version, needs) =
                        fake.packages[&pinned.name].iter().find(|(v, _)| v.number == pinned.version).unwrap();
                    prop_assert!(!version.yanked || request.locked.get(&pinned.name) == Some(&version.number));
                    for need in needs {
                        let req = Requirement::parse(&need.req).unwrap();
                        prop_assert!(req.matches(chosen[&need.name], Prereleases::OnlyNamed));
                    }
                }
            }
            Err(ClosureError::Refused(refusal)) => {
                prop_assert!(!exists, "{}", refusal.message);
                prop_assert!(refusal.message.ends_with(['.', ')']) && refusal.message.len() <= 2048);
            }
            Err(ClosureError::Source(error)) => prop_assert!(false, "{}", error),
        }
    }
}
