//! Errors as failures show them.

/// What was being done, and the whole chain of what went wrong.
pub(crate) fn told(op: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{op}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
