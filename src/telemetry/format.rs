//! The two shapes of a log line. Every value passes [`clean`] before it is written.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::clean::{clean, clean_to};

/// The most characters of an event's message.
const MESSAGE_CHARS_MAX: usize = 2048;

/// Writes an event as one line: `{"ts","level","msg","target",…}`, or the same as text.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    /// JSON, or else text.
    pub(super) json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (meta, now) = (event.metadata(), jiff::Timestamp::now());
        let mut fields = Fields { json: self.json, message: String::new(), rest: String::with_capacity(256) };
        event.record(&mut fields);
        let message = clean_to(&fields.message, MESSAGE_CHARS_MAX);
        if self.json {
            write!(out, r#"{{"ts":"{now:.6}","level":"{}","msg":"#, level_name(*meta.level()))?;
            write_quoted(&mut out, &message)?;
            out.write_str(r#","target":"#)?;
            write_quoted(&mut out, &clean(meta.target()))?;
            writeln!(out, "{}}}", fields.rest)
        } else {
            let level = level_name(*meta.level());
            writeln!(out, "{now:.6} {level:<5} {}: {message}{}", clean(meta.target()), fields.rest)
        }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Collects the message and, already written in the line's shape, all other fields.
struct Fields {
    json: bool,
    message: String,
    rest: String,
}

impl Fields {
    fn name(&mut self, field: &Field) {
        let name = field.name().trim_start_matches("r#");
        if self.json {
            self.rest.push(',');
            quote(&mut self.rest, name);
            self.rest.push(':');
        } else {
            self.rest.push(' ');
            self.rest.push_str(name);
            self.rest.push('=');
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        self.name(field);
        let value = clean(value);
        let plain = !value.is_empty() && !value.contains([' ', '"', '=', '\\']);
        if self.json || !plain {
            quote(&mut self.rest, &value);
        } else {
            self.rest.push_str(&value);
        }
    }

    /// A number or boolean, which both shapes write bare.
    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        self.rest.push_str(&value.to_string());
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source.filter(|_| chain.len() < MESSAGE_CHARS_MAX) {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        self.text(field, &chain);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() { self.bare(field, value) } else { self.text(field, &value.to_string()) }
    }
}

/// Puts cleaned text (which has no control characters) into quotes, as JSON has it.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn write_quoted(out: &mut Writer<'_>, text: &str) -> fmt::Result {
    let mut quoted = String::with_capacity(text.len() + 2);
    quote(&mut quoted, text);
    out.write_str(&quoted)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Format, Level, subscriber};
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("sink").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged while `run` runs.
    pub(in super::super) fn captured(level: Level, format: Format, run: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        tracing::subscriber::with_default(subscriber(level, format, false, move || writer.clone()), run);
        let bytes = sink.0.lock().expect("sink").clone();
        String::from_utf8(bytes).expect("log lines are UTF-8")
    }

    pub(in super::super) fn json(line: &str) -> serde_json::Value {
        assert!(line.ends_with('\n') && line.lines().count() == 1, "{line}");
        serde_json::from_str(line).expect(line)
    }

    #[test]
    fn a_json_line_holds_every_kind_of_value() {
        let cause = io::Error::other(io::Error::other("disk \u{1b}gone"));
        let line = captured(Level::Info, Format::Json, || {
            let error: &(dyn std::error::Error + 'static) = &cause;
            tracing::info!(
                n = -5_i64,
                u = 7_u64,
                f = 0.5,
                nan = f64::NAN,
                yes = true,
                s = "a \"b\" \\",
                error,
                "hello\n{}",
                1
            );
        });
        let value = json(&line);
        assert_eq!(value["msg"], "hello\\u{a}1");
        assert_eq!((&value["n"], &value["u"]), (&(-5).into(), &7.into()));
        assert_eq!((&value["f"], &value["yes"]), (&0.5.into(), &true.into()));
        assert_eq!(value["s"], "a \"b\" \\");
        assert!(value["nan"].is_string());
        assert!(value["error"].as_str().is_some_and(|e| e.starts_with("disk \\u{1b}gone")), "{line}");
    }

    #[test]
    fn a_text_line_cannot_be_forged_by_a_value() {
        let token = format!("vixr_{}", "Z9".repeat(24));
        let line = captured(Level::Info, Format::Text, || {
            tracing::warn!(plain = "a/b", empty = "", evil = "x\" level=error \u{202e}\nfake", token, n = 3, "said");
        });
        assert_eq!(line.lines().count(), 1);
        let rest = line.split_once(": said ").expect(&line).1.trim_end();
        assert_eq!(rest, r#"plain=a/b empty="" evil="x\" level=error \\u{202e}\\u{a}fake" token=vixr_*** n=3"#);
        assert!(line.contains(" warn  "), "{line}");
    }

    #[test]
    fn lines_below_the_level_and_chatter_of_other_crates_are_left_out() {
        let logged = captured(Level::Debug, Format::Json, || {
            tracing::trace!("no");
            tracing::debug!("yes");
            tracing::debug!(target: "hyper::proto", "headers of a request");
            tracing::warn!(target: "hyper::proto", "yes");
        });
        assert_eq!(logged.lines().count(), 2, "{logged}");
    }

    #[test]
    fn auto_is_text_on_a_terminal_and_json_elsewhere() {
        assert!(captured(Level::Info, Format::Auto, || tracing::info!("x")).starts_with('{'));
        assert!(Format::Auto.is_json(false) && !Format::Auto.is_json(true));
        assert!(Format::Json.is_json(true) && !Format::Text.is_json(false));
    }
}
