//! Which field of a JSON text a place in it belongs to.
//!
//! serde tells where it stopped, as line and column, but not in which field. This reads the text up to there.

/// What encloses the place.
enum Level {
    Object { key: Option<String> },
    Array { index: usize },
}

/// The path of the field at a place (`line` from 1, `column` the count of bytes read on that line), such as
/// `dependencies[3].req`; empty for the outermost value. The text has to be well-formed JSON up to there.
pub(super) fn path_at(json: &[u8], line: usize, column: usize) -> String {
    let start: usize = json.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let read = json.get(..start.saturating_add(column).min(json.len())).unwrap_or(json);
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    while let Some(byte) = read.get(at) {
        match byte {
            b'{' => levels.push(Level::Object { key: None }),
            b'[' => levels.push(Level::Array { index: 0 }),
            b'}' | b']' => drop(levels.pop()),
            b'"' => {
                let end = string_end(read, at);
                if let Some(Level::Object { key: key @ None }) = levels.last_mut() {
                    *key = Some(unquoted(read.get(at..end).unwrap_or_default()));
                }
                at = end;
                continue;
            }
            // A comma that is the last byte read belongs to the value before it: a number ends only at what follows.
            b',' if at + 1 < read.len() => match levels.last_mut() {
                Some(Level::Object { key }) => *key = None,
                Some(Level::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    written(&levels)
}

/// The place after the string that begins at `start`.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn unquoted(string: &[u8]) -> String {
    serde_json::from_slice(string).unwrap_or_else(|_| String::from_utf8_lossy(string).trim_matches('"').to_owned())
}

fn written(levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Object { key: Some(key) } if path.is_empty() => path.push_str(key),
            Level::Object { key: Some(key) } => path = format!("{path}.{key}"),
            Level::Object { key: None } => {}
            Level::Array { index } => path = format!("{path}[{index}]"),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_path_of_its_field() {
        let json = "{\"a\":1,\n\"b\":[{\"c\\u0064\":\"}\\\"\"},{\"e\":true}]}";
        let check = |line, column, expected: &str| {
            assert_eq!(path_at(json.as_bytes(), line, column), expected, "{line}:{column}");
        };
        check(1, 0, "");
        check(1, 6, "a");
        check(1, 7, "a");
        check(2, 3, "b");
        check(2, 15, "b[0].cd");
        check(2, 21, "b[0].cd");
        check(2, 22, "b[0]");
        check(2, 32, "b[1].e");
        check(9, 99, "");
    }
}
