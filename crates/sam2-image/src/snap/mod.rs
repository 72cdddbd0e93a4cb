//! Masks of a small model, snapped to the picture's edges: where the network is sure it stays as it answered, and
//! in between the border goes where the picture's colours change (GrabCut: Rother et al. 2004, with the network's
//! logits in place of a person's strokes). Nothing of this is in the official code; it is off unless asked for.

mod colours;

use crate::ImageError;
use crate::min_cut::{MinCut, NEIGHBOURS};
use crate::preprocess::{MEAN, STD};
use crate::rgb::check_buffer;
use crate::upsample::upsample_logits;
use colours::Colours;

/// Above or below this, a logit is what the network says, whatever the colours.
const SURE: f32 = 4.0;
/// Masks of the small model end a little inside the object.
const OUTWARDS: f32 = 0.75;
/// What one unit of logit weighs beside one unit of log-likelihood of the colour, and how far each may go.
const LOGIT_WEIGHT: f32 = 1.0;
const LOGIT_REACH: f32 = 2.0;
const COLOUR_WEIGHT: f32 = 0.5;
const COLOUR_REACH: f32 = 4.0;
/// What parting two equal neighbours costs.
const SMOOTH: f32 = 8.0;
/// How sharply that falls with their difference.
const CONTRAST: f32 = 2.0;
/// Colours and cut depend on each other: this often in turn.
const ROUNDS: usize = 3;
/// A click holds this far around it, as a share of the side.
const CLICK_RADIUS: f32 = 1.0 / 48.0;
/// Boxes are drawn by hand: the object may reach beyond by this share of their sides.
const BOX_MARGIN: f32 = 0.05;
/// Background colours are taken from around the object: this share of the root of its area beyond its box.
const AROUND: f32 = 0.6;
/// A cut takes longer than it is worth on larger pictures.
const LARGEST: usize = 512;
/// Capacities are whole numbers: this many to a unit.
const UNITS: f32 = 1024.0;

/// A picture as snapping looks at it, side x side pixels; made once, used for every mask.
#[derive(Debug, Clone)]
pub struct SnapPicture {
    side: usize,
    colours: Vec<u16>,
    /// What parting a pixel from its neighbour to the right, below, below right and above right costs.
    links: [Vec<i32>; 4],
}

/// What a mask has to hold to, in pixels of the [`SnapPicture`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SnapPrompt {
    /// (x, y) and whether the object is there.
    pub clicks: Vec<([f32; 2], bool)>,
    /// The object ends about here: (x0, y0, x1, y1).
    pub bounding_box: Option<[f32; 4]>,
}

/// What is known of a pixel before the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Inside,
    Outside,
    Open,
}

impl SnapPicture {
    /// Takes RGB bytes [side, side, 3].
    ///
    /// # Errors
    /// [`ImageError::Empty`], [`ImageError::WrongLength`].
    pub fn new(rgb: &[u8], side: usize) -> Result<Self, ImageError> {
        check_buffer("a picture to snap to", side, side, 3, rgb.len())?;
        let differences =
            [0, 2, 4, 6].map(|direction| differences(rgb, side, NEIGHBOURS[direction]));
        let (sum, count) = differences
            .iter()
            .flatten()
            .fold((0.0, 0), |(sum, count), d| (sum + f64::from(*d), count + 1));
        // A picture of one colour has no edges: every link then costs the same.
        let mean = (sum / f64::from(count.max(1))) as f32 + 1e-6;
        let lengths = [1.0, 1.0, std::f32::consts::SQRT_2, std::f32::consts::SQRT_2];
        let mut lengths = lengths.into_iter();
        let links = differences.map(|d| {
            let unit = SMOOTH / lengths.next().unwrap_or(1.0) * UNITS;
            d.into_iter()
                .map(|d| (unit * (-CONTRAST * d / (2.0 * mean)).exp()) as i32)
                .collect()
        });
        Ok(Self {
            side,
            colours: rgb.chunks_exact(3).map(colours::bin).collect(),
            links,
        })
    }

    /// Takes the network's input [3, size, size] ([`crate::preprocess`]), which is the picture at the size that
    /// the network sees; a larger one than [`LARGEST`] is halved.
    ///
    /// # Errors
    /// As [`SnapPicture::new`].
    pub fn of_input(input: &[f32], size: usize) -> Result<Self, ImageError> {
        check_buffer("the preprocessed picture", size, size, 3, input.len())?;
        let step = if size > LARGEST { 2 } else { 1 };
        let side = size / step;
        let mut rgb = Vec::with_capacity(side * side * 3);
        for at in 0..side * side {
            let corner = at / side * step * size + at % side * step;
            for channel in 0..3 {
                let plane = &input[channel * size * size..];
                let rows = (0..step).flat_map(|y| &plane[corner + y * size..][..step]);
                let mean = rows.sum::<f32>() / (step * step) as f32;
                rgb.push(((mean * STD[channel] + MEAN[channel]) * 255.0).round() as u8);
            }
        }
        Self::new(&rgb, side)
    }

    /// Side in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The mask of `logits` [h, w] over the whole picture, snapped: [side, side], 1 inside and -1 outside, to be
    /// upsampled and cut at 0 as logits are.
    ///
    /// # Errors
    /// [`ImageError::WrongLength`].
    pub fn snap(
        &self,
        logits: &[f32],
        size: (usize, usize),
        prompt: &SnapPrompt,
    ) -> Result<Vec<f32>, ImageError> {
        let mut logits = upsample_logits(logits, size, (self.side, self.side))?;
        logits.iter_mut().for_each(|v| *v += OUTWARDS);
        let known = self.known(&logits, prompt);
        let start = |(known, logit): (&Known, &f32)| match known {
            Known::Open => *logit > 0.0,
            known => *known == Known::Inside,
        };
        let mut mask: Vec<bool> = known.iter().zip(&logits).map(start).collect();
        for _ in 0..ROUNDS {
            let Some(colours) = Colours::of(&self.colours, &mask, self.side, AROUND) else {
                break;
            };
            let cut = self.cut(&logits, &known, &colours);
            if cut == mask {
                break;
            }
            mask = cut;
        }
        Ok(mask
            .into_iter()
            .map(|inside| if inside { 1.0 } else { -1.0 })
            .collect())
    }

    /// What clicks, box and sure logits say, the clicks first.
    fn known(&self, logits: &[f32], prompt: &SnapPrompt) -> Vec<Known> {
        let mut known: Vec<Known> = logits
            .iter()
            .map(|v| match v {
                v if *v > SURE => Known::Inside,
                v if *v < -SURE => Known::Outside,
                _ => Known::Open,
            })
            .collect();
        let radius = self.side as f32 * CLICK_RADIUS;
        let reach = prompt.bounding_box.map(|[x0, y0, x1, y1]| {
            let [dx, dy] = [x1 - x0, y1 - y0].map(|side| (side * BOX_MARGIN).max(1.0));
            [x0 - dx, y0 - dy, x1 + dx, y1 + dy]
        });
        for (at, known) in known.iter_mut().enumerate() {
            let (x, y) = ((at % self.side) as f32 + 0.5, (at / self.side) as f32 + 0.5);
            if reach.is_some_and(|[x0, y0, x1, y1]| x < x0 || x > x1 || y < y0 || y > y1) {
                *known = Known::Outside;
            }
            for ([cx, cy], inside) in &prompt.clicks {
                if (x - cx).powi(2) + (y - cy).powi(2) <= radius * radius {
                    *known = if *inside {
                        Known::Inside
                    } else {
                        Known::Outside
                    };
                }
            }
        }
        known
    }

    fn cut(&self, logits: &[f32], known: &[Known], colours: &Colours) -> Vec<bool> {
        let side = self.side;
        let mut cut = MinCut::new(side, side);
        for (at, (logit, known)) in logits.iter().zip(known).enumerate() {
            if *known == Known::Open {
                let colour = colours
                    .log_ratio(self.colours[at])
                    .clamp(-COLOUR_REACH, COLOUR_REACH);
                let logit = logit.clamp(-LOGIT_REACH, LOGIT_REACH);
                let pull = LOGIT_WEIGHT * logit + COLOUR_WEIGHT * colour;
                cut.pull(at, (pull * UNITS) as i32);
            }
        }
        for (links, direction) in self.links.iter().zip([0, 2, 4, 6]) {
            for (at, other, link) in pairs(side, NEIGHBOURS[direction])
                .zip(links)
                .map(|((a, b), l)| (a, b, *l))
            {
                match (known[at], known[other]) {
                    (Known::Open, Known::Open) => cut.join(at, direction, link),
                    (Known::Open, side) => cut.pull(at, towards(side, link)),
                    (side, Known::Open) => cut.pull(other, towards(side, link)),
                    _ => {}
                }
            }
        }
        let sides = cut.source_side();
        let of = |(known, inside): (&Known, bool)| match known {
            Known::Open => inside,
            known => *known == Known::Inside,
        };
        known.iter().zip(sides).map(of).collect()
    }
}

/// What a neighbour that is known pulls with.
fn towards(known: Known, link: i32) -> i32 {
    if known == Known::Inside { link } else { -link }
}

/// The pairs of pixels that are neighbours in one direction, row by row.
fn pairs(side: usize, (dx, dy): (isize, isize)) -> impl Iterator<Item = (usize, usize)> {
    let place = move |at: usize| {
        let (x, y) = (at % side, at / side);
        let (x, y) = (x.checked_add_signed(dx)?, y.checked_add_signed(dy)?);
        (x < side && y < side).then_some((at, y * side + x))
    };
    (0..side * side).filter_map(place)
}

/// Squared colour differences of the pairs in one direction.
fn differences(rgb: &[u8], side: usize, direction: (isize, isize)) -> Vec<f32> {
    let difference = |(a, b): (usize, usize)| {
        let channel = |c| (f32::from(rgb[a * 3 + c]) - f32::from(rgb[b * 3 + c])).powi(2);
        channel(0) + channel(1) + channel(2)
    };
    pairs(side, direction).map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 64;

    /// A disc of one colour on a noisy ground of another.
    fn disc(inside: impl Fn(f32, f32) -> bool) -> Vec<u8> {
        let mut noise = 7_u32;
        let mut rgb = Vec::with_capacity(SIDE * SIDE * 3);
        for at in 0..SIDE * SIDE {
            let (x, y) = ((at % SIDE) as f32 + 0.5, (at / SIDE) as f32 + 0.5);
            let colour = if inside(x, y) {
                [190, 60, 50]
            } else {
                [60, 120, 70]
            };
            for channel in colour {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                rgb.push(channel + (noise >> 28) as u8);
            }
        }
        rgb
    }

    fn circle(radius: f32) -> impl Fn(f32, f32) -> bool {
        move |x, y| (x - 32.0).hypot(y - 32.0) < radius
    }

    /// Logits [16, 16] that fall by `slope` a pixel of the picture from a circle on.
    fn logits(radius: f32, slope: f32) -> Vec<f32> {
        let at = |n: usize| (n as f32 + 0.5) * 4.0 - 32.0;
        let value = |n: usize| (radius - at(n % 16).hypot(at(n / 16))) * slope;
        (0..256).map(value).collect()
    }

    fn wrong(got: &[f32], want: impl Fn(f32, f32) -> bool) -> usize {
        let is_wrong = |(at, v): (usize, &f32)| {
            (*v > 0.0) != want((at % SIDE) as f32 + 0.5, (at / SIDE) as f32 + 0.5)
        };
        got.iter().enumerate().filter(|n| is_wrong(*n)).count()
    }

    #[test]
    fn a_border_that_is_off_by_pixels_goes_to_the_edge() {
        let picture = SnapPicture::new(&disc(circle(20.0)), SIDE).unwrap();
        for radius in [16.0, 18.0, 24.0] {
            let logits = logits(radius, 0.4);
            let raw = upsample_logits(&logits, (16, 16), (SIDE, SIDE)).unwrap();
            let snapped = picture
                .snap(&logits, (16, 16), &SnapPrompt::default())
                .unwrap();
            let (before, after) = (wrong(&raw, circle(20.0)), wrong(&snapped, circle(20.0)));
            assert!(
                before > 200 && after < 20,
                "{radius}: {before} then {after} pixels wrong"
            );
        }
    }

    #[test]
    fn what_the_network_is_sure_of_stays() {
        // The picture has its edge at 20, the network is sure of 10.
        let picture = SnapPicture::new(&disc(circle(20.0)), SIDE).unwrap();
        let snapped = picture
            .snap(&logits(10.0, 4.0), (16, 16), &SnapPrompt::default())
            .unwrap();
        let far = |at: usize| circle(13.0)((at % SIDE) as f32, (at / SIDE) as f32);
        assert!(
            snapped
                .iter()
                .enumerate()
                .all(|(at, v)| *v < 0.0 || far(at))
        );
        assert!(snapped[32 * SIDE + 32] > 0.0);
    }

    #[test]
    fn clicks_and_the_box_are_kept() {
        let picture = SnapPicture::new(&disc(circle(20.0)), SIDE).unwrap();
        let prompt = SnapPrompt {
            clicks: vec![([32.0, 32.0], false), ([60.0, 4.0], true)],
            bounding_box: Some([20.0, 12.0, 64.0, 60.0]),
        };
        let snapped = picture.snap(&logits(20.0, 0.4), (16, 16), &prompt).unwrap();
        assert!(snapped[32 * SIDE + 32] < 0.0 && snapped[4 * SIDE + 60] > 0.0);
        assert!((0..SIDE).all(|y| snapped[y * SIDE + 15] < 0.0));
        assert!(snapped[32 * SIDE + 45] > 0.0);
    }

    #[test]
    fn the_networks_input_is_the_picture_again() {
        let rgb = disc(circle(20.0));
        let want = SnapPicture::new(&rgb, SIDE).unwrap();
        let picture = crate::RgbImage::from_rgb(SIDE, SIDE, rgb.clone()).unwrap();
        let got = SnapPicture::of_input(&crate::preprocess(&picture, SIDE), SIDE).unwrap();
        assert_eq!((got.colours, got.links), (want.colours, want.links));
        // Four equal pixels for one, as a picture beyond the largest is.
        let large = |at: usize| rgb[(at / 3 / 1024 / 16 * SIDE + at / 3 % 1024 / 16) * 3 + at % 3];
        let large = (0..1024 * 1024 * 3).map(large).collect();
        let large = crate::RgbImage::from_rgb(1024, 1024, large).unwrap();
        let half = SnapPicture::of_input(&crate::preprocess(&large, 1024), 1024).unwrap();
        assert_eq!(half.side(), 512);
        assert!((0..512 * 512).all(|at| half.colours[at] == want_colour(&rgb, at)));
        assert!(SnapPicture::of_input(&[0.0; 5], SIDE).is_err());
    }

    fn want_colour(rgb: &[u8], at: usize) -> u16 {
        let from = at / 512 / 8 * SIDE + at % 512 / 8;
        colours::bin(&rgb[from * 3..])
    }

    #[test]
    fn pictures_without_edges_and_masks_without_pixels_are_answered() {
        let grey = SnapPicture::new(&[90; SIDE * SIDE * 3], SIDE).unwrap();
        let some = grey
            .snap(&logits(20.0, 0.4), (16, 16), &SnapPrompt::default())
            .unwrap();
        assert!(some.iter().any(|v| *v > 0.0) && some.iter().any(|v| *v < 0.0));
        for (value, sign) in [(-9.0, -1.0), (9.0, 1.0), (0.3, 1.0), (-1.0, -1.0)] {
            let all = grey
                .snap(&[value; 256], (16, 16), &SnapPrompt::default())
                .unwrap();
            assert!(all.iter().all(|v| *v == sign), "{value}");
        }
        assert_eq!(
            SnapPicture::new(&[0; 5], 2).unwrap_err().code(),
            "bad_image"
        );
        assert!(
            grey.snap(&[0.0; 255], (16, 16), &SnapPrompt::default())
                .is_err()
        );
    }
}
