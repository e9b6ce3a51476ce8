//! The hot pieces of a request, each on its own: `cargo bench`. Compare figures of one run only; machines differ.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vix_registry::domain::event::leaf_hash;
use vix_registry::domain::requirement::{Prereleases, Requirement};
use vix_registry::domain::token::TokenText;
use vix_registry::domain::version::VersionNumber;
use vix_registry::http::matching::Verb;
use vix_registry::http::routes::matcher;

fn pieces(criterion: &mut Criterion) {
    criterion.bench_function("route of a version", |bench| {
        bench.iter(|| matcher().find(Some(Verb::Get), black_box("/v1/packages/gk/jwt/versions/1.2.0")).is_ok());
    });
    let token = TokenText::from_random(&[7; 32]);
    criterion.bench_function("check and hash of a token", |bench| {
        bench.iter(|| TokenText::parse(black_box(token.reveal())).map(|text| text.hash()));
    });
    let number = VersionNumber::parse("1.2.3").expect("a version");
    let req = Requirement::parse("^1.2 || ~2.0").expect("a requirement");
    criterion.bench_function("match of a requirement", |bench| {
        bench.iter(|| req.matches(black_box(&number), Prereleases::OnlyNamed));
    });
    let entry = [b'x'; 256];
    criterion.bench_function("leaf hash of an event", |bench| bench.iter(|| leaf_hash(black_box(&entry))));
}

criterion_group!(benches, pieces);
criterion_main!(benches);
