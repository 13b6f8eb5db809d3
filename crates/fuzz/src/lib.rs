//! Tries parsers of foreign bytes with mutations of a corpus.
//!
//! libFuzzer needs a nightly compiler, so this is simpler: no coverage, but the inputs that a
//! parser accepts are kept and mutated further. The order of inputs depends on the target's name
//! only; the time decides how many there are: 100 ms each, or `FUZZ_MILLISECONDS`.
//!
//! A target is a test beside its parser, named `fuzz_…`:
//!
//! ```
//! fuzz::target("numbers", &["1", "-7", "1e9"], |bytes| {
//!     let text = std::str::from_utf8(bytes).unwrap_or_default();
//!     text.parse::<f64>().is_ok()
//! });
//! ```
//!
//! The test fails if the parser panics or takes longer than a second for one input; the input is
//! printed. Put it into the corpus when the parser is mended.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

/// The longest input that is tried, in bytes.
const LONGEST: usize = 8 * 1024;

/// The largest number of inputs that are kept.
const KEPT: usize = 512;

/// How long one input may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Calls `parse` with every seed and then, until the time is up, with mutations. `parse` says
/// whether it accepted the bytes.
///
/// # Panics
/// When there are no seeds, none of them is accepted, or `parse` panics or takes too long.
pub fn target<S: AsRef<[u8]>>(name: &str, seeds: &[S], parse: impl Fn(&[u8]) -> bool) {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_ref().to_vec()).collect();
    assert!(!seeds.is_empty(), "{name}: the corpus is empty");
    let accepted = seeds
        .iter()
        .filter(|seed| attempt(name, &parse, seed))
        .count();
    assert!(
        accepted > 0,
        "{name}: no seed is accepted, so only errors would be tried"
    );
    let (mut pool, mut random) = (seeds, Random::new(name));
    let (start, budget) = (now(), budget());
    // Never nothing at all, however short the time.
    for round in 0_u64.. {
        if round >= 64 && start.elapsed() >= budget {
            break;
        }
        let input = mutation(&pool, &mut random);
        if attempt(name, &parse, &input) && !pool.contains(&input) {
            if pool.len() < KEPT {
                pool.push(input);
            } else {
                let place = random.below(KEPT);
                pool[place] = input;
            }
        }
    }
}

fn attempt(name: &str, parse: impl Fn(&[u8]) -> bool, input: &[u8]) -> bool {
    let start = now();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| parse(input)));
    let shown = input.escape_ascii();
    match outcome {
        Ok(accepted) => {
            let took = start.elapsed();
            assert!(
                took < PATIENCE,
                "{name}: {took:?} for one input: b\"{shown}\""
            );
            accepted
        }
        Err(panic) => fail(name, &shown.to_string(), panic),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the input has to be seen, whatever the panic says"
)]
fn fail(name: &str, shown: &str, panic: Box<dyn Any + Send>) -> ! {
    eprintln!("{name}: this input made it panic: b\"{shown}\"");
    panic::resume_unwind(panic)
}

#[expect(
    clippy::disallowed_methods,
    reason = "bounds how long a test runs; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}

fn budget() -> Duration {
    let milliseconds = std::env::var("FUZZ_MILLISECONDS").ok();
    let milliseconds = milliseconds.and_then(|text| text.parse().ok());
    Duration::from_millis(milliseconds.unwrap_or(100))
}

/// Bytes that mean something to one grammar or another.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"'",
    b"\\",
    b",",
    b", ",
    b";",
    b":",
    b"=",
    b"-",
    b"--",
    b"..",
    b"../",
    b"/",
    b"//",
    b"*",
    b"**",
    b"?",
    b"[",
    b"]",
    b"[^",
    b"{",
    b"}",
    b"(",
    b")",
    b"(?i)",
    b"${",
    b"$",
    b"^",
    b"|",
    b"+",
    b"#",
    b"&",
    b"%",
    b"%00",
    b"%2f",
    b"<",
    b">",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"\xff",
    b"\xc0\x80",
    b"\xe2\x80\xae",
    b"\xc2\x9b",
    b"\x1b[",
    b"\xef\xbb\xbf",
    b"sha256:",
    b"bytes=",
    b"rel=\"next\"",
];

fn mutation(pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = at + random.below((input.len() - at + 1).min(32));
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.byte(),
            2 => drop(input.drain(at..end)),
            3 => {
                let word = WORDS[random.below(WORDS.len())];
                input.splice(at..at, word.iter().copied());
            }
            4 => {
                let other = &pool[random.below(pool.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => {
                let piece = input[at..end].to_vec();
                let many = piece.repeat(1 + random.below(64));
                input.splice(at..at, many);
            }
            6 => input.truncate(at),
            _ => input.insert(at, random.byte()),
        }
        input.truncate(LONGEST);
    }
    input
}

/// xorshift64*: enough to mutate with.
struct Random(u64);

impl Random {
    /// FNV-1a of the name as the seed; never zero.
    fn new(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn the_same_inputs_come_in_the_same_order() {
        let inputs = || {
            let seen = RefCell::new(Vec::new());
            target("order", &["abc", "def"], |bytes| {
                let mut seen = seen.borrow_mut();
                if seen.len() < 50 {
                    seen.push(bytes.to_vec());
                }
                true
            });
            seen.into_inner()
        };
        let (first, second) = (inputs(), inputs());
        assert_eq!(first, second);
        assert_eq!(first.len(), 50);
    }

    #[test]
    fn a_panic_is_found() {
        let outcome = panic::catch_unwind(|| {
            target("panic", &["[[[]]]"], |bytes| {
                assert!(!bytes.windows(2).any(|pair| pair == b"]["), "found");
                true
            });
        });
        assert!(outcome.is_err());
    }

    #[test]
    fn accepted_inputs_are_mutated_further() {
        let longest = Cell::new(0);
        target("growth", &["a"], |bytes| {
            longest.set(longest.get().max(bytes.len()));
            true
        });
        assert!(longest.get() > 100, "{}", longest.get());
    }
}
