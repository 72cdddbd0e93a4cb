//! The outline of a mask as polygons, along the edges of its pixels.

use crate::components::Components;
use crate::{ImageError, Mask};

/// A corner in pixels of the picture, (0, 0) the outer corner of the upper left pixel.
pub type Corner = [i32; 2];

/// One 8-connected part of a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polygon {
    /// The outer ring, clockwise on the screen, without a repeated end.
    pub outer: Vec<Corner>,
    /// The rings of its holes, the other way round.
    pub holes: Vec<Vec<Corner>>,
}

impl Polygon {
    /// Area in square pixels, holes taken off: exactly the number of pixels, until simplified.
    pub fn area(&self) -> f64 {
        std::iter::once(&self.outer)
            .chain(&self.holes)
            .map(|ring| doubled_area(ring))
            .sum::<i64>() as f64
            / 2.0
    }

    /// With corners left out that lie within `tolerance` pixels of the line without them
    /// (Douglas and Peucker). Rings that become a line disappear; `None` when the outer one does.
    pub fn simplified(&self, tolerance: f64) -> Option<Self> {
        let ring = |ring: &Vec<Corner>| simplify(ring, tolerance);
        Some(Self {
            outer: ring(&self.outer)?,
            holes: self.holes.iter().filter_map(ring).collect(),
        })
    }
}

/// The polygons as the `d` attribute of an SVG path, to be filled with `fill-rule="evenodd"`.
pub fn svg_path(polygons: &[Polygon]) -> String {
    let mut path = String::new();
    let rings = polygons
        .iter()
        .flat_map(|p| std::iter::once(&p.outer).chain(&p.holes));
    for ring in rings {
        for (index, [x, y]) in ring.iter().enumerate() {
            path.push(if index == 0 { 'M' } else { 'L' });
            path.push_str(&format!("{x} {y}"));
        }
        path.push('Z');
    }
    path
}

impl Mask {
    /// Traces the mask: one polygon for each 8-connected part, in reading order. Filling them with
    /// the even-odd rule gives the mask back exactly.
    pub fn to_polygons(&self) -> Vec<Polygon> {
        let (width, height) = (self.width(), self.height());
        let components = Components::find(width, height, |i| self.bits()[i] != 0);
        let empty = Polygon {
            outer: Vec::new(),
            holes: Vec::new(),
        };
        let mut polygons = vec![empty; components.areas().len()];
        // Upper edges that a ring has passed. Every ring passes one on its way to the right.
        let mut passed = vec![false; width * height];
        for (run, label) in components.runs() {
            for start in run {
                let above = start
                    .checked_sub(width)
                    .is_some_and(|i| self.bits()[i] != 0);
                if above || passed[start] {
                    continue;
                }
                let ring = self.trace(start, &mut passed);
                if doubled_area(&ring) > 0 {
                    polygons[label].outer = ring;
                } else {
                    polygons[label].holes.push(ring);
                }
            }
        }
        polygons
    }

    /// The outline as an SVG document of the picture's size, filled with `color`.
    ///
    /// # Errors
    /// [`ImageError::Empty`] for a mask without sides.
    pub fn to_svg(&self, [red, green, blue]: [u8; 3]) -> Result<String, ImageError> {
        let (width, height) = (self.width(), self.height());
        if width == 0 || height == 0 {
            return Err(ImageError::Empty {
                what: "the mask",
                width,
                height,
            });
        }
        let path = svg_path(&self.to_polygons());
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\">\
             <path fill=\"#{red:02x}{green:02x}{blue:02x}\" fill-rule=\"evenodd\" d=\"{path}\"/></svg>"
        ))
    }

    /// Follows the edge that begins along the top of pixel `start`, inside on the right hand,
    /// until it closes. Corners are noted where it turns.
    fn trace(&self, start: usize, passed: &mut [bool]) -> Vec<Corner> {
        let width = self.width() as i32;
        let inside = |x: i32, y: i32| x >= 0 && y >= 0 && self.get(x as usize, y as usize);
        let first = [start as i32 % width, start as i32 / width];
        let [mut x, mut y] = first;
        // Right, down, left, up.
        const STEPS: [Corner; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];
        // The pixel ahead on the left hand, as an offset from the corner; the one on the right
        // hand is that of the next direction.
        const LEFT: [Corner; 4] = [[0, -1], [0, 0], [-1, 0], [-1, -1]];
        let mut direction = 0;
        let mut ring = vec![first];
        loop {
            if direction == 0 {
                passed[(y * width + x) as usize] = true;
            }
            x += STEPS[direction][0];
            y += STEPS[direction][1];
            let ahead = |side: usize| {
                let [dx, dy] = LEFT[(direction + side) % 4];
                inside(x + dx, y + dy)
            };
            // Left first: pixels that touch at a corner are connected.
            let turned = match (ahead(0), ahead(1)) {
                (true, _) => (direction + 3) % 4,
                (false, true) => direction,
                (false, false) => (direction + 1) % 4,
            };
            if [x, y] == first && turned == 0 {
                // Closed. The first corner counts only if the way turns there.
                if direction == 0 {
                    ring.remove(0);
                }
                return ring;
            }
            if turned != direction {
                ring.push([x, y]);
            }
            direction = turned;
        }
    }
}

/// Twice the area, positive for clockwise rings (y points down).
fn doubled_area(ring: &[Corner]) -> i64 {
    let next = ring.iter().cycle().skip(1);
    let cross = |([x0, y0], [x1, y1]): (&Corner, &Corner)| {
        i64::from(*x0) * i64::from(*y1) - i64::from(*x1) * i64::from(*y0)
    };
    ring.iter().zip(next).map(cross).sum()
}

/// Douglas and Peucker on a ring, opened at its first corner and the one farthest from it.
fn simplify(ring: &[Corner], tolerance: f64) -> Option<Vec<Corner>> {
    let first = *ring.first()?;
    let from_first = |corner: &Corner| {
        let [dx, dy] = [corner[0] - first[0], corner[1] - first[1]].map(i64::from);
        dx * dx + dy * dy
    };
    let far = (0..ring.len()).max_by_key(|i| from_first(&ring[*i]))?;
    let mut keep = vec![false; ring.len() + 1];
    (keep[0], keep[far]) = (true, true);
    let at = |index: usize| ring[index % ring.len()];
    // A stack of its own: rings can be long, and so could a recursion.
    let mut open = vec![(0, far), (far, ring.len())];
    while let Some((start, end)) = open.pop() {
        let distance = |i: usize| segment_distance(at(i), at(start), at(end));
        let worst = (start + 1..end).max_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        if let Some(worst) = worst.filter(|worst| distance(*worst) > tolerance) {
            keep[worst] = true;
            open.extend([(start, worst), (worst, end)]);
        }
    }
    let kept: Vec<Corner> = ring
        .iter()
        .zip(&keep)
        .filter(|(_, keep)| **keep)
        .map(|(corner, _)| *corner)
        .collect();
    (kept.len() > 2).then_some(kept)
}

/// Distance of a corner from the line between two others.
fn segment_distance(p: Corner, a: Corner, b: Corner) -> f64 {
    let [px, py] = [p[0] - a[0], p[1] - a[1]].map(f64::from);
    let [bx, by] = [b[0] - a[0], b[1] - a[1]].map(f64::from);
    let length = bx * bx + by * by;
    let along = if length == 0.0 {
        0.0
    } else {
        ((px * bx + py * by) / length).clamp(0.0, 1.0)
    };
    (px - along * bx).hypot(py - along * by)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::drawn;

    #[test]
    fn a_ring_with_a_hole() {
        let mask = drawn(&["......", ".###..", ".#.#..", ".###.."]);
        let polygons = mask.to_polygons();
        assert_eq!(polygons.len(), 1);
        assert_eq!(polygons[0].outer, [[1, 1], [4, 1], [4, 4], [1, 4]]);
        assert_eq!(polygons[0].holes.len(), 1);
        assert_eq!(polygons[0].area(), 8.0);
        let path = svg_path(&polygons);
        assert!(path.starts_with("M1 1L4 1L4 4L1 4ZM"), "{path}");
        let svg = mask.to_svg([255, 128, 0]).unwrap();
        assert!(
            svg.contains("viewBox=\"0 0 6 4\"") && svg.contains("#ff8000"),
            "{svg}"
        );
    }

    #[test]
    fn corners_join_and_parts_stay_apart() {
        assert_eq!(drawn(&["#.", ".#"]).to_polygons().len(), 1);
        assert_eq!(drawn(&["#.#", "..#"]).to_polygons().len(), 2);
        assert!(Mask::empty(3, 2).to_polygons().is_empty());
        assert!(Mask::empty(0, 2).to_svg([0; 3]).is_err());
    }

    #[test]
    fn simplifying_straightens_stairs() {
        let rows: Vec<String> = (1..=20)
            .map(|n| format!("{}{}", "#".repeat(n), ".".repeat(25 - n)))
            .collect();
        let mask = drawn(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        let polygon = &mask.to_polygons()[0];
        assert!(polygon.outer.len() > 40);
        let simple = polygon.simplified(1.0).unwrap();
        assert!(simple.outer.len() <= 5, "{simple:?}");
        // Leaving out stairs of one pixel changes the area by half a pixel a step.
        assert!((simple.area() - polygon.area()).abs() <= 12.0);
        assert_eq!(drawn(&["#"]).to_polygons()[0].simplified(5.0), None);
    }

    /// Fills by counting the vertical edges to the left of each pixel's centre.
    fn filled(polygons: &[Polygon], width: usize, height: usize) -> Mask {
        let mut mask = Mask::empty(width, height);
        let rings = polygons
            .iter()
            .flat_map(|p| std::iter::once(&p.outer).chain(&p.holes));
        for ring in rings {
            for ([x0, y0], [x1, y1]) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                assert!(
                    (x0 == x1) != (y0 == y1),
                    "edges follow pixels and are not empty"
                );
                for y in (*y0).min(*y1)..(*y0).max(*y1) {
                    let row = &mut mask.bits_mut()[y as usize * width..(y as usize + 1) * width];
                    row[*x0 as usize..].iter_mut().for_each(|bit| *bit ^= 1);
                }
            }
        }
        mask
    }

    proptest! {
        #[test]
        fn filling_gives_the_mask_back(
            (width, bits) in (1_usize..16).prop_flat_map(|w| {
                (Just(w), (1_usize..16).prop_flat_map(move |h| prop::collection::vec(0_u8..2, w * h)))
            })
        ) {
            let mask = Mask::from_bytes(width, bits.len() / width, bits).unwrap();
            let polygons = mask.to_polygons();
            let area: f64 = polygons.iter().map(Polygon::area).sum();
            prop_assert_eq!(area, mask.area() as f64);
            prop_assert!(polygons.iter().all(|p| doubled_area(&p.outer) > 0));
            prop_assert_eq!(filled(&polygons, width, mask.height()), mask);
        }
    }
}
