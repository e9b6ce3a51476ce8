//! Why nothing fits, in the words of a person: who needs what, and where that can't be had together.
//!
//! The solver proves a failure by a tree whose leaves are facts of the form "these versions need those". The facts are
//! told from the request downwards; those that meet in a package of which no version fits them come last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use pubgrub::{DerivationTree, External, VersionSet as _};

use super::known::{Known, Need, Node};
use super::ordinals::Ordinals;
use crate::domain::requirement::Prereleases;
use crate::domain::version::VersionNumber;

/// The longest explanation, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 2048;

/// How much of it the conclusions may take; what leads to them gets the rest.
const CONCLUSIONS_BYTES_MAX: usize = 1300;

/// How many sentences may lead to the conclusions; of more, the middle is left out.
const LINKS_MAX: usize = 12;

/// How many names or versions are listed before "and 7 more".
const LISTED_MAX: usize = 6;

/// How much of a version or a requirement is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 80;

/// Some versions of `from` need one of `fitting`, versions of `to`.
struct Fact {
    from: Node,
    versions: Ordinals,
    to: usize,
    fitting: Ordinals,
}

/// What the proof rests on.
#[derive(Default)]
struct Facts {
    needs: BTreeMap<(Node, usize), Vec<Fact>>,
    /// Versions that can't be used at all, and why.
    unusable: Vec<(Node, Ordinals, String)>,
}

/// Tells which roots have no version that fits; `None` when all have one.
pub(super) fn explain_roots(known: &Known<'_>) -> Option<String> {
    let unmatched = known.roots.iter().filter(|need| need.fitting.is_empty());
    let sentences: Vec<_> = unmatched.map(|need| sentence(&no_match(known, need))).collect();
    (!sentences.is_empty()).then(|| assemble(Vec::new(), sentences))
}

/// Tells why a search failed.
pub(super) fn explain(known: &Known<'_>, tree: DerivationTree<Node, Ordinals, String>) -> String {
    let mut facts = Facts::gather(tree);
    let unusable = std::mem::take(&mut facts.unusable)
        .into_iter()
        .map(|(from, versions, why)| sentence(&format!("{} can't be used: {why}", subject(known, from, &versions).0)));
    let mut conclusions: Vec<_> = unusable.collect();
    let (dead_ends, facts): (Vec<_>, Vec<_>) = facts.ordered().into_iter().partition(|fact| fact.fitting.is_empty());
    conclusions.extend(dead_ends.iter().filter_map(|fact| {
        let why = no_match(known, need_of(known, fact)?);
        Some(sentence(&format!("{}, but {why}", clause(known, fact))))
    }));
    let mut links = Vec::new();
    for (to, facts) in by_target(facts) {
        if are_exclusive(&facts) {
            conclusions.push(sentence(&conflict(known, to, &facts)));
        } else {
            links.extend(facts);
        }
    }
    if conclusions.is_empty() {
        conclusions.push("No choice of versions satisfies all of these.".to_owned());
    }
    assemble(link_sentences(known, links), conclusions)
}

/// Puts facts about one package together, packages in the order in which they come up.
fn by_target(facts: Vec<Fact>) -> Vec<(usize, Vec<Fact>)> {
    let mut groups: Vec<(usize, Vec<Fact>)> = Vec::new();
    let mut places = BTreeMap::new();
    for fact in facts {
        let place = *places.entry(fact.to).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(fact),
            None => groups.push((fact.to, vec![fact])),
        }
    }
    groups
}

impl Facts {
    /// Takes a proof apart. Not by recursion, not even when it is dropped: it is as deep as the longest chain.
    fn gather(tree: DerivationTree<Node, Ordinals, String>) -> Self {
        let mut facts = Self::default();
        let mut rest = vec![Arc::new(tree)];
        while let Some(next) = rest.pop() {
            // A part that others share is visited once, when the last of them lets go of it.
            match Arc::into_inner(next) {
                Some(DerivationTree::Derived(derived)) => rest.extend([derived.cause2, derived.cause1]),
                Some(DerivationTree::External(External::FromDependencyOf(
                    from,
                    versions,
                    Node::Package(to),
                    fitting,
                ))) => {
                    facts.add(Fact { from, versions, to, fitting });
                }
                Some(DerivationTree::External(External::Custom(from, versions, why))) => {
                    facts.unusable.push((from, versions, why));
                }
                Some(DerivationTree::External(
                    External::NotRoot(..)
                    | External::NoVersions(..)
                    | External::FromDependencyOf(_, _, Node::Request, _),
                ))
                | None => {}
            }
        }
        facts
    }

    /// Versions of one package that need the same are one fact.
    fn add(&mut self, fact: Fact) {
        let alike = self.needs.entry((fact.from, fact.to)).or_default();
        match alike.iter_mut().find(|other| other.fitting == fact.fitting) {
            Some(other) => other.versions = other.versions.union(&fact.versions),
            None => alike.push(fact),
        }
    }

    /// The facts from the request downwards.
    fn ordered(mut self) -> Vec<Fact> {
        let mut ordered = Vec::new();
        let mut waiting = VecDeque::from([Node::Request]);
        while let Some(from) = waiting.pop_front() {
            let keys: Vec<_> = self.needs.range((from, 0)..=(from, usize::MAX)).map(|(key, _)| *key).collect();
            for key in keys {
                waiting.push_back(Node::Package(key.1));
                ordered.extend(self.needs.remove(&key).unwrap_or_default());
            }
        }
        ordered.extend(self.needs.into_values().flatten());
        ordered
    }
}

/// Whether whatever versions two or more packages have, they leave no version of the one that all of them need.
fn are_exclusive(facts: &[Fact]) -> bool {
    let mut by_package: BTreeMap<Node, Ordinals> = BTreeMap::new();
    for fact in facts {
        let fitting = by_package.entry(fact.from).or_insert_with(Ordinals::empty);
        *fitting = fitting.union(&fact.fitting);
    }
    by_package.values().fold(Ordinals::full(), |left, fitting| left.intersection(fitting)).is_empty()
}

/// "gk/a 1.0.0 needs gk/c ^1, but gk/b 2.0.0 needs gk/c ^2; no version of gk/c fits both (there are 2.0.0 and 1.0.0)"
fn conflict(known: &Known<'_>, to: usize, facts: &[Fact]) -> String {
    let package = &known.packages[to];
    let mut clauses: Vec<_> = facts.iter().take(LISTED_MAX).map(|fact| clause(known, fact)).collect();
    if facts.len() > LISTED_MAX {
        clauses.push(format!("{} more need {} too", facts.len() - LISTED_MAX, package.name));
    }
    let last = clauses.pop().unwrap_or_default();
    let fits = if facts.len() == 2 { "fits both" } else { "fits all of them" };
    let there_are = there_are(package.versions.iter().map(|usable| &usable.number));
    format!("{}, but {last}; no version of {} {fits} ({there_are})", clauses.join(", "), package.name)
}

/// Sentences for what holds on the way, one for each version: "gk/a 1.0.0 needs gk/b ^1 and gk/c ^2."
fn link_sentences(known: &Known<'_>, mut links: Vec<Fact>) -> Vec<String> {
    let mut order: BTreeMap<Node, usize> = BTreeMap::from([(Node::Request, 0)]);
    for fact in &links {
        let next = order.len();
        order.entry(fact.from).or_insert(next);
    }
    links.sort_by_key(|fact| (order.get(&fact.from).copied(), std::cmp::Reverse(highest(known, fact))));
    let same = |a: &Fact, b: &Fact| a.from == b.from && a.versions == b.versions;
    let sentences = links.chunk_by(same).filter_map(|facts| {
        let (who, verb) = subject(known, facts.first()?.from, &facts.first()?.versions);
        let wanted: Vec<_> = facts.iter().map(|fact| wanted(known, fact)).collect();
        Some(sentence(&format!("{who} {verb} {}", listed(&wanted))))
    });
    sentences.collect()
}

/// "gk/a 1.0.0 needs gk/c ^1"
fn clause(known: &Known<'_>, fact: &Fact) -> String {
    let (who, verb) = subject(known, fact.from, &fact.versions);
    format!("{who} {verb} {}", wanted(known, fact))
}

/// "gk/c ^1"
fn wanted(known: &Known<'_>, fact: &Fact) -> String {
    let name = &known.packages[fact.to].name;
    need_of(known, fact).map_or_else(|| name.to_string(), |need| format!("{name} {}", cut(need.wanted())))
}

fn need_of<'a>(known: &'a Known<'_>, fact: &Fact) -> Option<&'a Need> {
    let needs = match fact.from {
        Node::Request => known.roots.as_slice(),
        Node::Package(place) => known.needs_of(place, highest(known, fact)?),
    };
    needs.iter().find(|need| need.package == fact.to)
}

fn highest(known: &Known<'_>, fact: &Fact) -> Option<u32> {
    match fact.from {
        Node::Request => None,
        Node::Package(place) => members(known, place, &fact.versions).last().map(|(ordinal, _)| ordinal),
    }
}

/// Who needs something, and the verb for them: "gk/a 1.0.0" "needs".
fn subject(known: &Known<'_>, from: Node, versions: &Ordinals) -> (String, &'static str) {
    let Node::Package(place) = from else { return ("you".to_owned(), "ask for") };
    let package = &known.packages[place];
    let numbers: Vec<_> = members(known, place, versions).map(|(_, number)| cut(number.to_string())).rev().collect();
    if numbers.len() > 1 && numbers.len() == package.versions.len() {
        return (format!("every version of {}", package.name), "needs");
    }
    let verb = if numbers.len() == 1 { "needs" } else { "need" };
    (format!("{} {}", package.name, listed(&numbers)), verb)
}

fn members<'a>(
    known: &'a Known<'_>,
    place: usize,
    versions: &Ordinals,
) -> impl DoubleEndedIterator<Item = (u32, &'a VersionNumber)> {
    let numbered: Vec<_> = (0_u32..).zip(&known.packages[place].versions).collect();
    let inside = numbered.into_iter().filter(|(ordinal, _)| versions.contains(ordinal));
    inside.map(|(ordinal, usable)| (ordinal, &usable.number))
}

/// Why no version fits a need: there is no such package, no such version, or only ones that must be asked for.
fn no_match(known: &Known<'_>, need: &Need) -> String {
    let package = &known.packages[need.package];
    let (name, wanted) = (&package.name, cut(need.wanted()));
    if !package.exists {
        return format!("{name} does not exist or is not visible to you");
    }
    let fits = |number: &VersionNumber, prereleases| need.reqs.iter().all(|req| req.matches(number, prereleases));
    let yanked: Vec<_> = package.yanked.iter().filter(|number| fits(number, known.request.prereleases)).collect();
    if !yanked.is_empty() {
        return format!("the versions of {name} that match {wanted} are yanked ({})", numbers(yanked.into_iter()));
    }
    let usable = || package.versions.iter().map(|usable| &usable.number);
    let prereleases: Vec<_> = usable().filter(|number| fits(number, Prereleases::Allowed)).collect();
    if !prereleases.is_empty() {
        let listed = numbers(prereleases.into_iter());
        return format!("only prereleases of {name} match {wanted} ({listed}); allow them with `prerelease`");
    }
    let there_are = match (package.versions.is_empty(), package.yanked.is_empty()) {
        (true, true) => "it has no versions".to_owned(),
        (true, false) => "all of its versions are yanked".to_owned(),
        (false, _) => there_are(usable()),
    };
    format!("no version of {name} matches {wanted}; {there_are}")
}

fn there_are<'a>(versions: impl DoubleEndedIterator<Item = &'a VersionNumber> + ExactSizeIterator) -> String {
    let verb = if versions.len() == 1 { "is only" } else { "are" };
    format!("there {verb} {}", numbers(versions))
}

/// Versions that come lowest first, listed highest first.
fn numbers<'a>(versions: impl DoubleEndedIterator<Item = &'a VersionNumber>) -> String {
    let texts: Vec<_> = versions.rev().map(|number| cut(number.to_string())).collect();
    listed(&texts)
}

/// "a", "a and b", "a, b and c", "a, b, c, d, e, f and 7 more"
fn listed(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(LISTED_MAX);
    let (first, last) = match texts {
        [] => return String::new(),
        [only] => return only.clone(),
        [first @ .., last] if more == 0 => (first, last.clone()),
        _ => (&texts[..LISTED_MAX], format!("{more} more")),
    };
    format!("{} and {last}", first.join(", "))
}

/// Makes a sentence of a clause; a package's name keeps its small letter.
fn sentence(clause: &str) -> String {
    const OPENINGS: [&str; 5] =
        ["you ask for ", "no version of ", "every version of ", "only prereleases of ", "the versions of "];
    let mut text = format!("{clause}.");
    if OPENINGS.iter().any(|opening| clause.starts_with(opening)) {
        text[..1].make_ascii_uppercase();
    }
    text
}

/// Puts the message together within [`MESSAGE_BYTES_MAX`]: conclusions first have room, links lose their middle.
fn assemble(mut links: Vec<String>, conclusions: Vec<String>) -> String {
    let total = conclusions.len();
    let mut ending = String::new();
    let mut told = 0;
    for conclusion in conclusions {
        if told > 0 && ending.len() + conclusion.len() > CONCLUSIONS_BYTES_MAX {
            break;
        }
        ending.push(' ');
        ending.push_str(&conclusion);
        told += 1;
    }
    if told < total {
        let more = format!(" There are {} more such conflicts.", total - told);
        ending.push_str(&more);
    }
    let room = MESSAGE_BYTES_MAX.saturating_sub(ending.len() + 40);
    let mut taken: usize = links.iter().map(|link| link.len() + 1).sum();
    let mut left_out = 0;
    while taken > room || links.len() > LINKS_MAX {
        taken -= links.remove(links.len() / 2).len() + 1;
        left_out += 1;
    }
    if left_out > 0 {
        links.insert(links.len() / 2 + links.len() % 2, format!("({left_out} steps are left out here.)"));
    }
    let mut message = links.join(" ") + &ending;
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX - '…'.len_utf8()));
        message.push('…');
    }
    message.trim_start().to_owned()
}

/// Cuts a version or requirement, which are ASCII, to what is shown.
fn cut(mut text: String) -> String {
    if text.len() > SHOWN_BYTES_MAX {
        text.truncate(text.floor_char_boundary(SHOWN_BYTES_MAX));
        text.push('…');
    }
    text
}
