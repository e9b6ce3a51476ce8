//! The files of the source tree, by path relative to its root.

use std::fs;
use std::path::Path;

/// A text file of the tree.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the source tree.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file at this path, or nothing when there is none.
pub(crate) fn file(path: &str) -> Option<File> {
    let text = fs::read_to_string(root().join(path)).ok()?;
    Some(File { path: path.to_owned(), text })
}

/// Every file with one of these extensions (all that are text, when none is named) under a folder, sorted by path.
/// A folder that does not exist holds nothing.
pub(crate) fn files(under: &str, extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![under.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries {
            let entry = entry.expect("the source tree can be listed");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            let wanted = |extension: &std::ffi::OsStr| extensions.iter().any(|wanted| extension == *wanted);
            if entry.path().is_dir() {
                folders.push(path);
            } else if extensions.is_empty() || entry.path().extension().is_some_and(wanted) {
                found.extend(file(&path));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The document at this path, which has to be there.
#[track_caller]
pub(crate) fn document(path: &str) -> File {
    file(path).unwrap_or_else(|| panic!("{path} is part of the source tree"))
}

/// Fails when a committed file is not what it should be; with `VIXR_REFRESH=1` it is written instead.
#[track_caller]
pub(crate) fn refresh(path: &str, committed: &str, right: &str) {
    if committed == right {
        return;
    }
    if std::env::var_os("VIXR_REFRESH").is_some_and(|value| value == "1") {
        fs::write(root().join(path), right).expect("the source tree can be written");
        return;
    }
    let pairs = committed.lines().zip(right.lines()).enumerate();
    let differing: Vec<String> = pairs
        .filter(|(_, (one, other))| one != other)
        .map(|(at, (one, other))| format!("{path}:{}: `{one}` should be `{other}`", at + 1))
        .collect();
    panic!("{path} is behind; run this with VIXR_REFRESH=1 and read the diff\n  {}", differing.join("\n  "));
}
