//! How well a package answers what somebody searches for: its name before its namespace before its texts.

use super::name::{NamespaceName, PackageName, shown};
use super::package::Description;
use super::refusal::{Reason, Refusal};

/// Longest search, in bytes.
pub const QUERY_BYTES_MAX: usize = 256;
/// Most words of one search.
pub const WORDS_MAX: usize = 16;

/// Where a word was found, worth more the nearer it is to what people mean when they type it.
#[derive(Clone, Copy)]
enum Found {
    Keyword = 1,
    Description = 2,
    Namespace = 4,
    InName = 8,
    NameStart = 16,
    WholeName = 32,
}

/// The words of a search: each of them has to be found somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words(Vec<String>);

impl Words {
    /// Reads the words of a search, whatever their case; `None` when there are none.
    ///
    /// # Errors
    /// `invalid_parameter` past [`QUERY_BYTES_MAX`] or [`WORDS_MAX`].
    pub fn parse(text: &str) -> Result<Option<Self>, Refusal> {
        let refuse = |what: &str, limit: usize| {
            let message = format!(
                "`{}` is too long to search for: give at most {limit} {what} of what you look for.",
                shown(text)
            );
            Refusal::field(Reason::InvalidParameter, "q", message).with_limit(limit as u64)
        };
        if text.len() > QUERY_BYTES_MAX {
            return Err(refuse("bytes", QUERY_BYTES_MAX));
        }
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if words.len() > WORDS_MAX {
            return Err(refuse("words", WORDS_MAX));
        }
        Ok((!words.is_empty()).then_some(Self(words)))
    }

    /// How well the name alone answers; `None` unless every word is found in it.
    pub fn score_name(&self, name: &PackageName) -> Option<u64> {
        let whole = name.to_string();
        self.0.iter().map(|word| in_name(word, name, &whole).map(|found| found as u64)).sum()
    }

    /// How well a package answers; `None` unless every word is found somewhere.
    pub fn score(&self, name: &PackageName, about: &Description) -> Option<u64> {
        let whole = name.to_string();
        let description = about.description.as_deref().unwrap_or_default().to_lowercase();
        let in_texts = |word: &str| {
            if description.contains(word) {
                return Some(Found::Description);
            }
            let mut keywords = about.keywords.iter().flatten();
            keywords.any(|keyword| keyword.to_lowercase().contains(word)).then_some(Found::Keyword)
        };
        let find = |word: &String| in_name(word, name, &whole).or_else(|| in_texts(word)).map(|found| found as u64);
        self.0.iter().map(find).sum()
    }
}

/// A word with a `/` is looked for in `namespace/name`, another one in the name and then in the namespace.
fn in_name(word: &str, name: &PackageName, whole: &str) -> Option<Found> {
    let target = if word.contains('/') { whole } else { name.name.as_str() };
    if target == word {
        Some(Found::WholeName)
    } else if target.starts_with(word) {
        Some(Found::NameStart)
    } else if target.contains(word) {
        Some(Found::InName)
    } else {
        let namespace = name.namespace.as_ref().map_or("", NamespaceName::as_str);
        namespace.contains(word).then_some(Found::Namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        Words::parse(text).unwrap().unwrap()
    }

    /// The packages, each as `name: description: keyword`, in the order in which they answer.
    #[track_caller]
    fn check(query: &str, packages: &[&str], expected: &[&str]) {
        let scored = packages.iter().filter_map(|package| {
            let mut parts = package.split(": ");
            let name = PackageName::parse(parts.next()?).unwrap();
            let description = parts.next().map(str::to_owned);
            let about = Description {
                description,
                keywords: parts.next().map(|word| vec![word.to_owned()]),
                ..Default::default()
            };
            let score = words(query).score(&name, &about);
            let by_name = words(query).score_name(&name);
            assert!(by_name.is_none() || by_name == score, "{package}");
            Some((std::cmp::Reverse(score?), name.to_string()))
        });
        let mut scored: Vec<_> = scored.collect();
        scored.sort();
        assert_eq!(scored.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), expected, "{query}");
    }

    #[test]
    fn names_come_before_namespaces_before_texts() {
        let packages = ["jwt/x", "x: for JWT", "y: tokens: jwt", "gk/myjwt", "gk/jwt-tool", "gk/jwt", "other: o: o"];
        check("JWT", &packages, &["gk/jwt", "gk/jwt-tool", "gk/myjwt", "jwt/x", "x", "y"]);
    }

    #[test]
    fn every_word_has_to_be_found() {
        check("gk json", &["gk/json", "json", "gk/other: reads json"], &["gk/json", "gk/other"]);
        check("gk/js", &["gk/json", "a/gk", "gk/other: gk/js"], &["gk/json", "gk/other"]);
    }

    #[test]
    fn searches_are_bounded_and_may_be_empty() {
        assert_eq!(Words::parse(" \t").unwrap(), None);
        for long in ["a".repeat(QUERY_BYTES_MAX + 1), "a ".repeat(WORDS_MAX + 1)] {
            assert_eq!(Words::parse(&long).unwrap_err().reason, Reason::InvalidParameter);
        }
    }
}
