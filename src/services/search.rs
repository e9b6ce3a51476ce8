//! Finding packages: lists and searches of what the caller may read, page by page.
//!
//! A list in a stored order walks that order and passes over what does not fit, so a page costs what it passes over. A
//! search by relevance looks at every package and keeps no more of them than a page holds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::packages::{PackageDetail, about, detail};
use super::reach::Reach;
use super::{Context, Policy, ServiceError, Stores};
use crate::domain::name::{NamespaceName, PackageName, UserName};
use crate::domain::package::{MemberOf, Package, Role, Visibility};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::search::Words;
use crate::storage::scans::Ranking;
use crate::storage::{Cost, Metadata as _, StoreError, View, keys};

/// The order of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// By name, first to last.
    Name,
    /// What changed last comes first.
    Updated,
    /// What is downloaded most comes first.
    Downloads,
    /// What answers the search best comes first, then by name; without a search, by name.
    Relevance,
}

impl Sort {
    /// The inverse of what the query of a request says.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "name" => Some(Self::Name),
            "updated" => Some(Self::Updated),
            "downloads" => Some(Self::Downloads),
            "relevance" => Some(Self::Relevance),
            _ => None,
        }
    }
}

/// Which packages a list shows, and in which order.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// Those that answer these words.
    pub words: Option<Words>,
    /// Those in this namespace.
    pub namespace: Option<NamespaceName>,
    /// Those that this user owns, by being named as an owner of the package itself.
    pub owner: Option<UserName>,
    /// Those with this keyword.
    pub keyword: Option<String>,
    /// In which order.
    pub sort: Sort,
    /// Those behind this place, with which the page before ended.
    pub beyond: Option<Vec<u8>>,
    /// At most so many.
    pub limit: usize,
}

/// A page of packages.
#[derive(Clone, Debug)]
pub struct PackagePage {
    /// The packages, in order.
    pub packages: Vec<PackageDetail>,
    /// The place to go on behind; none when this was the last page.
    pub next: Option<Vec<u8>>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// Finds packages.
pub struct SearchService {
    stores: Stores,
}

impl SearchService {
    /// Finds the packages of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// A page of the packages that the caller may read.
    ///
    /// # Errors
    /// `invalid_cursor` for a place that is none of this order.
    pub async fn list(&self, context: &Context, query: SearchQuery) -> Result<PackagePage, ServiceError> {
        if query.beyond.as_ref().is_some_and(|place| !is_place(query.sort, place)) {
            let message = "`cursor` does not belong to this query: leave it out to begin again.";
            return Err(Refusal::field(Reason::InvalidCursor, "cursor", message).into());
        }
        let (caller, policy) = (context.caller.clone(), Arc::clone(&self.stores.policy));
        let load = move |view: &View<'_>| {
            let (mut found, reach) = (Found::new(&query), Reach::load(view, &caller)?);
            let filter = Filter { view, reach: &reach, query: &query };
            match (&query.owner, query.sort) {
                (Some(owner), _) => filter.owned(owner, &mut found)?,
                (None, Sort::Relevance) => filter.all_by_relevance(&mut found)?,
                (None, Sort::Name) => filter.walk_names(&mut found)?,
                (None, Sort::Updated) => filter.walk_ranking(Ranking::Updated, &mut found)?,
                (None, Sort::Downloads) => filter.walk_ranking(Ranking::Downloads, &mut found)?,
            }
            found.into_page(view, &policy)
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await?)
    }
}

fn is_place(sort: Sort, place: &[u8]) -> bool {
    let name = match sort {
        Sort::Name => Some(place),
        Sort::Updated | Sort::Downloads | Sort::Relevance => place.get(size_of::<u64>()..),
    };
    name.and_then(|name| std::str::from_utf8(name).ok()).is_some_and(|name| PackageName::parse(name).is_ok())
}

/// What a page shows and one more, which tells whether there is another page.
struct Found {
    sort: Sort,
    limit: usize,
    beyond: Option<Vec<u8>>,
    /// The last in order on top, so that it is the one to give way.
    kept: BinaryHeap<Ranked>,
}

/// A package and its place in the order.
struct Ranked {
    order: Order,
    place: Vec<u8>,
    package: Package,
}

/// Places compare as bytes, or the other way round.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Up(Vec<u8>),
    Down(Reverse<Vec<u8>>),
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl Found {
    fn new(query: &SearchQuery) -> Self {
        Self { sort: query.sort, limit: query.limit, beyond: query.beyond.clone(), kept: BinaryHeap::new() }
    }

    fn order(&self, place: &[u8]) -> Order {
        match self.sort {
            Sort::Name | Sort::Relevance => Order::Up(place.to_vec()),
            Sort::Updated | Sort::Downloads => Order::Down(Reverse(place.to_vec())),
        }
    }

    /// Keeps the package if it belongs on the page, as far as is known.
    fn offer(&mut self, place: Vec<u8>, package: Package) {
        let order = self.order(&place);
        if self.beyond.as_ref().is_none_or(|beyond| order > self.order(beyond)) {
            self.kept.push(Ranked { order, place, package });
        }
        if self.kept.len() > self.limit + 1 {
            self.kept.pop();
        }
    }

    /// Keeps the next package of those that come in order, and breaks when no later one belongs on the page.
    fn take(&mut self, place: &[u8], package: Package) -> ControlFlow<()> {
        self.offer(place.to_vec(), package);
        if self.kept.len() > self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn into_page(self, view: &View<'_>, policy: &Policy) -> Result<PackagePage, StoreError> {
        let mut kept = self.kept.into_sorted_vec();
        // The one more counts too: where it is hidden, so is that there is another page.
        let all_public = kept.iter().all(|ranked| ranked.package.visibility == Visibility::Public);
        let more = kept.len() > self.limit;
        kept.truncate(self.limit);
        let next = kept.last().filter(|_| more).map(|last| last.place.clone());
        let packages: Result<Vec<_>, _> = kept.iter().map(|ranked| detail(view, &ranked.package, policy)).collect();
        Ok(PackagePage { packages: packages?, next, public: policy.anonymous_read && all_public })
    }
}

/// What a package must be to be shown.
struct Filter<'a> {
    view: &'a View<'a>,
    reach: &'a Reach,
    query: &'a SearchQuery,
}

impl Filter<'_> {
    /// How well the package answers; `None` when it is not shown.
    fn score(&self, package: &Package) -> Result<Option<u64>, StoreError> {
        let query = self.query;
        let elsewhere = query.namespace.is_some() && query.namespace != package.name.namespace;
        if elsewhere || package.purged_at.is_some() || !self.reach.may_read(package) {
            return Ok(None);
        }
        let by_name = query.words.as_ref().map_or(Some(0), |words| words.score_name(&package.name));
        if query.keyword.is_none() && by_name.is_some() {
            return Ok(by_name);
        }
        let about = about(self.view, package)?;
        if let Some(wanted) = &query.keyword
            && !about.keywords.iter().flatten().any(|keyword| keyword == wanted)
        {
            return Ok(None);
        }
        Ok(by_name.or_else(|| query.words.as_ref().and_then(|words| words.score(&package.name, &about))))
    }

    fn walk_names(&self, found: &mut Found) -> Result<(), StoreError> {
        let (namespace, beyond) = (self.query.namespace.as_ref(), self.query.beyond.clone());
        self.view.scan_packages(namespace, beyond, |key, package| {
            let shown = self.score(&package)?.is_some();
            Ok(if shown { found.take(key, package) } else { ControlFlow::Continue(()) })
        })
    }

    fn walk_ranking(&self, ranking: Ranking, found: &mut Found) -> Result<(), StoreError> {
        self.view.scan_ranking(ranking, self.query.beyond.clone(), |key, name| {
            let namespace = &self.query.namespace;
            if namespace.is_some() && *namespace != name.namespace {
                return Ok(ControlFlow::Continue(()));
            }
            let Some(package) = self.view.package(&name)? else { return Ok(ControlFlow::Continue(())) };
            let shown = self.score(&package)?.is_some();
            Ok(if shown { found.take(key, package) } else { ControlFlow::Continue(()) })
        })
    }

    fn all_by_relevance(&self, found: &mut Found) -> Result<(), StoreError> {
        self.view.scan_packages(self.query.namespace.as_ref(), None, |_, package| {
            if let Some(score) = self.score(&package)? {
                found.offer(keys::ranked(u64::MAX - score, &package.name), package);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// A user owns few packages: all of them are looked at, whatever the order.
    fn owned(&self, owner: &UserName, found: &mut Found) -> Result<(), StoreError> {
        let Some(user) = self.view.user_named(owner)? else { return Ok(()) };
        for of in self.view.memberships(user.id)? {
            let role = self.view.member(&of, user.id)?.map(|member| member.role);
            let MemberOf::Package(name) = of else { continue };
            if role != Some(Role::Owner) {
                continue;
            }
            let Some(package) = self.view.package(&name)? else { continue };
            if let Some(score) = self.score(&package)? {
                found.offer(self.place(&package, score)?, package);
            }
        }
        Ok(())
    }

    fn place(&self, package: &Package, score: u64) -> Result<Vec<u8>, StoreError> {
        Ok(match self.query.sort {
            Sort::Name => keys::package(&package.name),
            Sort::Updated => keys::ranked(package.updated_at.unix_ms(), &package.name),
            Sort::Downloads => keys::ranked(self.view.downloads(&package.name, None)?, &package.name),
            Sort::Relevance => keys::ranked(u64::MAX - score, &package.name),
        })
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
