//! Where the two files stand: which entries of an archive are the manifest and the readme that count.
//!
//! The root counts before the single top folder. Of two entries of one path the later one counts, as it would once
//! unpacked. Paths that would leave the folder (absolute, or with `..`) are passed over as if they were not there.

/// What an entry is, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File,
    Folder,
    /// Links, devices, sparse and encrypted files: there, but never read.
    Other,
}

/// A place that one of the two files was found at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    in_folder: bool,
    /// Which of the two files it is.
    pub(super) file: Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Manifest,
    Readme,
}

struct Pair<T> {
    manifest: Option<T>,
    readme: Option<T>,
    /// Whether the readme is spelled `README.md`, before which other spellings yield.
    exact: bool,
}

/// Sees every entry and keeps a `T` for each place that may count.
pub(super) struct Finder<T> {
    root: Pair<T>,
    folder: Pair<T>,
    top: Option<Vec<u8>>,
    scattered: bool,
}

impl<T> Finder<T> {
    pub(super) fn new() -> Self {
        let pair = || Pair { manifest: None, readme: None, exact: false };
        Self { root: pair(), folder: pair(), top: None, scattered: false }
    }

    /// Takes note of an entry; a place means that the caller should [`Finder::keep`] what it holds.
    pub(super) fn note(&mut self, path: &[u8], kind: Kind) -> Option<Place> {
        let components = normal_form(path)?;
        let (first, rest) = components.split_first()?;
        let top = self.top.get_or_insert_with(|| first.to_vec());
        self.scattered |= top != first || (rest.is_empty() && kind != Kind::Folder);
        let (in_folder, name) = match rest {
            [] => (false, first),
            [name] if !self.scattered => (true, name),
            _ => return None,
        };
        let pair = if in_folder { &mut self.folder } else { &mut self.root };
        let exact = *name == b"README.md";
        let file = if *name == b"vix.json" {
            Wanted::Manifest
        } else if exact || (name.eq_ignore_ascii_case(b"readme.md") && !pair.exact) {
            Wanted::Readme
        } else {
            return None;
        };
        if kind != Kind::File {
            return None;
        }
        pair.exact |= exact;
        Some(Place { in_folder, file })
    }

    /// Keeps what stands at a place.
    pub(super) fn keep(&mut self, place: Place, content: T) {
        let pair = if place.in_folder { &mut self.folder } else { &mut self.root };
        match place.file {
            Wanted::Manifest => pair.manifest = Some(content),
            Wanted::Readme => pair.readme = Some(content),
        }
    }

    /// The manifest that counts and the readme beside it, once every entry was noted.
    pub(super) fn choose(self) -> Option<(T, Option<T>)> {
        let folder = if self.scattered { None } else { Some(self.folder) };
        let pair = Some(self.root).filter(|root| root.manifest.is_some()).or(folder)?;
        Some((pair.manifest?, pair.readme))
    }
}

/// The components of a path without `.` and empty ones; `None` when it is absolute, holds `..` or a NUL byte.
fn normal_form(path: &[u8]) -> Option<Vec<&[u8]>> {
    if path.starts_with(b"/") || path.contains(&0) {
        return None;
    }
    let components: Vec<_> = path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".").collect();
    (!components.contains(&&b".."[..])).then_some(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[(&str, Kind)], expected: Option<(&str, Option<&str>)>) {
        let mut finder = Finder::new();
        for &(path, kind) in entries {
            if let Some(place) = finder.note(path.as_bytes(), kind) {
                finder.keep(place, path);
            }
        }
        assert_eq!(finder.choose(), expected, "{entries:?}");
    }

    #[test]
    fn root_counts_before_the_single_top_folder() {
        use Kind::{File, Folder};
        check(&[("vix.json", File)], Some(("vix.json", None)));
        check(&[("./", Folder), ("./vix.json", File)], Some(("./vix.json", None)));
        check(&[("p", Folder), ("p/vix.json", File)], Some(("p/vix.json", None)));
        check(&[("p/README.md", File), ("p/vix.json", File)], Some(("p/vix.json", Some("p/README.md"))));
        check(&[("p/vix.json", File), ("vix.json", File)], Some(("vix.json", None)));
        check(&[("p/vix.json", File), ("LICENSE", File)], None);
        check(&[("p/vix.json", File), ("q/x", File)], None);
        check(&[("q", Folder), ("p/vix.json", File)], None);
        check(&[("p/q/vix.json", File)], None);
        check(&[("README.md", File)], None);
        check(&[], None);
    }

    #[test]
    fn readme_stands_beside_the_manifest_and_its_exact_spelling_wins() {
        use Kind::File;
        check(&[("vix.json", File), ("p/README.md", File)], Some(("vix.json", None)));
        check(&[("vix.json", File), ("ReadMe.MD", File)], Some(("vix.json", Some("ReadMe.MD"))));
        let both = [("vix.json", File), ("README.md", File), ("readme.md", File)];
        check(&both, Some(("vix.json", Some("README.md"))));
        check(&[("VIX.json", File)], None);
    }

    #[test]
    fn unsafe_paths_and_links_are_passed_over() {
        use Kind::{File, Other};
        check(&[("../vix.json", File), ("/vix.json", File), ("p/../vix.json", File), ("vix.json\0", File)], None);
        check(&[("/etc/x", File), ("p/vix.json", File)], Some(("p/vix.json", None)));
        check(&[("vix.json", Other), ("p/vix.json", File)], None);
        check(&[("p/vix.json", Other)], None);
        check(&[("p/link", Other), ("p/vix.json", File)], Some(("p/vix.json", None)));
    }

    #[test]
    fn of_equal_paths_the_later_counts() {
        let mut finder = Finder::new();
        for content in [1, 2] {
            let place = finder.note(b"vix.json", Kind::File).unwrap();
            finder.keep(place, content);
        }
        assert_eq!(finder.choose(), Some((2, None)));
    }
}
