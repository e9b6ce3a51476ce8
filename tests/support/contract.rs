//! What holds for every answer, whatever was asked (API.md section 1), and what the route table promised.

use serde_json::Value;
use vix_registry::http::matching::{Found, Verb};
use vix_registry::http::routes::{ROUTES, ReplyKind, Route, matcher};

use super::client::{Answer, Ask};
use super::shapes;

/// The row of the table that a request goes to.
pub(crate) fn route_of(method: &str, path: &str) -> Option<&'static Route> {
    let path = path.split('?').next().unwrap_or(path);
    let verb = Verb::of(&hyper::Method::from_bytes(method.as_bytes()).ok()?);
    match matcher().find(verb, path) {
        Ok(Found::Row(row, _)) => Some(&ROUTES[row]),
        Ok(Found::OtherMethods(_)) | Err(_) => None,
    }
}

/// Whether there is such a route yet.
pub(crate) fn is_routed(method: &str, path: &str) -> bool {
    route_of(method, path).is_some()
}

/// Holds an answer against the conventions and its route's row.
#[track_caller]
pub(crate) fn check(ask: &Ask, answer: &Answer) {
    let told = format!("{} {} -> {} {:?}", ask.method, ask.path, answer.status, answer.headers);
    if answer.status == 431 || answer.status == 414 {
        return;
    }
    assert!(answer.status < 500 || answer.status == 503 || answer.status == 507, "{told} {}", answer.text());
    assert_eq!(answer.all("x-request-id").len(), 1, "{told}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{told}");
    match route_of(&ask.method, &ask.path) {
        Some(route) => {
            let declared = route.declared();
            assert!(declared.contains(&answer.status), "{told} is not among the declared {declared:?}");
            check_media(route, answer, &told);
            let is_whole = ask.method != "HEAD" && answer.whole && !answer.has("content-encoding");
            if is_whole
                && answer.header("content-type") == "application/json"
                && [200, 201, 202].contains(&answer.status)
            {
                shapes::check(route.id, &answer.json()["data"]);
            }
        }
        None => assert!([204, 400, 403, 404, 405].contains(&answer.status), "{told}"),
    }
    if answer.status >= 400 { check_failure(ask, answer, &told) } else { check_success(answer, &told) }
}

fn check_media(route: &Route, answer: &Answer, told: &str) {
    if !(200..300).contains(&answer.status) || answer.status == 204 {
        return;
    }
    let media = answer.header("content-type");
    match route.reply {
        ReplyKind::Json(_) | ReplyKind::List(_) => assert_eq!(media, "application/json", "{told}"),
        ReplyKind::Bytes("application/json") => assert!(media.contains("json"), "{told}"),
        ReplyKind::Bytes(_) => assert!(!media.is_empty(), "{told}"),
    }
}

fn check_success(answer: &Answer, told: &str) {
    assert!(!answer.has("x-error") && !answer.has("www-authenticate"), "{told}");
    let is_json = answer.header("content-type") == "application/json" && !answer.has("content-encoding");
    if !is_json || answer.body.is_empty() || !answer.whole {
        return;
    }
    let json = answer.json();
    if json.get("ok").is_none() {
        return;
    }
    assert_eq!(json["ok"], true, "{told}");
    let members: Vec<&String> = json.as_object().expect("an envelope").keys().collect();
    assert_eq!(members, ["ok", "data", "meta"], "{told}");
    let id = json["meta"].get("request_id");
    let expected = (!answer.has("etag")).then(|| Value::from(answer.header("x-request-id")));
    assert_eq!(id, expected.as_ref(), "{told}");
    if let Some(page) = json["meta"].get("page") {
        assert!(
            json["data"].is_array() && page["limit"].is_u64() && page.get("next_cursor").is_some(),
            "{told} {page}"
        );
        assert_eq!(answer.has("link"), page["next_cursor"].is_string(), "{told} {page}");
    }
}

fn check_failure(ask: &Ask, answer: &Answer, told: &str) {
    assert_eq!(answer.header("cache-control"), "no-store", "{told}");
    let x_error = answer.header("x-error");
    let (reason, sentence) = x_error.split_once("; ").unwrap_or_else(|| panic!("{told}: no reason in `{x_error}`"));
    assert!(!sentence.is_empty() && x_error.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{told}");
    let challenges = answer.all("www-authenticate");
    let schemes: Vec<&str> = challenges.iter().filter_map(|text| text.split(' ').next()).collect();
    match answer.status {
        401 => {
            assert_eq!(schemes, ["Bearer", "Basic"], "{told}");
            assert!(challenges[0].contains(sentence), "{told}");
            assert_eq!(challenges[0].contains("error=\"invalid_token\""), reason != "missing_token", "{told}");
        }
        403 => assert!(challenges.first().is_some_and(|text| text.contains(sentence)), "{told}"),
        405 => assert!(answer.has("allow"), "{told}"),
        429 | 503 => assert!(answer.has("retry-after"), "{told}"),
        _ => assert!(challenges.is_empty(), "{told}"),
    }
    if ask.method == "HEAD" || !answer.whole {
        return;
    }
    assert_eq!(answer.header("content-type"), "application/json", "{told}");
    let json = answer.json();
    let error = &json["error"];
    assert_eq!((&json["ok"], &error["reason"]), (&false.into(), &reason.into()), "{told} {json}");
    assert_eq!(json["meta"]["request_id"], answer.header("x-request-id"), "{told}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{told} {json}");
    assert!(error["code"].is_string(), "{told} {json}");
    for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
        let texts = ["field", "reason", "message"].map(|member| detail[member].is_string());
        assert_eq!(texts, [true; 3], "{told} {json}");
    }
    let text = answer.text();
    assert!(!text.contains("/tmp") && !text.contains(".rs:") && !text.contains("vixr_0"), "{told} {text}");
}
