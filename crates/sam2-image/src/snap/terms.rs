//! What is known of each pixel before the cut: from the network, the clicks and the box.

use super::SnapPrompt;

/// Above or below this, a logit is what the network says, whatever the colours.
const SURE: f32 = 4.0;
/// Masks of the small model end a little inside the object.
const OUTWARDS: f32 = 0.75;
/// Logits beyond count no more than this.
const LOGIT_REACH: f32 = 2.0;
/// A click holds this far around it, as a share of the side.
const CLICK_RADIUS: f32 = 1.0 / 48.0;
/// What the network says against a click counts the more the farther away it is: this much a side.
const AGAINST_CLICK: f32 = 5.0;
/// Boxes are drawn by hand: the object may reach beyond by this share of their sides.
const BOX_MARGIN: f32 = 0.05;

/// One pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Term {
    Inside,
    Outside,
    /// To be decided; the network's word, inside where positive.
    Open(f32),
}

impl Term {
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// The mask to begin with.
    pub fn is_inside(self) -> bool {
        match self {
            Self::Open(logit) => logit > 0.0,
            known => known == Self::Inside,
        }
    }
}

/// A prompt on a square of side x side pixels.
#[derive(Debug)]
pub struct Rules<'a> {
    side: usize,
    clicks: &'a [([f32; 2], bool)],
    /// Beyond it nothing is inside: x0, y0, x1, y1.
    reach: Option<[f32; 4]>,
}

impl<'a> Rules<'a> {
    /// The prompt is in pixels of the square.
    pub fn new(side: usize, prompt: &'a SnapPrompt) -> Self {
        let reach = prompt.bounding_box.map(|[x0, y0, x1, y1]| {
            let [dx, dy] = [x1 - x0, y1 - y0].map(|side| (side * BOX_MARGIN).max(1.0));
            [x0 - dx, y0 - dy, x1 + dx, y1 + dy]
        });
        let clicks = &prompt.clicks;
        Self {
            side,
            clicks,
            reach,
        }
    }

    /// What is known of all pixels, where the network gave these logits [side, side].
    pub fn terms(&self, logits: &[f32]) -> Vec<Term> {
        let logits = logits.iter().enumerate();
        logits.map(|(at, logit)| self.term(at, *logit)).collect()
    }

    /// As [`Rules::terms`], open only near the border of a mask of half the side.
    pub fn terms_at_border(&self, logits: &[f32], half: &[bool]) -> Vec<Term> {
        let half_side = self.side / 2;
        let [outside, inside] = [false, true].map(|kind| spread(half, half_side, kind));
        let term = |(at, logit): (usize, &f32)| {
            // The last of an odd side has no pixel of its own there.
            let [x, y] = [at % self.side, at / self.side].map(|v| (v / 2).min(half_side - 1));
            let near = y * half_side + x;
            match (outside[near], inside[near]) {
                _ if self.held(at).is_some() => self.term(at, *logit),
                (true, false) => Term::Outside,
                (false, true) => Term::Inside,
                _ => self.term(at, *logit),
            }
        };
        logits.iter().enumerate().map(term).collect()
    }

    /// The pixels that a click holds, and whether inside.
    pub fn clicked(&self) -> Vec<(usize, bool)> {
        if self.clicks.is_empty() {
            return Vec::new();
        }
        let held = |at| self.held(at).map(|inside| (at, inside));
        (0..self.side * self.side).filter_map(held).collect()
    }

    /// A pixel's middle.
    fn place(&self, at: usize) -> [f32; 2] {
        [at % self.side, at / self.side].map(|v| v as f32 + 0.5)
    }

    fn squared_distance(&self, at: usize, [cx, cy]: [f32; 2]) -> f32 {
        let [x, y] = self.place(at);
        (x - cx) * (x - cx) + (y - cy) * (y - cy)
    }

    /// What the last click around says.
    fn held(&self, at: usize) -> Option<bool> {
        let radius = (self.side as f32 * CLICK_RADIUS).max(1.0);
        let near =
            |(click, _): &&([f32; 2], bool)| self.squared_distance(at, *click) <= radius * radius;
        self.clicks
            .iter()
            .rev()
            .find(near)
            .map(|(_, inside)| *inside)
    }

    fn term(&self, at: usize, logit: f32) -> Term {
        match self.held(at) {
            Some(true) => return Term::Inside,
            Some(false) => return Term::Outside,
            None => {}
        }
        let [x, y] = self.place(at);
        if self
            .reach
            .is_some_and(|[x0, y0, x1, y1]| x < x0 || x > x1 || y < y0 || y > y1)
        {
            return Term::Outside;
        }
        let logit = logit + OUTWARDS;
        let against = self.against(at, logit < 0.0);
        if logit.abs() > SURE && against >= LOGIT_REACH {
            return if logit > 0.0 {
                Term::Inside
            } else {
                Term::Outside
            };
        }
        let most = against.min(LOGIT_REACH);
        Term::Open(logit.clamp(-most, most))
    }

    /// How much the network's word may count where the nearest click that is `inside`, or outside, says otherwise.
    fn against(&self, at: usize, inside: bool) -> f32 {
        let others = self.clicks.iter().filter(|(_, kind)| *kind == inside);
        let squares = others.map(|(click, _)| self.squared_distance(at, *click));
        squares.fold(f32::INFINITY, f32::min).sqrt() / self.side as f32 * AGAINST_CLICK
    }
}

/// Pixels with one of this kind at most two away.
fn spread(mask: &[bool], side: usize, kind: bool) -> Vec<bool> {
    const REACH: usize = 2;
    let any = |from: &[bool], at: usize, place: usize, step: usize| {
        let low = place.saturating_sub(REACH);
        let high = (place + REACH).min(side - 1);
        (low..=high).any(|p| from[at + p * step - place * step])
    };
    let own: Vec<bool> = mask.iter().map(|v| *v == kind).collect();
    let along: Vec<bool> = (0..own.len())
        .map(|at| any(&own, at, at % side, 1))
        .collect();
    (0..own.len())
        .map(|at| any(&along, at, at / side, side))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(terms: &[Term], side: usize, x: usize, y: usize) -> Term {
        terms[y * side + x]
    }

    #[test]
    fn the_networks_word_counts_less_near_a_click_against_it() {
        let prompt = SnapPrompt {
            clicks: vec![([10.5, 10.5], true)],
            bounding_box: None,
        };
        let terms = Rules::new(96, &prompt).terms(&[-30.0; 96 * 96]);
        assert_eq!(at(&terms, 96, 10, 10), Term::Inside);
        let Term::Open(near) = at(&terms, 96, 20, 10) else {
            panic!("open near the click")
        };
        let Term::Open(far) = at(&terms, 96, 40, 10) else {
            panic!("open farther away")
        };
        assert!(-0.6 < near && near < -0.4 && far < -1.5, "{near} {far}");
        assert_eq!(at(&terms, 96, 60, 10), Term::Outside);
        // What agrees with the click stays as sure as it was.
        let agreed = Rules::new(96, &prompt).terms(&[30.0; 96 * 96]);
        assert_eq!(at(&agreed, 96, 20, 10), Term::Inside);
    }

    #[test]
    fn outside_of_a_box_and_its_margin_is_outside() {
        let prompt = SnapPrompt {
            clicks: vec![([90.5, 5.5], true)],
            bounding_box: Some([20.0, 20.0, 60.0, 60.0]),
        };
        let terms = Rules::new(96, &prompt).terms(&[9.0; 96 * 96]);
        assert_eq!(at(&terms, 96, 40, 40), Term::Inside);
        assert_eq!(
            at(&terms, 96, 61, 40),
            Term::Inside,
            "drawn a little too small"
        );
        assert_eq!(at(&terms, 96, 63, 40), Term::Outside);
        assert_eq!(
            at(&terms, 96, 90, 5),
            Term::Inside,
            "but a click counts more"
        );
    }

    #[test]
    fn only_the_border_of_the_coarse_mask_stays_open() {
        let half: Vec<bool> = (0..256).map(|at| at % 16 < 8).collect();
        let prompt = SnapPrompt::default();
        let terms = Rules::new(32, &prompt).terms_at_border(&[0.0; 32 * 32], &half);
        for x in 0..32 {
            let want = match x {
                0..12 => Term::Inside,
                12..20 => Term::Open(OUTWARDS),
                _ => Term::Outside,
            };
            assert_eq!(at(&terms, 32, x, 7), want, "{x}");
        }
    }
}
