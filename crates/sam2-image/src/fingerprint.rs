//! An exact fingerprint of values in memory: whether they are the very bits that were made.
//!
//! Where both sides are in this computer's memory (the CPU backend) there is no rounding to allow for,
//! so that the comparison is of bits. Sixteen lanes of `h = h * M + bits` with an odd `M`: a single
//! changed bit always changes its lane (`M` has an inverse mod 2^32), other differences go unseen with
//! a chance of about 2^-32. One pass, no branches, at the speed of memory.

use crate::{MaskFault, parallel};

const LANES: usize = 16;
/// Values that are passed over by one thread: 1 MB, for which another thread is worth waking. Part of
/// what a hash is, so that it does not depend on the number of threads.
const BLOCK: usize = 1 << 18;
const MULTIPLIER: u32 = 0x9e37_79b1;
/// The exponent of infinities and NaN.
const NOT_FINITE: u32 = 0x7f80_0000;

/// What one pass over values says of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Of the bits of every value, and of their order.
    pub hash: u64,
    /// No NaN and no infinity.
    pub finite: bool,
    /// All values have the same bits (also where there is one, or none).
    pub constant: bool,
}

impl Fingerprint {
    /// The fingerprint of `values`, on as many threads as there are.
    pub fn of(values: &[f32]) -> Self {
        let first = values.first().map_or(0, |v| v.to_bits());
        let mut blocks = vec![Lanes::default(); values.len().div_ceil(BLOCK)];
        match &mut blocks[..] {
            [one] => *one = Lanes::of(values, first),
            many => {
                let jobs = values.chunks(BLOCK).zip(many).collect();
                parallel::for_each(jobs, |(values, block): (&[f32], &mut Lanes)| {
                    *block = Lanes::of(values, first);
                });
            }
        }
        let mut hash = values.len() as u64;
        for lane in blocks.iter().flat_map(|block| block.hash) {
            // An odd factor and a shift: one-to-one in `lane` for a given `hash`.
            hash = (hash ^ u64::from(lane)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        Self {
            hash,
            finite: blocks.iter().all(|block| block.unsound == 0),
            constant: blocks.iter().all(|block| block.differs == 0),
        }
    }

    /// Holds a later look at the same values against this one.
    ///
    /// # Errors
    /// [`MaskFault::Changed`] where a bit differs.
    pub fn verify(&self, now: &Self) -> Result<(), MaskFault> {
        match self.hash == now.hash {
            true => Ok(()),
            // Both are sums of bits; 52 of them are enough for people.
            false => Err(MaskFault::Changed {
                before: (self.hash >> 12) as f64,
                now: (now.hash >> 12) as f64,
                tolerance: 0.0,
            }),
        }
    }
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Lanes {
    hash: [u32; LANES],
    /// Not 0 where a value is not finite.
    unsound: u32,
    /// Bits in which a value differs from the first of all.
    differs: u32,
}

impl Lanes {
    fn of(values: &[f32], first: u32) -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { of_avx2(values, first) };
        }
        pass(values, first)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn of_avx2(values: &[f32], first: u32) -> Lanes {
    pass(values, first)
}

#[inline(always)]
fn pass(values: &[f32], first: u32) -> Lanes {
    let (mut hash, mut unsound, mut differs) = ([1_u32; LANES], [0_u32; LANES], [0_u32; LANES]);
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            let bits = chunk[lane].to_bits();
            hash[lane] = hash[lane].wrapping_mul(MULTIPLIER).wrapping_add(bits);
            unsound[lane] |= u32::from(bits & NOT_FINITE == NOT_FINITE);
            differs[lane] |= bits ^ first;
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        let bits = value.to_bits();
        hash[lane] = hash[lane].wrapping_mul(MULTIPLIER).wrapping_add(bits);
        unsound[lane] |= u32::from(bits & NOT_FINITE == NOT_FINITE);
        differs[lane] |= bits ^ first;
    }
    Lanes {
        hash,
        unsound: unsound.into_iter().fold(0, |all, lane| all | lane),
        differs: differs.into_iter().fold(0, |all, lane| all | lane),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37).sin() * 9.0).collect()
    }

    #[test]
    fn every_single_bit_counts() {
        let sent = values(83);
        let before = Fingerprint::of(&sent);
        assert!(before.finite && !before.constant);
        before.verify(&Fingerprint::of(&sent.clone())).unwrap();
        for at in 0..sent.len() {
            for bit in 0..32 {
                let mut got = sent.clone();
                got[at] = f32::from_bits(got[at].to_bits() ^ (1 << bit));
                let fault = before.verify(&Fingerprint::of(&got)).unwrap_err();
                assert!(matches!(fault, MaskFault::Changed { .. }), "{at} {bit}");
            }
        }
    }

    #[test]
    fn order_and_length_count() {
        let sent = values(4096);
        let before = Fingerprint::of(&sent);
        for turn in [1, 16, 64, 2048] {
            let mut got = sent.clone();
            got.rotate_left(turn);
            assert!(before.verify(&Fingerprint::of(&got)).is_err(), "{turn}");
        }
        assert!(before.verify(&Fingerprint::of(&sent[..4095])).is_err());
        let zeros = Fingerprint::of(&[0.0; 64]);
        assert!(zeros.constant && zeros.verify(&Fingerprint::of(&[0.0; 80])).is_err());
    }

    #[test]
    fn every_block_counts_and_so_does_their_order() {
        let sent = values(3 * BLOCK + 7);
        let before = Fingerprint::of(&sent);
        assert!(before.finite && !before.constant);
        for at in [0, BLOCK, 2 * BLOCK + 1, 3 * BLOCK + 6] {
            let mut got = sent.clone();
            got[at] = -got[at] - 1.0;
            assert!(before.verify(&Fingerprint::of(&got)).is_err(), "{at}");
            got[at] = f32::NAN;
            assert!(!Fingerprint::of(&got).finite, "{at}");
        }
        let mut got = sent.clone();
        let (a, b) = got.split_at_mut(BLOCK);
        a.swap_with_slice(&mut b[..BLOCK]);
        assert!(before.verify(&Fingerprint::of(&got)).is_err());
        // Each block constant, but not the whole.
        let mut steps = vec![1.0; 2 * BLOCK];
        assert!(Fingerprint::of(&steps).constant);
        steps[BLOCK..].fill(2.0);
        assert!(!Fingerprint::of(&steps).constant);
    }

    #[test]
    fn what_is_no_number_is_seen_anywhere() {
        for at in [0, 15, 16, 40] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut got = values(41);
                got[at] = value;
                assert!(!Fingerprint::of(&got).finite, "{value} at {at}");
            }
        }
        assert!(Fingerprint::of(&[f32::MAX, f32::MIN, 1e-40, -0.0]).finite);
        assert!(Fingerprint::of(&[]).constant);
    }

    #[test]
    fn with_and_without_avx2_it_is_the_same() {
        let sent = values(1000);
        assert_eq!(Lanes::of(&sent, 5), pass(&sent, 5));
    }
}
