//! Copying a directory that is in use, with the tools that people use.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A way of copying.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// `cp -r`.
    Cp,
    /// Each file on its own, last name first.
    CpReversed,
    /// `rsync -a`.
    Rsync,
    /// `rsync -a --bwlimit`.
    RsyncSlow,
    /// `tar` into `tar`.
    Tar,
    /// `rsync -a` a second time into the place of an older copy.
    RsyncAgain,
    /// The same, and what the source has no more goes.
    RsyncAgainDelete,
    /// The names of all files at once, then the files slowly, last name first.
    SlowReversed,
}

impl Tool {
    pub(crate) const ALL: [Self; 7] =
        [Self::Cp, Self::CpReversed, Self::Rsync, Self::RsyncAgain, Self::Tar, Self::RsyncAgainDelete, Self::RsyncSlow];

    /// The program that it needs.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Cp | Self::CpReversed | Self::SlowReversed => "cp",
            Self::Tar => "tar",
            Self::Rsync | Self::RsyncSlow | Self::RsyncAgain | Self::RsyncAgainDelete => "rsync",
        }
    }

    /// Whether it goes on in the place of an older copy.
    pub(crate) const fn is_second_pass(self) -> bool {
        matches!(self, Self::RsyncAgain | Self::RsyncAgainDelete)
    }

    const fn script(self) -> &'static str {
        match self {
            Self::Cp => r#"cp -r "$FROM/." "$TO/""#,
            Self::CpReversed => {
                r#"cd "$FROM" && find . -type d | while read -r d; do mkdir -p "$TO/$d"; done
                   find . -type f | sort -r | while read -r f; do cp "$f" "$TO/$f"; done"#
            }
            Self::SlowReversed => {
                r#"cd "$FROM" && find . -type d | while read -r d; do mkdir -p "$TO/$d"; done
                   find . -type f | sort -r >"$TO.names"
                   while read -r f; do cp "$f" "$TO/$f"; sleep 0.01; done <"$TO.names"; rm "$TO.names""#
            }
            Self::Rsync | Self::RsyncAgain => r#"rsync -a "$FROM/" "$TO/""#,
            Self::RsyncAgainDelete => r#"rsync -a --delete "$FROM/" "$TO/""#,
            Self::RsyncSlow => r#"rsync -a --bwlimit="$RATE" "$FROM/" "$TO/""#,
            Self::Tar => r#"tar -C "$FROM" -cf - . | tar -C "$TO" -xf -"#,
        }
    }

    /// Copies; `rate` is the throttle of the slow one, in KiB a second. What the tool says about files that changed or
    /// went meanwhile is expected.
    pub(crate) fn run(self, from: &Path, to: &Path, rate: u64) {
        std::fs::create_dir_all(to).expect("a place for the copy");
        let mut command = Command::new("sh");
        command.arg("-c").arg(self.script()).env("FROM", from).env("TO", to).env("RATE", rate.to_string());
        let ended = command.stdin(Stdio::null()).output().expect("a shell");
        assert_ne!(ended.status.code(), Some(127), "{}", String::from_utf8_lossy(&ended.stderr));
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).expect("our own directory");
    }
}
