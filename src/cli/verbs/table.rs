//! JSON as people read it: columns of a list, lines of one thing.

use serde_json::Value;

use crate::telemetry::clean;

/// A list as a table with headings; `none` when it is empty.
pub fn table(entries: &Value, columns: &[(&str, &str)], none: &str) -> String {
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return none.to_owned();
    }
    let mut rows = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect::<Vec<_>>()];
    rows.extend(entries.iter().map(|entry| columns.iter().map(|(_, key)| cell(&entry[*key])).collect()));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One thing, a line for each of its fields that has a value.
pub fn lines(thing: &Value) -> String {
    let Some(fields) = thing.as_object() else { return cell(thing) };
    let shown: Vec<(&String, String)> =
        fields.iter().map(|(key, value)| (key, cell(value))).filter(|(_, text)| text != "-").collect();
    let width = shown.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    shown.iter().map(|(key, text)| format!("{key:<width$}  {text}")).collect::<Vec<_>>().join("\n")
}

/// One value: text of others is made harmless, what is not there is a dash.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => clean(text).into_owned(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(fields) if fields.is_empty() => "-".to_owned(),
        Value::Object(_) => clean(&value.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_aligns_its_columns_and_shows_gaps() {
        let entries = json!([{ "name": "gk/jwt", "latest": null }, { "name": "a", "latest": "1.0.0" }]);
        let shown = table(&entries, &[("NAME", "name"), ("LATEST", "latest")], "nothing");
        assert_eq!(shown, "NAME    LATEST\ngk/jwt  -\na       1.0.0");
        assert_eq!(table(&json!([]), &[("NAME", "name")], "nothing"), "nothing");
    }

    #[test]
    fn text_of_others_cannot_act_on_a_terminal() {
        assert_eq!(lines(&json!({ "a": "x\u{1b}[2Jy", "bc": [1, 2], "d": null })), "a   x\\u{1b}[2Jy\nbc  1,2");
    }
}
