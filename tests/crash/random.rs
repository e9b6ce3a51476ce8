//! Pseudo-random numbers, so that a seed tells a whole run.

/// xorshift64*.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("less than bound")
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.below(100) < usize::from(percent)
    }
}

/// The seed of this run, printed with what it is for.
pub(crate) fn seed(of: &str) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    let given: Option<u64> = std::env::var("VIXR_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| now.subsec_nanos().into()).max(1);
    eprintln!("{of}: VIXR_TEST_SEED={seed}, a campaign: {}", is_long());
    seed
}

/// Whether this run is a campaign.
pub(crate) fn is_long() -> bool {
    std::env::var("VIXR_TEST_BUDGET").is_ok_and(|budget| budget == "long")
}
