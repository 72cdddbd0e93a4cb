//! Where a person would click: the point of a region that is farthest from its edge.

/// The first pixel in row order (x, y) whose Euclidean distance to the nearest pixel outside is
/// largest, and the square of that distance. What lies beyond the picture counts as outside. `None`
/// for a region without pixels.
///
/// Exact, in whole numbers (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled
/// Functions"), so that the same pixel is found everywhere; OpenCV's DIST_L2 with a 5 x 5 mask is an
/// approximation and may choose a neighbour.
pub fn centre(inside: &[bool], width: usize) -> Option<(usize, usize, u64)> {
    let height = inside.len().checked_div(width)?;
    let mut best: Option<(usize, usize, u64)> = None;
    // Distance to the nearest pixel outside along the column, upwards and downwards.
    let down = vertical(inside, width, height);
    let mut row = vec![0_i64; width + 2];
    let mut envelope = Envelope::new(width + 2);
    for y in 0..height {
        // One column of outside on either side.
        for x in 0..width {
            row[x + 1] = i64::from(down[y * width + x]).pow(2);
        }
        envelope.build(&row);
        let mut parabola = 0;
        for x in 0..width {
            parabola = envelope.at(x + 1, parabola);
            if !inside[y * width + x] {
                continue;
            }
            let q = envelope.places[parabola];
            let square = (x as i64 + 1 - q as i64).pow(2) + row[q];
            let square = square as u64;
            if best.is_none_or(|(_, _, most)| square > most) {
                best = Some((x, y, square));
            }
        }
    }
    best
}

/// For each pixel the distance in its column to the nearest one outside; 0 outside.
fn vertical(inside: &[bool], width: usize, height: usize) -> Vec<u32> {
    let mut distance = vec![0_u32; inside.len()];
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            if inside[i] {
                distance[i] = if y == 0 { 1 } else { distance[i - width] + 1 };
            }
        }
    }
    for y in (0..height).rev() {
        for x in 0..width {
            let i = y * width + x;
            let below = if y + 1 == height {
                0
            } else {
                distance[i + width]
            };
            distance[i] = distance[i]
                .min(below + 1)
                .min(if inside[i] { u32::MAX } else { 0 });
        }
    }
    distance
}

/// The lower envelope of parabolas `(x - q)^2 + f(q)`.
struct Envelope {
    /// Places q of the parabolas in it.
    places: Vec<usize>,
    /// The last whole x at which each is lowest.
    until: Vec<i64>,
}

impl Envelope {
    fn new(capacity: usize) -> Self {
        Self {
            places: Vec::with_capacity(capacity),
            until: Vec::with_capacity(capacity),
        }
    }

    fn build(&mut self, f: &[i64]) {
        self.places.clear();
        self.until.clear();
        for q in 0..f.len() {
            while let Some(&p) = self.places.last() {
                // The last whole x at which p is not above q: they meet where
                // (x - p)^2 + f(p) = (x - q)^2 + f(q).
                let (a, b) = (p as i64, q as i64);
                let meet = (f[q] + b * b - f[p] - a * a).div_euclid(2 * (b - a));
                let before = self
                    .until
                    .len()
                    .checked_sub(1)
                    .map_or(i64::MIN, |i| self.until[i]);
                if meet > before || self.until.is_empty() {
                    self.until.push(meet);
                    break;
                }
                self.places.pop();
                self.until.pop();
            }
            self.places.push(q);
        }
        self.until.push(i64::MAX);
    }

    /// The parabola that is lowest at x, at or after `from`.
    fn at(&self, x: usize, mut from: usize) -> usize {
        while from + 1 < self.places.len() && self.until[from] < x as i64 {
            from += 1;
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brute(inside: &[bool], width: usize) -> Option<(usize, usize, u64)> {
        let (w, h) = (width as i64, (inside.len() / width) as i64);
        let out =
            |x: i64, y: i64| x < 0 || y < 0 || x >= w || y >= h || !inside[(y * w + x) as usize];
        let mut best: Option<(usize, usize, u64)> = None;
        for y in 0..h {
            for x in 0..w {
                if out(x, y) {
                    continue;
                }
                let all = (-1..=h).flat_map(|v| (-1..=w).map(move |u| (u, v)));
                let square = all
                    .filter(|&(u, v)| out(u, v))
                    .map(|(u, v)| (u - x).pow(2) + (v - y).pow(2));
                let square = square.min().unwrap() as u64;
                if best.is_none_or(|(_, _, most)| square > most) {
                    best = Some((x as usize, y as usize, square));
                }
            }
        }
        best
    }

    #[test]
    fn it_is_the_brute_force_answer() {
        let mut state = 7_u32;
        for (width, height, share) in [
            (9, 5, 80),
            (4, 11, 95),
            (1, 6, 60),
            (13, 13, 99),
            (7, 1, 70),
        ] {
            for _ in 0..30 {
                let inside: Vec<bool> = (0..width * height)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 16) % 100 < share
                    })
                    .collect();
                assert_eq!(
                    centre(&inside, width),
                    brute(&inside, width),
                    "{width} {inside:?}"
                );
            }
        }
        assert_eq!(centre(&[false; 6], 3), None);
        assert_eq!(centre(&[], 0), None);
    }

    #[test]
    fn a_full_picture_is_clicked_in_its_middle() {
        assert_eq!(centre(&[true; 7 * 5], 7), Some((2, 2, 9)));
    }
}
