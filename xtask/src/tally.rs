//! Counting tests from the closing lines of the runners: Cargo's and Node's.

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    /// Adds what `line` says, when it is a closing line.
    ///
    /// Cargo: `test result: ok. 5 passed; 0 failed; ...`, once per test program. Node:
    /// `# pass 5`, `# fail 0` and `# cancelled 0` (or with an `ℹ` in front, when it thinks that it
    /// talks to a person), once per run; a cancelled test did not pass.
    pub fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(result) = line.strip_prefix("test result: ") {
            for part in result.split([';', '.']) {
                match part.trim().split_once(' ') {
                    Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                    Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                    _ => {}
                }
            }
        } else if let Some(result) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            match result.split_once(' ') {
                Some(("pass", count)) => self.passed += count.parse().unwrap_or(0),
                Some(("fail" | "cancelled", count)) => self.failed += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn cargo_and_node_are_summed() {
        let text = "\
running 2 tests
test a ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.5s
# tests 9
# pass 6
# fail 1
# cancelled 2
# skipped 4
ℹ pass 10
ℹ fail 0
";
        assert_eq!(
            tally(text),
            Tally {
                passed: 31,
                failed: 5
            }
        );
    }

    #[test]
    fn other_lines_say_nothing() {
        let text = "# passing through\ntest result\n# pass many\n5 passed; 2 failed\n";
        assert_eq!(tally(text), Tally::default());
    }
}
