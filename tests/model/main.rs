//! Random sequences of operations, with restarts, against a model in memory (issue: Show 7).
//!
//! `VIXR_TEST_SEED` repeats a run, `VIXR_TEST_BUDGET=long` makes it a campaign; both are printed.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
#![expect(clippy::print_stderr, reason = "seeds, measurements and missing inputs are told")]

mod registry;

#[expect(dead_code, unused_imports, reason = "the model needs a part of it")]
#[path = "../support/mod.rs"]
mod support;

use registry::{Model, PACKAGES, Publish, VERSIONS};
use support::personas::people;
use support::{Answer, Ask, Persona, Server};

/// Operations between two comparisons of everything.
const ROUND: usize = 25;

/// A small generator of pseudo-random numbers (xorshift64*), so that a seed tells the whole run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("less than bound")
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// One operation, as it is printed when the two differ.
#[derive(Debug)]
enum Step {
    Publish { package: &'static str, version: &'static str, how: Publish },
    Yank { package: &'static str, version: &'static str, yanked: bool },
    Purge { package: &'static str, version: &'static str },
    Show { package: &'static str, public: bool },
    Restart,
}

impl Step {
    fn draw(random: &mut Random) -> Self {
        let (package, version) = (random.pick(&PACKAGES), random.pick(&VERSIONS));
        match random.below(100) {
            0..55 => {
                let (content, create, dry_run) = (random.below(2), random.below(4) > 0, random.below(8) == 0);
                Self::Publish { package, version, how: Publish { content, create, dry_run } }
            }
            55..80 => Self::Yank { package, version, yanked: random.below(3) > 0 },
            80..87 => Self::Purge { package, version },
            87..97 => Self::Show { package, public: random.below(2) == 0 },
            _ => Self::Restart,
        }
    }

    /// Does it to both, and compares what they answer.
    fn run(&self, server: &mut Server, model: &mut Model) -> Result<(), String> {
        let send = |ask: Ask, by: Persona| server.ask(&ask.token(&by.token()));
        let path = |package: &str, version: &str| format!("/v1/packages/{package}/versions/{version}");
        let (expected, answer) = match self {
            Self::Publish { package, version, how } => {
                let query = format!("create={}&dry_run={}", how.create, how.dry_run);
                let bytes = registry::bytes(package, version, how.content);
                let ask = Ask::put(&format!("{}?{query}", path(package, version)), bytes);
                (model.publish(package, version, *how), send(ask, Persona::Owner))
            }
            Self::Yank { package, version, yanked } => {
                let body = serde_json::json!({"yanked": yanked});
                let ask = Ask::json("PATCH", &path(package, version), &body);
                (model.yank(package, version, *yanked), send(ask, Persona::Owner))
            }
            Self::Purge { package, version } => {
                let ask = Ask::new("DELETE", &format!("{}?reason=test", path(package, version)));
                (model.purge(package, version), send(ask, Persona::Admin))
            }
            Self::Show { package, public } => {
                let body = serde_json::json!({"visibility": if *public { "public" } else { "private" }});
                let ask = Ask::json("PATCH", &format!("/v1/packages/{package}"), &body);
                (model.show(package, *public), send(ask, Persona::Owner))
            }
            Self::Restart => {
                server.restart();
                return Ok(());
            }
        };
        compare(expected, &answer)
    }
}

fn compare(expected: (u16, &str), answer: &Answer) -> Result<(), String> {
    let found = (answer.status, answer.reason());
    if (found.0, found.1.as_str()) == expected {
        return Ok(());
    }
    Err(format!("expected {expected:?}, found {found:?}: {}", answer.text()))
}

#[test]
fn any_sequence_of_operations_leaves_what_the_model_holds() {
    let long = std::env::var("VIXR_TEST_BUDGET").is_ok_and(|budget| budget == "long");
    let steps = if long { 20_000 } else { 500 };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    let seed: Option<u64> = std::env::var("VIXR_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| now.subsec_nanos().into()).max(1);
    eprintln!("model: VIXR_TEST_SEED={seed}, {steps} operations (VIXR_TEST_BUDGET=long for 20000)");
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut server = Server::start();
    people(&server);
    let mut model = Model::default();
    for number in 0..steps {
        let step = Step::draw(&mut random);
        if let Err(difference) = step.run(&mut server, &mut model) {
            panic!("VIXR_TEST_SEED={seed}, operation {number}, {step:?}: {difference}");
        }
        if number % ROUND == ROUND - 1 {
            model.check(&server, &format!("VIXR_TEST_SEED={seed}, after operation {number}, {step:?}"));
        }
    }
    server.restart();
    model.check(&server, &format!("VIXR_TEST_SEED={seed}, at the end"));
}
