//! Masks of a small model, snapped to the picture's edges: where the network is sure it stays as it answered, and
//! in between the border goes where the picture's colours change (GrabCut: Rother et al. 2004, with the network's
//! logits beside a person's clicks). Nothing of this is in the official code; it is off unless asked for.

mod colours;
mod level;
mod terms;

use crate::preprocess::{MEAN, STD};
use crate::rgb::check_buffer;
use crate::upsample::upsample_logits;
use crate::{ImageError, Mask};
use colours::Colours;
use level::Level;
use terms::{Rules, Term};

/// Colours and cut depend on each other: this often in turn.
const ROUNDS: usize = 2;
/// Islands and holes up to these shares of the mask go.
const CRUMB: f32 = 0.02;
const PINHOLE: f32 = 0.01;
/// A cut takes longer than it is worth on larger pictures.
const LARGEST: usize = 512;

/// A picture as snapping looks at it, side x side pixels; made once, used for every mask.
#[derive(Debug, Clone)]
pub struct SnapPicture {
    /// A quarter of the side, where the mask is found, then a half and the whole, where its border is placed.
    levels: [Level; 3],
}

/// What a mask has to hold to, in pixels of the [`SnapPicture`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SnapPrompt {
    /// (x, y) and whether the object is there.
    pub clicks: Vec<([f32; 2], bool)>,
    /// The object ends about here: (x0, y0, x1, y1).
    pub bounding_box: Option<[f32; 4]>,
}

impl SnapPrompt {
    /// The same on a picture of another size.
    fn scaled(&self, by: f32) -> Self {
        let click = |([x, y], inside): &([f32; 2], bool)| ([x * by, y * by], *inside);
        Self {
            clicks: self.clicks.iter().map(click).collect(),
            bounding_box: self.bounding_box.map(|corners| corners.map(|v| v * by)),
        }
    }
}

impl SnapPicture {
    /// Takes RGB bytes [side, side, 3]; a side of four pixels at least.
    ///
    /// # Errors
    /// [`ImageError::Empty`], [`ImageError::WrongLength`].
    pub fn new(rgb: &[u8], side: usize) -> Result<Self, ImageError> {
        check_buffer("a picture to snap to", side, side, 3, rgb.len())?;
        let quarter = side / 4;
        let bytes = quarter * quarter * 3;
        check_buffer("a quarter of it", quarter, quarter, 3, bytes)?;
        let half = halved(rgb, side);
        let levels = [
            Level::new(&halved(&half, side / 2), quarter),
            Level::new(&half, side / 2),
            Level::new(rgb, side),
        ];
        Ok(Self { levels })
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
        self.levels[2].side
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
        let side = self.side();
        let scaled = |level: &Level| prompt.scaled(level.side as f32 / side as f32);
        let prompts = self.levels.each_ref().map(scaled);
        let mut mask = Vec::new();
        for (at, level) in self.levels.iter().enumerate() {
            let logits = upsample_logits(logits, size, (level.side, level.side))?;
            let rules = Rules::new(level.side, &prompts[at]);
            mask = match at.checked_sub(1) {
                None => found(level, &rules, &logits),
                Some(below) => {
                    let coarser = &self.levels[below];
                    let clicked = Rules::new(coarser.side, &prompts[below]).clicked();
                    let colours = Colours::of(coarser, &mask, &clicked);
                    placed(level, &rules.terms_at_border(&logits, &mask), colours)
                }
            };
        }
        let bits = mask.into_iter().map(u8::from).collect();
        let mask = tidied(Mask::from_bytes(side, side, bits)?, prompt);
        let signs = mask.bits().iter().map(|bit| f32::from(*bit) * 2.0 - 1.0);
        Ok(signs.collect())
    }
}

/// The mask at the smallest size.
fn found(level: &Level, rules: &Rules, logits: &[f32]) -> Vec<bool> {
    let (terms, clicked) = (rules.terms(logits), rules.clicked());
    let mut mask: Vec<bool> = terms.iter().map(|term| term.is_inside()).collect();
    for _ in 0..ROUNDS {
        let cut = match Colours::of(level, &mask, &clicked) {
            Some(colours) => level.cut(&terms, &colours),
            None => break,
        };
        if cut == mask {
            break;
        }
        mask = cut;
    }
    mask
}

/// The mask of half the side with its border placed anew; there are no colours where it has no inside or outside.
fn placed(level: &Level, terms: &[Term], colours: Option<Colours>) -> Vec<bool> {
    match colours {
        Some(colours) => level.cut(terms, &colours),
        None => terms.iter().map(|term| term.is_inside()).collect(),
    }
}

/// Every four pixels' mean; the last row and column of an odd side are left out.
fn halved(rgb: &[u8], side: usize) -> Vec<u8> {
    let half = side / 2;
    let mean = |at: usize| {
        let corner = (at / 3 / half * 2 * side + at / 3 % half * 2) * 3 + at % 3;
        let four = [0, 3, side * 3, side * 3 + 3].map(|step| u16::from(rgb[corner + step]));
        (four.iter().sum::<u16>() / 4) as u8
    };
    (0..half * half * 3).map(mean).collect()
}

/// Without crumbs and pinholes, but where a click would go with them.
fn tidied(mask: Mask, prompt: &SnapPrompt) -> Mask {
    let mut tidied = mask.clone();
    let area = mask.area() as f32;
    tidied.remove_islands((area * CRUMB) as usize);
    tidied.fill_holes((area * PINHOLE) as usize);
    let holds = |([x, y], inside): &([f32; 2], bool)| {
        let (x, y) = (x.max(0.0) as usize, y.max(0.0) as usize);
        tidied.get(x, y) == *inside || mask.get(x, y) != *inside
    };
    if prompt.clicks.iter().all(holds) {
        tidied
    } else {
        mask
    }
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
        let mut prompt = SnapPrompt {
            clicks: Vec::new(),
            bounding_box: Some([20.0, 12.0, 64.0, 60.0]),
        };
        let snap = |p: &SnapPrompt| picture.snap(&logits(20.0, 0.4), (16, 16), p).unwrap();
        let boxed = snap(&prompt);
        assert!((0..SIDE).all(|y| boxed[y * SIDE + 15] < 0.0));
        assert!(boxed[32 * SIDE + 32] > 0.0 && boxed[4 * SIDE + 60] < 0.0);
        prompt.clicks = vec![([32.5, 32.5], false), ([60.5, 4.5], true)];
        let clicked = snap(&prompt);
        assert!(clicked[32 * SIDE + 32] < 0.0 && clicked[4 * SIDE + 60] > 0.0);
    }

    #[test]
    fn the_networks_input_is_the_picture_again() {
        let rgb = disc(circle(20.0));
        let want = SnapPicture::new(&rgb, SIDE).unwrap();
        let picture = crate::RgbImage::from_rgb(SIDE, SIDE, rgb.clone()).unwrap();
        let got = SnapPicture::of_input(&crate::preprocess(&picture, SIDE), SIDE).unwrap();
        assert_eq!(got.levels[2].colours, want.levels[2].colours);
        // Four equal pixels for one, as a picture beyond the largest is.
        let large = |at: usize| rgb[(at / 3 / 1024 / 16 * SIDE + at / 3 % 1024 / 16) * 3 + at % 3];
        let large = (0..1024 * 1024 * 3).map(large).collect();
        let large = crate::RgbImage::from_rgb(1024, 1024, large).unwrap();
        let half = SnapPicture::of_input(&crate::preprocess(&large, 1024), 1024).unwrap();
        assert_eq!(half.side(), 512);
        assert!((0..512 * 512).all(|at| half.levels[2].colours[at] == want_colour(&rgb, at)));
        assert!(SnapPicture::of_input(&[0.0; 5], SIDE).is_err());
    }

    fn want_colour(rgb: &[u8], at: usize) -> u16 {
        let from = at / 512 / 8 * SIDE + at % 512 / 8;
        colours::bin(&rgb[from * 3..])
    }

    #[test]
    fn crumbs_go_unless_a_click_asks_for_them() {
        let picture = SnapPicture::new(&disc(circle(20.0)), SIDE).unwrap();
        let mut logits = logits(20.0, 0.4);
        logits[0] = 30.0; // a sure island in the corner
        let corner = |prompt: &SnapPrompt| picture.snap(&logits, (16, 16), prompt).unwrap()[0];
        assert!(corner(&SnapPrompt::default()) < 0.0);
        let clicks = vec![([0.5, 0.5], true)];
        let clicked = SnapPrompt {
            clicks,
            ..SnapPrompt::default()
        };
        assert!(corner(&clicked) > 0.0);
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
        let odd = SnapPicture::new(&[90; 63 * 63 * 3], 63).unwrap();
        let all = odd.snap(&[9.0; 256], (16, 16), &SnapPrompt::default());
        assert_eq!(all.unwrap(), [1.0; 63 * 63]);
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
