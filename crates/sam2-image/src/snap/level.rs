//! A picture at one size: what parting neighbours costs there, and the cut.

use super::colours::{self, Colours};
use super::terms::Term;
use crate::min_cut::{MinCut, NEIGHBOURS};

/// What one unit of log-likelihood of a colour weighs beside one unit of logit, and how far it may go.
const COLOUR_WEIGHT: f32 = 0.5;
const COLOUR_REACH: f32 = 4.0;
/// What parting two equal neighbours costs.
const SMOOTH: f32 = 6.0;
/// How sharply that falls with their difference.
const CONTRAST: f32 = 2.0;
/// Capacities are whole numbers: this many to a unit.
const UNITS: f32 = 1024.0;

/// side x side pixels.
#[derive(Debug, Clone)]
pub struct Level {
    pub side: usize,
    /// Bins of [`Colours`].
    pub colours: Vec<u16>,
    /// What parting a pixel from the neighbour in each even direction costs.
    links: [Vec<i32>; 4],
}

impl Level {
    /// Takes RGB bytes [side, side, 3].
    pub fn new(rgb: &[u8], side: usize) -> Self {
        let difference = |a: usize, b: usize| {
            let channel = |c| (f32::from(rgb[a * 3 + c]) - f32::from(rgb[b * 3 + c])).powi(2);
            channel(0) + channel(1) + channel(2)
        };
        let differences = [0, 2, 4, 6].map(|direction| {
            let of = |at| neighbour(at, direction, side).map(|other| difference(at, other));
            (0..side * side).map(of).collect::<Vec<_>>()
        });
        let seen = differences.iter().flatten().flatten();
        let (sum, count) = seen.fold((0.0, 0_u32), |(sum, n), d| (sum + f64::from(*d), n + 1));
        // A picture of one colour has no edges: every link then costs the same.
        let mean = (sum / f64::from(count.max(1))) as f32 + 1e-6;
        let mut most = [1.0, 1.0, 0.5_f32.sqrt(), 0.5_f32.sqrt()].into_iter();
        let links = differences.map(|differences| {
            let most = most.next().unwrap_or(1.0) * SMOOTH * UNITS;
            let cost = |d: f32| (most * (-CONTRAST * d / (2.0 * mean)).exp()) as i32;
            differences.into_iter().map(|d| d.map_or(0, cost)).collect()
        });
        Self {
            side,
            colours: rgb.chunks_exact(3).map(colours::bin).collect(),
            links,
        }
    }

    /// The cheapest mask [side, side] that holds to what is known.
    pub fn cut(&self, terms: &[Term], colours: &Colours) -> Vec<bool> {
        let mut nodes = vec![0; terms.len()];
        let mut open = Vec::new();
        for (at, _) in terms.iter().enumerate().filter(|(_, term)| term.is_open()) {
            nodes[at] = open.len();
            open.push(at);
        }
        let mut cut = MinCut::new(open.len());
        for (node, at) in open.iter().copied().enumerate() {
            if let Term::Open(logit) = terms[at] {
                let colour = colours.log_ratio(self.colours[at]);
                let colour = colour.clamp(-COLOUR_REACH, COLOUR_REACH);
                cut.pull(node, ((logit + COLOUR_WEIGHT * colour) * UNITS) as i32);
            }
            for direction in 0..8 {
                let Some(other) = neighbour(at, direction, self.side) else {
                    continue;
                };
                // A pair's cost is kept with the one that the even direction leaves from.
                let from = if direction % 2 == 0 { at } else { other };
                let link = self.links[direction / 2][from];
                match terms[other] {
                    Term::Open(_) if direction % 2 == 0 => {
                        cut.join(node, direction, nodes[other], link);
                    }
                    Term::Open(_) => {}
                    Term::Inside => cut.pull(node, link),
                    Term::Outside => cut.pull(node, -link),
                }
            }
        }
        let mut mask: Vec<bool> = terms.iter().map(|term| *term == Term::Inside).collect();
        for (at, inside) in open.into_iter().zip(cut.source_side()) {
            mask[at] = inside;
        }
        mask
    }
}

/// The pixel in one of the [`NEIGHBOURS`]' directions.
fn neighbour(at: usize, direction: usize, side: usize) -> Option<usize> {
    let (dx, dy) = NEIGHBOURS[direction];
    let x = (at % side).wrapping_add_signed(dx);
    let y = (at / side).wrapping_add_signed(dy);
    (x < side && y < side).then(|| y * side + x)
}
