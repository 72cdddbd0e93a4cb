//! 8-connected components with their areas, and what is done with the small ones.
//!
//! The official code needs a CUDA kernel for this and silently skips it elsewhere; here it is a
//! union-find over runs of a row, on the CPU.

use crate::rgb::check_buffer;
use crate::{ImageError, Mask};

/// A run of pixels of one component, in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// Index of the first pixel, y * width + x.
    start: usize,
    /// Index after the last.
    end: usize,
}

/// The 8-connected components of some pixels of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    runs: Vec<Run>,
    /// For each run, the component it belongs to: 0, 1, ... in reading order.
    labels: Vec<u32>,
    /// Pixels of each component.
    areas: Vec<usize>,
}

impl Components {
    /// Finds the components of the pixels for which `inside(y * width + x)` holds.
    pub fn find(width: usize, height: usize, inside: impl Fn(usize) -> bool) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut parents: Vec<u32> = Vec::new();
        // Runs of the row above: from here to the first of this row.
        let mut above = 0;
        for y in 0..height {
            let first = runs.len();
            let (row, row_end) = (y * width, (y + 1) * width);
            let mut at = row;
            while at < row_end {
                if !inside(at) {
                    at += 1;
                    continue;
                }
                let start = at;
                while at < row_end && inside(at) {
                    at += 1;
                }
                parents.push(runs.len() as u32);
                runs.push(Run { start, end: at });
            }
            let mut upper = above;
            for current in first..runs.len() {
                let run = runs[current];
                // Runs above that end before the pixel diagonally above the first one are done.
                while upper < first && runs[upper].end + width < run.start {
                    upper += 1;
                }
                let mut touching = upper;
                while touching < first && runs[touching].start + width <= run.end {
                    union(&mut parents, touching, current);
                    touching += 1;
                }
            }
            above = first;
        }
        Self::number(runs, parents)
    }

    /// Turns roots into component numbers and adds up areas.
    fn number(runs: Vec<Run>, mut parents: Vec<u32>) -> Self {
        let mut labels = Vec::with_capacity(runs.len());
        let mut areas: Vec<usize> = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            // A root is the earliest run of its component, so it already has its number.
            let root = root(&mut parents, index);
            let label = if root == index {
                areas.len() as u32
            } else {
                labels[root]
            };
            if root == index {
                areas.push(0);
            }
            areas[label as usize] += run.end - run.start;
            labels.push(label);
        }
        Self {
            runs,
            labels,
            areas,
        }
    }

    /// Pixels of each component, in the order in which the components begin.
    pub fn areas(&self) -> &[usize] {
        &self.areas
    }

    /// Every run as a range of pixel indices with the number of its component, in reading order.
    pub fn runs(&self) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
        self.runs
            .iter()
            .zip(&self.labels)
            .map(|(run, label)| (run.start..run.end, *label as usize))
    }

    /// The pixels of components of at most `max_area` pixels, as ranges of indices.
    fn small(&self, max_area: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.runs()
            .filter(move |(_, label)| self.areas[*label] <= max_area)
            .map(|(run, _)| run)
    }
}

/// The earliest run of the component, with the path to it shortened.
fn root(parents: &mut [u32], mut index: usize) -> usize {
    while parents[index] as usize != index {
        let parent = parents[index] as usize;
        parents[index] = parents[parent];
        index = parents[index] as usize;
    }
    index
}

/// Joins two components under the earlier root.
fn union(parents: &mut [u32], a: usize, b: usize) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b)] = a.min(b) as u32;
}

/// Fills small holes and removes small islands of logits [h, w], as
/// `SAM2Transforms.postprocess_masks` does before stretching: areas are counted in pixels of these
/// low-resolution logits.
///
/// Background components (logit <= threshold, also those at the border) of at most
/// `max_hole_area` become threshold + 10; foreground components of at most `max_sprinkle_area`
/// become threshold - 10. Both are found in the logits as given, so an island inside a filled hole
/// is an island still. An area of 0 turns a step off.
///
/// # Errors
/// [`ImageError::WrongLength`], [`ImageError::Empty`].
pub fn postprocess_logits(
    logits: &mut [f32],
    (h, w): (usize, usize),
    threshold: f32,
    max_hole_area: usize,
    max_sprinkle_area: usize,
) -> Result<(), ImageError> {
    check_buffer("the logits", w, h, 1, logits.len())?;
    let find = |area: usize, part: &dyn Fn(f32) -> bool| {
        (area > 0).then(|| Components::find(w, h, |i| part(logits[i])))
    };
    let holes = find(max_hole_area, &|v| v <= threshold);
    let islands = find(max_sprinkle_area, &|v| v > threshold);
    for run in holes.iter().flat_map(|holes| holes.small(max_hole_area)) {
        logits[run].fill(threshold + 10.0);
    }
    for run in islands
        .iter()
        .flat_map(|islands| islands.small(max_sprinkle_area))
    {
        logits[run].fill(threshold - 10.0);
    }
    Ok(())
}

/// Fills small holes of a video's mask scores [h, w], as `fill_holes_in_mask_scores`
/// (`sam2/utils/misc.py`) does: background components (score <= 0) of at most `max_area` pixels
/// become 0.1. An area of 0 does nothing.
///
/// # Errors
/// [`ImageError::WrongLength`], [`ImageError::Empty`].
pub fn fill_holes_in_mask_scores(
    scores: &mut [f32],
    (h, w): (usize, usize),
    max_area: usize,
) -> Result<(), ImageError> {
    check_buffer("the mask scores", w, h, 1, scores.len())?;
    if max_area > 0 {
        let holes = Components::find(w, h, |i| scores[i] <= 0.0);
        holes.small(max_area).for_each(|run| scores[run].fill(0.1));
    }
    Ok(())
}

impl Mask {
    /// Fills background components (8-connected, also those at the border) of at most `max_area`
    /// pixels of the picture. Returns the number of pixels changed; 0 for an area of 0.
    pub fn fill_holes(&mut self, max_area: usize) -> usize {
        self.replace_small(0, max_area)
    }

    /// Removes foreground components (8-connected) of at most `max_area` pixels of the picture.
    /// Returns the number of pixels changed; 0 for an area of 0.
    pub fn remove_islands(&mut self, max_area: usize) -> usize {
        self.replace_small(1, max_area)
    }

    fn replace_small(&mut self, value: u8, max_area: usize) -> usize {
        if max_area == 0 {
            return 0;
        }
        let bits = self.bits();
        let components = Components::find(self.width(), self.height(), |i| bits[i] == value);
        let bits = self.bits_mut();
        let fill = |run: std::ops::Range<usize>| {
            bits[run.clone()].fill(1 - value);
            run.len()
        };
        components.small(max_area).map(fill).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::drawn;

    #[test]
    fn corners_connect_and_rows_do_not_wrap() {
        let mask = drawn(&["#..#", ".#..", "#..#"]);
        let found = Components::find(4, 3, |i| mask.bits()[i] != 0);
        assert_eq!(found.areas(), [3, 1, 1]);
        // The end of one row and the start of the next are far apart.
        let mask = drawn(&["..#", "#..", "..#"]);
        assert_eq!(
            Components::find(3, 3, |i| mask.bits()[i] != 0).areas(),
            [1, 1, 1]
        );
    }

    #[test]
    fn arms_that_meet_late_are_one() {
        let mask = drawn(&["#.#.#", "#.#.#", "#####"]);
        assert_eq!(
            Components::find(5, 3, |i| mask.bits()[i] != 0).areas(),
            [11]
        );
        let background = Components::find(5, 3, |i| mask.bits()[i] == 0);
        assert_eq!(background.areas(), [2, 2]);
    }

    #[test]
    fn holes_and_islands_of_a_mask() {
        let start = drawn(&["####..#", "#.##...", "####...", "......."]);
        let mut mask = start.clone();
        assert_eq!(mask.fill_holes(0), 0);
        assert_eq!(mask.fill_holes(1), 1);
        assert_eq!(mask.remove_islands(1), 1);
        assert_eq!(mask, drawn(&["####...", "####...", "####...", "......."]));
        let mut mask = start.clone();
        assert_eq!(
            mask.remove_islands(11),
            12,
            "a component of exactly the area goes too"
        );
        assert_eq!(mask.area(), 0);
    }

    /// The rule of the official function, on a case where the order would show: a hole of 8 around
    /// an island of 1.
    #[test]
    fn an_island_in_a_filled_hole_is_still_an_island() {
        let mask = drawn(&["#####", "#...#", "#.#.#", "#...#", "#####"]);
        let logits: Vec<f32> = mask
            .bits()
            .iter()
            .map(|b| f32::from(*b) * 4.0 - 1.0)
            .collect();
        let mut both = logits.clone();
        postprocess_logits(&mut both, (5, 5), 0.5, 8, 1).unwrap();
        assert_eq!(both[6], 10.5, "the hole is filled");
        assert_eq!(
            both[12], -9.5,
            "the island is gone, although all around it is filled"
        );
        assert_eq!(both[0], 3.0);
        let mut none = logits.clone();
        postprocess_logits(&mut none, (5, 5), 0.5, 7, 0).unwrap();
        assert_eq!(none, logits, "8 is more than 7");
        assert!(postprocess_logits(&mut none, (5, 4), 0.5, 7, 0).is_err());
    }

    #[test]
    fn a_video_fills_with_a_tenth() {
        let mask = drawn(&["###", "#.#", "###"]);
        let mut scores: Vec<f32> = mask
            .bits()
            .iter()
            .map(|b| f32::from(*b) * 2.0 - 1.0)
            .collect();
        fill_holes_in_mask_scores(&mut scores, (3, 3), 8).unwrap();
        assert_eq!(scores[4], 0.1);
        assert_eq!(scores[0], 1.0);
    }

    /// Components by flood filling: slow and plain.
    fn flooded(mask: &Mask) -> Vec<usize> {
        let (w, h) = (mask.width() as i64, mask.height() as i64);
        let mut left: Vec<bool> = mask.bits().iter().map(|b| *b != 0).collect();
        let mut areas = Vec::new();
        for start in 0..left.len() {
            let mut stack = vec![start];
            let mut area = 0;
            while let Some(at) = stack.pop() {
                if !std::mem::take(&mut left[at]) {
                    continue;
                }
                area += 1;
                let (x, y) = (at as i64 % w, at as i64 / w);
                for (nx, ny) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (x + dx, y + dy))) {
                    if (0..w).contains(&nx) && (0..h).contains(&ny) {
                        stack.push((ny * w + nx) as usize);
                    }
                }
            }
            if area > 0 {
                areas.push(area);
            }
        }
        areas
    }

    proptest! {
        #[test]
        fn agrees_with_flood_filling(
            (width, bytes) in (1_usize..20).prop_flat_map(|w| {
                (Just(w), (1_usize..20).prop_flat_map(move |h| prop::collection::vec(0_u8..2, w * h)))
            })
        ) {
            let mask = Mask::from_bytes(width, bytes.len() / width, bytes).unwrap();
            let found = Components::find(width, mask.height(), |i| mask.bits()[i] != 0);
            prop_assert_eq!(found.areas(), flooded(&mask));
        }
    }
}
