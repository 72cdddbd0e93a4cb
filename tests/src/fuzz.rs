//! A mutator for readers of hostile input, on stable Rust, without a dependency: crates include this
//! file by its path.
//!
//! Every case is a known input with a few mutations. A case ends in a value or an error; a panic, ten
//! seconds, or memory beyond the bound fails the run and keeps the input. A case answers with a number
//! that tells endings apart (which error, how far it came): inputs with an ending not seen before become
//! known inputs themselves, so that later cases start from there.
//!
//! Environment: `SAM2_FUZZ_CASES` (so many cases instead of the short run's), `SAM2_FUZZ_STATE` (a
//! folder: goes on where the last run stopped, keeps the inputs found, and writes a line of figures).

#![allow(dead_code, clippy::unwrap_used, clippy::panic)] // a test helper, of which each user takes a part

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A case that takes longer is a hang.
const HANG: Duration = Duration::from_secs(10);
/// Inputs kept beside the seeds.
const KEPT: usize = 400;

/// What is fuzzed, and within which bounds.
pub struct Fuzz<'a> {
    pub name: &'a str,
    /// Valid inputs; those kept in tests/fixtures/fuzz/NAME/found are added.
    pub seeds: Vec<Vec<u8>>,
    /// Bytes that mean something to the reader.
    pub words: &'a [&'a [u8]],
    /// Cases of the short run.
    pub cases: u64,
    /// Resident memory that the run may add, in MB.
    pub most_mb: u64,
    /// Longest input.
    pub most_bytes: usize,
}

impl Fuzz<'_> {
    /// Runs the cases.
    ///
    /// # Panics
    /// Where a case panics, hangs, or takes too much memory: that is the test's failure.
    pub fn run(self, case: impl Fn(&[u8]) -> u64) {
        let state = std::env::var_os("SAM2_FUZZ_STATE").map(PathBuf::from);
        let wanted = std::env::var("SAM2_FUZZ_CASES").ok();
        let cases = wanted.and_then(|n| n.parse().ok()).unwrap_or(self.cases);
        let folder = state.map(|state| state.join(self.name));
        let (first, found) = folder.as_deref().map_or((0, Vec::new()), resume);
        let mut known = self.seeds.clone();
        known.extend(resume(&corpus(self.name)).1);
        known.extend(found);
        let seeds = known.len();
        let (began, before) = (Instant::now(), resident_mb());
        let watch = Watch::start(self.name, folder.clone());
        let mut endings = BTreeSet::new();
        let mut slowest = Duration::ZERO;
        for index in first..first + cases {
            let mut dice = Dice::new(index);
            // A known input as it is now and then, so that the endings of all are known.
            let input = match index.checked_sub(first).filter(|i| (*i as usize) < seeds) {
                Some(i) => known[i as usize].clone(),
                None => self.mutated(&known, &mut dice),
            };
            watch.begin(index, &input);
            let start = Instant::now();
            let ending = catch_unwind(AssertUnwindSafe(|| case(&input)));
            slowest = slowest.max(start.elapsed());
            watch.end();
            let Ok(ending) = ending else {
                let kept = keep(folder.as_deref(), self.name, "panic", index, &input);
                panic!(
                    "{}: case {index} panicked; its input is {}",
                    self.name,
                    kept.display()
                );
            };
            if endings.insert(ending) && known.len() < seeds + KEPT && index - first >= seeds as u64
            {
                known.push(input);
            }
            if index % 512 == 0 && resident_mb() > before + self.most_mb {
                let kept = keep(folder.as_deref(), self.name, "memory", index, &known[0]);
                panic!(
                    "{}: {} MB resident at case {index}, {before} before; {}",
                    self.name,
                    resident_mb(),
                    kept.display()
                );
            }
        }
        let grown = resident_mb().saturating_sub(before);
        let line = format!(
            "| {} | {cases} | {} | {} | {:.1} | {grown} |",
            self.name,
            first + cases,
            endings.len(),
            slowest.as_secs_f64() * 1e3,
        );
        println!("{line} in {:.0} s", began.elapsed().as_secs_f64());
        if let Some(folder) = &folder {
            save(folder, first + cases, &known[seeds..], &line);
        }
    }

    fn mutated(&self, known: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
        let mut bytes = known[dice.below(known.len())].clone();
        for _ in 0..=dice.below(6) {
            self.mutate(&mut bytes, known, dice);
        }
        bytes.truncate(self.most_bytes);
        bytes
    }

    fn mutate(&self, bytes: &mut Vec<u8>, known: &[Vec<u8>], dice: &mut Dice) {
        let len = bytes.len();
        let at = dice.below(len.max(1)).min(len);
        let count = (1 + dice.below(64)).min(len - at);
        match dice.below(11) {
            0 | 1 if len > 0 => bytes[at] ^= 1 << dice.below(8),
            2 if len > 0 => bytes[at] = dice.next() as u8,
            // Lengths, counts and offsets that lie, in both byte orders.
            3 | 4 if len > 0 => {
                let width = [1, 2, 4, 8][dice.below(4)].min(len - at);
                let value = dice.extreme();
                let lie = match dice.below(2) {
                    0 => value.to_le_bytes()[..width].to_vec(),
                    _ => value.to_be_bytes()[8 - width..].to_vec(),
                };
                bytes[at..at + width].copy_from_slice(&lie);
            }
            5 => bytes.truncate(at),
            6 => drop(bytes.drain(at..at + count)),
            7 => {
                let copy = bytes[at..at + count].to_vec();
                bytes.splice(at..at, copy);
            }
            8 if !self.words.is_empty() => {
                let word = self.words[dice.below(self.words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            // The end of another input.
            9 => {
                let other = &known[dice.below(known.len())];
                let from = dice.below(other.len().max(1)).min(other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            // Another number where digits stand.
            _ => {
                let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
                    return;
                };
                let start = at + start;
                let digits = bytes[start..]
                    .iter()
                    .take_while(|b| b.is_ascii_digit())
                    .count();
                let number = match dice.below(4) {
                    0 => dice.below(300).to_string(),
                    1 => "1e39".to_owned(),
                    2 => "-1".to_owned(),
                    _ => dice.extreme().to_string(),
                };
                bytes.splice(start..start + digits, number.into_bytes());
            }
        }
    }
}

/// A number for an ending: what stays of a text without its digits, so that errors that differ in a
/// position are one.
pub fn ending(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let letters = text.chars().filter(|c| c.is_ascii_alphabetic()).take(120);
    letters.collect::<String>().hash(&mut hasher);
    hasher.finish()
}

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5a5a)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn extreme(&mut self) -> u64 {
        const VALUES: [u64; 10] = [
            0,
            1,
            0x7f,
            0xff,
            0x7fff,
            0xffff,
            0x7fff_ffff,
            0xffff_ffff,
            1 << 63,
            u64::MAX,
        ];
        match self.below(11) {
            10 => self.next(),
            i => VALUES[i],
        }
    }
}

/// Ends the process when a case hangs: nothing else stops a loop.
struct Watch {
    since: Arc<AtomicU64>,
    input: Arc<Mutex<(u64, Vec<u8>)>>,
    clock: Instant,
}

impl Watch {
    fn start(name: &str, folder: Option<PathBuf>) -> Self {
        let watch = Self {
            since: Arc::default(),
            input: Arc::default(),
            clock: Instant::now(),
        };
        let (since, input, clock) = (watch.since.clone(), watch.input.clone(), watch.clock);
        let name = name.to_owned();
        std::thread::spawn(move || {
            while Arc::strong_count(&since) > 1 {
                std::thread::sleep(Duration::from_millis(500));
                let began = since.load(Ordering::SeqCst);
                let now = clock.elapsed().as_millis() as u64;
                if began > 0 && now > began + HANG.as_millis() as u64 {
                    let input = input.lock().unwrap();
                    let kept = keep(folder.as_deref(), &name, "hang", input.0, &input.1);
                    eprintln!(
                        "{name}: case {} hangs; its input is {}",
                        input.0,
                        kept.display()
                    );
                    std::process::exit(101);
                }
            }
        });
        watch
    }

    fn begin(&self, index: u64, input: &[u8]) {
        let mut known = self.input.lock().unwrap();
        known.0 = index;
        known.1.clear();
        known.1.extend_from_slice(input);
        self.since.store(
            1 + self.clock.elapsed().as_millis() as u64,
            Ordering::SeqCst,
        );
    }

    fn end(&self) {
        self.since.store(0, Ordering::SeqCst);
    }
}

fn keep(folder: Option<&Path>, name: &str, what: &str, index: u64, input: &[u8]) -> PathBuf {
    let folder = folder.map_or_else(std::env::temp_dir, Path::to_owned);
    let path = folder.join(format!("{name}-{what}-{index}"));
    // The failure is said anyway; without the input it is only harder to follow.
    let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
    path
}

/// Where the last run stopped, and what it found.
fn resume(folder: &Path) -> (u64, Vec<Vec<u8>>) {
    let next = fs::read_to_string(folder.join("next")).ok();
    let next = next.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let mut names: Vec<_> = fs::read_dir(folder.join("found"))
        .map(|list| list.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    names.sort();
    (
        next,
        names
            .iter()
            .filter_map(|path| fs::read(path).ok())
            .collect(),
    )
}

/// Inputs kept in the repository: what long runs found, so that short ones begin there.
fn corpus(name: &str) -> PathBuf {
    let crates = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = crates.join("../../tests/fixtures/fuzz");
    folder.join(name.replace(' ', "-"))
}

fn save(folder: &Path, next: u64, found: &[Vec<u8>], line: &str) {
    let inputs = folder.join("found");
    fs::create_dir_all(&inputs).unwrap();
    for input in found {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        fs::write(inputs.join(format!("{:016x}", hasher.finish())), input).unwrap();
    }
    fs::write(folder.join("next"), next.to_string()).unwrap();
    fs::write(folder.join("line"), line).unwrap();
}

/// The high-water mark of resident memory; 0 where the system does not say.
fn resident_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
