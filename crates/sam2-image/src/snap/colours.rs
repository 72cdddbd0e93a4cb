//! How often colours are seen inside and around a mask.

use super::level::Level;

/// Levels of each channel.
const LEVELS: usize = 16;
/// Binomial: a colour counts for its neighbours in colour, too.
const BLUR: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];
/// What a person clicked on counts as much as this share of all that is counted on its side.
const CLICK_SHARE: f32 = 0.5;
/// Of a colour that was never seen.
const UNSEEN: f32 = 1e-4;
/// Background colours are taken from around the object: this share of the root of its area beyond its box.
const AROUND: f32 = 0.6;
/// Beyond the object's box, at least.
const MARGIN: usize = 5;

/// A pixel's bin.
pub fn bin(rgb: &[u8]) -> u16 {
    let level = |v: u8| u16::from(v) * LEVELS as u16 / 256;
    (level(rgb[0]) * LEVELS as u16 + level(rgb[1])) * LEVELS as u16 + level(rgb[2])
}

/// log p(colour | inside) / p(colour | around), by bin.
#[derive(Debug)]
pub struct Colours(Vec<f32>);

impl Colours {
    /// Counts; `None` where there is nothing inside, or nothing around it.
    pub fn of(level: &Level, mask: &[bool], clicked: &[(usize, bool)]) -> Option<Self> {
        let side = level.side;
        let [x0, y0, x1, y1] = window(mask, side)?;
        let mut counts = [vec![0.0; LEVELS.pow(3)], vec![0.0; LEVELS.pow(3)]];
        for y in y0..y1 {
            for at in y * side + x0..y * side + x1 {
                counts[usize::from(mask[at])][usize::from(level.colours[at])] += 1.0;
            }
        }
        for (kind, counts) in counts.iter_mut().enumerate() {
            let own = clicked
                .iter()
                .filter(|(_, inside)| usize::from(*inside) == kind);
            let seen: f32 = counts.iter().sum();
            let weight = CLICK_SHARE * seen / own.clone().count().max(1) as f32;
            own.for_each(|(at, _)| counts[usize::from(level.colours[*at])] += weight);
        }
        let [outside, inside] = counts.map(blurred_share);
        let ratio = |(i, o): (f32, f32)| ((i + UNSEEN) / (o + UNSEEN)).ln();
        Some(Self(inside?.into_iter().zip(outside?).map(ratio).collect()))
    }

    pub fn log_ratio(&self, bin: u16) -> f32 {
        self.0[usize::from(bin)]
    }
}

/// The mask's box and what is around it: [x0, y0, x1, y1], the last ones excluded.
fn window(mask: &[bool], side: usize) -> Option<[usize; 4]> {
    let (mut low, mut high, mut area) = ([usize::MAX; 2], [0; 2], 0_usize);
    for at in (0..mask.len()).filter(|at| mask[*at]) {
        for (axis, v) in [at % side, at / side].into_iter().enumerate() {
            low[axis] = low[axis].min(v);
            high[axis] = high[axis].max(v + 1);
        }
        area += 1;
    }
    let margin = (AROUND * (area as f32).sqrt()) as usize + MARGIN;
    let low = low.map(|v| v.saturating_sub(margin));
    let high = high.map(|v| (v + margin).min(side));
    (area > 0).then_some([low[0], low[1], high[0], high[1]])
}

/// Shares of all, blurred in colour; `None` where nothing was counted.
fn blurred_share(mut counts: Vec<f32>) -> Option<Vec<f32>> {
    for step in [1, LEVELS, LEVELS * LEVELS] {
        let before = counts.clone();
        for (at, out) in counts.iter_mut().enumerate() {
            let level = at / step % LEVELS;
            let tap = |(k, weight): (usize, &f32)| {
                let other = (level + k).checked_sub(2).filter(|l| *l < LEVELS)?;
                Some(weight * before[at - level * step + other * step])
            };
            *out = BLUR.iter().enumerate().filter_map(tap).sum();
        }
    }
    let sum: f32 = counts.iter().sum();
    counts.iter_mut().for_each(|v| *v /= sum);
    (sum > 0.0).then_some(counts)
}
