//! The search: what has been read, put in the terms of the `pubgrub` crate.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use pubgrub::{
    Dependencies, DependencyProvider, PackageResolutionStatistics, PubGrubError, SelectedDependencies, VersionSet as _,
};

use super::explain::{explain, explain_roots};
use super::known::{Known, Need, Node};
use super::ordinals::Ordinals;
use super::{Closure, ClosureError, ClosureRequest, ClosureSource, Pinned, RETREATS_MAX, STEPS_MAX, unresolvable};

/// Runs the search.
pub(super) fn solve<S: ClosureSource>(
    source: &mut S,
    request: &ClosureRequest,
) -> Result<Closure, ClosureError<S::Error>> {
    let known = Known::start(source, request)?;
    if let Some(message) = explain_roots(&known) {
        return Err(unresolvable(message));
    }
    let reading = Reading { source, known, effort: Effort::default(), failure: None };
    let search = Search { reading: RefCell::new(reading) };
    let outcome = pubgrub::resolve(&search, Node::Request, 0_u32);
    let Reading { known, failure, .. } = search.reading.into_inner();
    match outcome {
        Ok(chosen) => Ok(closure(&known, &chosen)),
        Err(PubGrubError::NoSolution(tree)) => Err(unresolvable(explain(&known, tree))),
        Err(
            PubGrubError::ErrorRetrievingDependencies { .. }
            | PubGrubError::ErrorChoosingVersion { .. }
            | PubGrubError::ErrorInShouldCancel(Stopped),
        ) => Err(failure.unwrap_or_else(|| unresolvable("the search was stopped".to_owned()))),
    }
}

/// The crate asks through shared references, so what is read and the reason for stopping are kept in a cell.
struct Search<'a, S: ClosureSource> {
    reading: RefCell<Reading<'a, S>>,
}

struct Reading<'a, S: ClosureSource> {
    source: &'a mut S,
    known: Known<'a>,
    effort: Effort,
    failure: Option<ClosureError<S::Error>>,
}

/// How much was tried. What a step costs grows with what was learned from retreats, so both are limited.
#[derive(Default)]
struct Effort {
    steps: u32,
    retreats: u32,
    /// The packages for which versions are chosen, in order, and each one's place in that order.
    chosen: Vec<usize>,
    depth: BTreeMap<usize, usize>,
}

impl Effort {
    fn step<E>(&mut self) -> Result<(), ClosureError<E>> {
        self.steps += 1;
        if self.steps <= STEPS_MAX && self.retreats <= RETREATS_MAX {
            return Ok(());
        }
        Err(unresolvable(format!(
            "no versions that fit together were found in {} steps with {} retreats, which is the limit; ask for fewer \
             roots, or say more exactly which versions you need",
            self.steps, self.retreats
        )))
    }

    /// A package that is chosen again means that its choice was taken back, and with it all later ones.
    fn choose(&mut self, package: usize) {
        if let Some(depth) = self.depth.get(&package).copied() {
            self.retreats += 1;
            for undone in self.chosen.drain(depth..) {
                self.depth.remove(&undone);
            }
        }
        self.depth.insert(package, self.chosen.len());
        self.chosen.push(package);
    }
}

/// The search was stopped; why is in [`Reading::failure`].
#[derive(Debug)]
struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the search was stopped")
    }
}

impl std::error::Error for Stopped {}

impl<S: ClosureSource> DependencyProvider for Search<'_, S> {
    type P = Node;
    type V = u32;
    type VS = Ordinals;
    /// Locked ones first, so that others give way to them; then what conflicts most, then what has the least choice.
    type Priority = (bool, u32, Reverse<usize>);
    type M = String;
    type Err = Stopped;

    fn prioritize(&self, node: &Node, fitting: &Ordinals, statistics: &PackageResolutionStatistics) -> Self::Priority {
        let reading = self.reading.borrow();
        let known = &reading.known;
        let (locked_fits, choices) = match node {
            Node::Request => (true, 1),
            Node::Package(place) => {
                let package = &known.packages[*place];
                let choices = (0..).zip(&package.versions).filter(|(ordinal, _)| fitting.contains(ordinal)).count();
                (package.locked.is_some_and(|locked| fitting.contains(&locked)), choices)
            }
        };
        (locked_fits, statistics.conflict_count(), Reverse(choices))
    }

    fn choose_version(&self, node: &Node, fitting: &Ordinals) -> Result<Option<u32>, Stopped> {
        let Reading { known, effort, .. } = &mut *self.reading.borrow_mut();
        Ok(match node {
            Node::Request => Some(0),
            Node::Package(place) => {
                effort.choose(*place);
                let package = &known.packages[*place];
                let locked = package.locked.filter(|locked| fitting.contains(locked));
                let ordinals = (0..).zip(&package.versions).map(|(ordinal, _)| ordinal);
                locked.or_else(|| ordinals.filter(|ordinal| fitting.contains(ordinal)).last())
            }
        })
    }

    fn get_dependencies(&self, node: &Node, version: &u32) -> Result<Dependencies<Node, Ordinals, String>, Stopped> {
        let Reading { source, known, failure, .. } = &mut *self.reading.borrow_mut();
        let constraints = |needs: &[Need]| {
            Dependencies::Available(
                needs.iter().map(|need| (Node::Package(need.package), need.fitting.clone())).collect(),
            )
        };
        match node {
            Node::Request => Ok(constraints(&known.roots)),
            Node::Package(place) => match known.try_version(&mut **source, *place, *version) {
                Ok(Ok(needs)) => Ok(constraints(needs)),
                Ok(Err(why)) => Ok(Dependencies::Unavailable(why.clone())),
                Err(error) => {
                    *failure = Some(error);
                    Err(Stopped)
                }
            },
        }
    }

    fn should_cancel(&self) -> Result<(), Stopped> {
        let reading = &mut *self.reading.borrow_mut();
        let outcome = reading.effort.step().and_then(|()| reading.source.may_go_on().map_err(ClosureError::Source));
        outcome.map_err(|error| {
            reading.failure = Some(error);
            Stopped
        })
    }
}

/// Puts names and numbers on what was chosen.
fn closure(known: &Known<'_>, chosen: &SelectedDependencies<Node, u32>) -> Closure {
    let pin = |need: &Need| {
        let package = &known.packages[need.package];
        let ordinal = chosen.get(&Node::Package(need.package))?;
        Some((package.name.clone(), package.versions[*ordinal as usize].number.clone()))
    };
    let pinned = chosen.iter().filter_map(|(node, ordinal)| match node {
        Node::Request => None,
        Node::Package(place) => {
            let package = &known.packages[*place];
            let dependencies = known.needs_of(*place, *ordinal).iter().filter_map(pin).collect();
            let version = package.versions[*ordinal as usize].number.clone();
            Some((package.name.clone(), Pinned { name: package.name.clone(), version, dependencies }))
        }
    });
    let packages: BTreeMap<_, _> = pinned.collect();
    Closure { roots: known.roots.iter().filter_map(pin).collect(), packages: packages.into_values().collect() }
}
