//! What a verification found wrong, each with its file and the next thing to do.

use crate::domain::digest::Sha256;

/// How many findings are kept; more are only counted.
pub const FINDINGS_MAX: usize = 1000;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, relative to the data directory.
    pub file: String,
    /// What is wrong with it, with the offset where there is one.
    pub what: String,
    /// What to type or do next.
    pub fix: String,
    /// The blob that is damaged, missing or right again: a running server looks at it once more and sets or clears its
    /// mark, which keeps it from being served.
    pub blob: Option<Sha256>,
}

/// Findings in the order in which they were found, and how many there were beyond [`FINDINGS_MAX`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    left_off: u64,
}

impl Findings {
    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.left_off = self.left_off.saturating_add(1);
        }
    }

    /// Adds one about a file.
    pub fn file(&mut self, file: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Finding { file: file.into(), what: what.into(), fix: fix.into(), blob: None });
    }

    /// Adds those of another part of the work.
    pub fn extend(&mut self, other: Self) {
        self.left_off = self.left_off.saturating_add(other.left_off);
        other.list.into_iter().for_each(|finding| self.add(finding));
    }

    /// Those that were kept.
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// How many were only counted.
    pub fn left_off(&self) -> u64 {
        self.left_off
    }

    /// How many there are, kept or not.
    pub fn count(&self) -> u64 {
        self.left_off.saturating_add(self.list.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_kept_and_the_others_are_counted() {
        let mut findings = Findings::default();
        (0..FINDINGS_MAX + 2).for_each(|at| findings.file("meta.redb", at.to_string(), ""));
        let mut all = Findings::default();
        all.file("blobs", "", "");
        all.extend(findings);
        assert_eq!((all.list().len(), all.left_off(), all.count()), (FINDINGS_MAX, 3, FINDINGS_MAX as u64 + 3));
    }
}
