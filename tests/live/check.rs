//! Opening a copy with the real program and comparing all of it with what clients were told.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use vix_registry::domain::digest::Sha256;

use super::http::{Ask, Connection};
use super::load::{History, State, Step, content};

/// When the copying was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) began_at: Instant,
    pub(crate) ended_at: Instant,
}

/// The states of a version that a copy may show: after the last step that was acknowledged before it began, or after
/// any that was under way until it ended.
pub(crate) fn allowed(steps: &[Step], window: Window) -> Vec<State> {
    let before = |step: &Step| step.done_at.is_some_and(|done| done < window.began_at);
    let last = steps.iter().rposition(before);
    let mut states = vec![last.map_or(State::Absent, |at| steps[at].after)];
    let later = steps.iter().skip(last.map_or(0, |at| at + 1));
    states.extend(later.filter(|step| step.sent_at <= window.ended_at).map(|step| step.after));
    states
}

/// Compares everything that the server at `address` serves; answers with how much was compared, or what is wrong.
pub(crate) fn compare(address: &str, token: &str, history: &History, window: Window) -> Result<usize, String> {
    let mut connection = Connection::default();
    let mut get = |path: &str| {
        let answer = connection.ask(address, token, &Ask::get(path));
        answer.map_err(|error| format!("{path}: {error}"))
    };
    let mut packages: BTreeMap<&str, Vec<(&str, &Vec<Step>)>> = BTreeMap::new();
    for ((package, version), steps) in history {
        packages.entry(package).or_default().push((version, steps));
    }
    let mut compared = 0;
    for (package, versions) in packages {
        let (status, body) = get(&format!("/v1/index/{package}"))?;
        let lines: BTreeMap<String, (String, bool)> = match status {
            200 => body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(index_line).collect(),
            404 => BTreeMap::new(),
            _ => return Err(format!("{package}: {status} {}", String::from_utf8_lossy(&body))),
        };
        for (version, steps) in versions {
            let states = allowed(steps, window);
            let path = format!("/v1/packages/{package}/versions/{version}");
            let found = match lines.get(version) {
                Some((sha256, yanked)) => {
                    let (status, bytes) = get(&format!("{path}/artifact"))?;
                    let right = states.iter().find(|state| {
                        matches!(state, State::There { content: number, yanked: was }
                            if was == yanked && hash(&content(*number)) == *sha256)
                    });
                    if status != 200 || hash(&bytes) != *sha256 {
                        return Err(format!("{package} {version}: {status}, {} bytes are not {sha256}", bytes.len()));
                    }
                    right.copied().ok_or_else(|| format!("{package} {version}: {sha256} {yanked}, not {states:?}"))?
                }
                None => match get(&path)?.0 {
                    404 => State::Absent,
                    410 => State::Purged,
                    status => return Err(format!("{package} {version}: {status} without an index line")),
                },
            };
            if !states.contains(&found) {
                return Err(format!("{package} {version}: {found:?}, not {states:?}"));
            }
            compared += 1;
        }
    }
    Ok(compared)
}

fn index_line(line: &[u8]) -> (String, (String, bool)) {
    let line: Value = serde_json::from_slice(line).expect("a line of JSON");
    let text = |key: &str| line[key].as_str().expect("a text").to_owned();
    (text("version"), (text("sha256"), line["yanked"] == true))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_hex()
}
