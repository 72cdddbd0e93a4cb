//! The mask check on the host: what must hold of a decoder's answer before anyone looks at it.
//!
//! Runs on raw logits, before the threshold (after it, a NaN can no longer be seen), and on the
//! IoU and object scores. The other half, two checksums that the device computes in the same
//! submission, is in [`crate::checksum`].

use std::ops::RangeInclusive;

/// Mask logits of a working network lie well inside this range: a trained SAM 2 stays within
/// about 60, seeded weights within some hundreds. Beyond it something has overflowed.
pub const LOGIT_RANGE: RangeInclusive<f32> = -10_000.0..=10_000.0;

/// Predicted IoUs, after the sigmoid that every published configuration has, with room for its
/// rounding on a device.
pub const IOU_RANGE: RangeInclusive<f32> = -0.001..=1.001;

/// Object scores: logits again.
pub const SCORE_RANGE: RangeInclusive<f32> = LOGIT_RANGE;

/// The value of every logit of an object that is not in the frame (`NO_OBJ_SCORE`).
pub const ABSENT_LOGIT: f32 = -1024.0;

/// What a mask prompt is turned into: this inside, its negative outside.
pub const MASK_PROMPT_LOGIT: f32 = 10.0;

/// What the mask check found wrong, with its figures.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskFault {
    /// More or fewer values than asked for.
    #[error("mask check: {actual} values came back, {expected} were asked for")]
    WrongLength {
        /// Values asked for.
        expected: usize,
        /// Values received.
        actual: usize,
    },
    /// NaN or infinity.
    #[error("mask check: {count} values are not finite, the first is {value} at {index}")]
    NotFinite {
        /// Where the first is.
        index: usize,
        /// NaN or an infinity.
        value: f32,
        /// How many there are.
        count: usize,
    },
    /// A value that no working network gives.
    #[error("mask check: value {value} at {index} is outside {min} to {max}")]
    OutOfRange {
        /// Where the first is.
        index: usize,
        /// The value.
        value: f32,
        /// Least allowed.
        min: f32,
        /// Most allowed.
        max: f32,
    },
    /// One value everywhere: a buffer that nobody wrote.
    #[error("mask check: all {count} values are {value}")]
    Constant {
        /// The value.
        value: f32,
        /// How many there are.
        count: usize,
    },
    /// What arrived is not what the device summed up.
    #[error(
        "mask check: checksum {which} is {device} on the device and {host} here, more than \
         {tolerance} apart"
    )]
    Checksum {
        /// 0 or 1.
        which: usize,
        /// As the device computed it.
        device: f64,
        /// As computed from the values that arrived.
        host: f64,
        /// Largest difference that rounding explains.
        tolerance: f64,
    },
    /// The answer to another request: a buffer that was not refreshed.
    #[error("mask check: the answer to request {actual} came for request {expected}")]
    Stale {
        /// The request that was made.
        expected: u64,
        /// The number that travelled with the data.
        actual: u64,
    },
    /// What stayed on the device is not what was made there.
    #[error(
        "mask check: the values changed since they were made: checksum {now}, it was {before}, \
         more than {tolerance} apart"
    )]
    Changed {
        /// When they were made.
        before: f64,
        /// When they were used.
        now: f64,
        /// Largest difference that rounding explains.
        tolerance: f64,
    },
    /// The device reported an error between request and answer.
    #[error("mask check: the device reported an error: {message}")]
    Device {
        /// What it said.
        message: String,
    },
}

impl MaskFault {
    /// The stable code of every fault, one of the table in ARCHITECTURE.md.
    pub fn code(&self) -> &'static str {
        "mask_fault"
    }
}

/// What a look at sound logits gives besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitStats {
    /// Least value.
    pub min: f32,
    /// Greatest value.
    pub max: f32,
    /// Every value is [`ABSENT_LOGIT`]: the object is not in this frame.
    pub absent: bool,
}

/// Checks the logits of **one** mask, [h, w]: right length, finite, inside `range`, not constant.
///
/// Valid although constant: [`ABSENT_LOGIT`] everywhere (an absent object) and
/// plus or minus [`MASK_PROMPT_LOGIT`] everywhere (a full or empty mask prompt).
///
/// # Errors
/// The first rule that fired, in the order above.
pub fn inspect(
    logits: &[f32],
    expected_len: usize,
    range: &RangeInclusive<f32>,
) -> Result<LogitStats, MaskFault> {
    let (min, max) = inspect_scores(logits, expected_len, range)?;
    // Exact by intent: these values are written by the model code, not computed.
    let allowed = min == ABSENT_LOGIT || min.abs() == MASK_PROMPT_LOGIT;
    if min == max && logits.len() > 1 && !allowed {
        return Err(MaskFault::Constant {
            value: min,
            count: logits.len(),
        });
    }
    Ok(LogitStats {
        min,
        max,
        absent: min == ABSENT_LOGIT && max == ABSENT_LOGIT,
    })
}

/// Checks IoU or object scores: right length, finite, inside `range`. Equal scores are valid.
/// Returns the least and the greatest; (0, 0) where none was asked for.
///
/// # Errors
/// The first rule that fired, in the order above.
pub fn inspect_scores(
    scores: &[f32],
    expected_len: usize,
    range: &RangeInclusive<f32>,
) -> Result<(f32, f32), MaskFault> {
    if scores.len() != expected_len {
        return Err(MaskFault::WrongLength {
            expected: expected_len,
            actual: scores.len(),
        });
    }
    if scores.is_empty() {
        return Ok((0.0, 0.0));
    }
    // One pass without branches; positions are looked for only when something is wrong.
    let unsound = scores.iter().filter(|v| !v.is_finite()).count();
    if unsound > 0 {
        let index = scores.iter().position(|v| !v.is_finite()).unwrap_or(0);
        return Err(MaskFault::NotFinite {
            index,
            value: scores[index],
            count: unsound,
        });
    }
    let start = (f32::INFINITY, f32::NEG_INFINITY);
    let (least, greatest) = scores.iter().fold(start, |(least, greatest), v| {
        (least.min(*v), greatest.max(*v))
    });
    if !range.contains(&least) || !range.contains(&greatest) {
        let index = scores.iter().position(|v| !range.contains(v)).unwrap_or(0);
        let (min, max) = (*range.start(), *range.end());
        return Err(MaskFault::OutOfRange {
            index,
            value: scores[index],
            min,
            max,
        });
    }
    Ok((least, greatest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Vec<f32> {
        (0..60).map(|i| (i as f32 * 0.7).sin() * 12.0).collect()
    }

    #[test]
    fn sound_logits_pass() {
        let stats = inspect(&sound(), 60, &LOGIT_RANGE).unwrap();
        assert!(stats.min < -11.0 && stats.max > 11.0 && !stats.absent);
    }

    #[test]
    fn every_rule_fires_and_names_itself() {
        let fault = inspect(&sound()[..59], 60, &LOGIT_RANGE).unwrap_err();
        assert_eq!(
            fault,
            MaskFault::WrongLength {
                expected: 60,
                actual: 59
            }
        );

        let mut logits = sound();
        logits[7] = f32::NAN;
        logits[9] = f32::INFINITY;
        let fault = inspect(&logits, 60, &LOGIT_RANGE).unwrap_err();
        assert!(
            matches!(
                fault,
                MaskFault::NotFinite {
                    index: 7,
                    count: 2,
                    ..
                }
            ),
            "{fault}"
        );

        logits = sound();
        logits[59] = -2e4;
        let fault = inspect(&logits, 60, &LOGIT_RANGE).unwrap_err();
        assert!(
            matches!(fault, MaskFault::OutOfRange { index: 59, .. }),
            "{fault}"
        );
        assert_eq!(
            fault.to_string(),
            "mask check: value -20000 at 59 is outside -10000 to 10000"
        );

        for value in [0.0, -1024.5, 9.99] {
            let fault = inspect(&[value; 60], 60, &LOGIT_RANGE).unwrap_err();
            assert_eq!(fault, MaskFault::Constant { value, count: 60 });
            assert_eq!(fault.code(), "mask_fault");
        }
    }

    #[test]
    fn absent_objects_and_mask_prompts_are_valid() {
        assert!(inspect(&[-1024.0; 60], 60, &LOGIT_RANGE).unwrap().absent);
        for value in [10.0, -10.0] {
            assert!(!inspect(&[value; 60], 60, &LOGIT_RANGE).unwrap().absent);
        }
    }

    #[test]
    fn scores_may_be_equal_but_not_strange() {
        assert_eq!(
            inspect_scores(&[0.5; 3], 3, &IOU_RANGE).unwrap(),
            (0.5, 0.5)
        );
        assert!(inspect_scores(&[0.5, 1.2], 2, &IOU_RANGE).is_err());
        assert!(inspect_scores(&[f32::NAN], 1, &SCORE_RANGE).is_err());
        assert_eq!(inspect_scores(&[], 0, &IOU_RANGE).unwrap(), (0.0, 0.0));
    }
}
