//! Clicks on a picture under a plan.

use super::table::Cell;
use super::{micro, model};
use anyhow::{Context, Result, ensure};
use sam2::image::{Mask, RgbImage};
use sam2::inject::{self, Plan};
use sam2::{
    CleanUp, Error, ImagePredictor, PredictedMask, Prompt, Runtime, SharedModel, block_on,
    fault_counts,
};

const CLICKS: [(f32, f32); 3] = [(80.0, 60.0), (30.0, 90.0), (150.0, 40.0)];
const WEIGHTS: &str = "seed4.safetensors";

/// The right answers, and what is needed to ask again.
pub struct Bench {
    runtime: Runtime,
    /// Where the model never leaves its device, it is loaded once.
    cpu: Option<SharedModel>,
    picture: RgbImage,
    right: Vec<PredictedMask>,
}

impl Bench {
    pub fn new(runtime: &Runtime) -> Result<Self> {
        let bytes = std::fs::read(micro().join("images/wide.png"))?;
        let picture = sam2::image::decode(&bytes, &Default::default())?;
        let model = model(WEIGHTS, runtime.clone())?;
        inject::set(None);
        let right = ask(&model, &picture);
        let right = right.into_iter().collect::<Result<Vec<_>, _>>()?;
        let on_cpu = runtime.kind == sam2::DeviceKind::Cpu;
        Ok(Self {
            runtime: runtime.clone(),
            cpu: on_cpu.then_some(model),
            picture,
            right: right.into_iter().flatten().collect(),
        })
    }

    /// Asks under the plan and compares.
    pub fn run(&self, plan: Plan, cell: &mut Cell) -> Result<()> {
        let model = match &self.cpu {
            Some(model) => SharedModel::clone(model),
            None => model(WEIGHTS, self.runtime.clone())?,
        };
        let before = fault_counts();
        inject::set(Some(plan));
        let answers = ask(&model, &self.picture);
        cell.count(before, fault_counts());
        inject::set(None);
        let right = self.right.chunks(self.right.len() / CLICKS.len());
        for (answer, right) in answers.into_iter().zip(right) {
            cell.asked += 1;
            match answer {
                Ok(masks) => {
                    cell.shown += 1;
                    let pairs = || masks.iter().zip(right);
                    cell.wrong += u64::from(pairs().any(|(got, right)| is_wrong(got, right)));
                    let moved = |(got, right): (&PredictedMask, &PredictedMask)| {
                        off(&got.low_res.logits, &right.low_res.logits) > 1e-3
                    };
                    cell.moved_logits += u64::from(pairs().any(moved));
                }
                Err(error) => {
                    cell.faults += 1;
                    typed(&error, &self.picture)?;
                }
            }
        }
        Ok(())
    }
}

/// The masks of each click; where the picture cannot be encoded, its fault for each of them.
fn ask(model: &SharedModel, picture: &RgbImage) -> Vec<Result<Vec<PredictedMask>, Error>> {
    let predictor = ImagePredictor::new(SharedModel::clone(model));
    let click = |(x, y)| {
        // A new picture each time, so that embeddings are made as often as answers.
        let embedding = block_on(predictor.set_image(picture))?;
        let prompt = Prompt::click(x, y);
        Ok(block_on(predictor.predict(&embedding, &prompt, CleanUp::default()))?.masks)
    };
    CLICKS.into_iter().map(click).collect()
}

/// The error says what it is, and the only mask in reach is empty and of the right size.
fn typed(error: &Error, picture: &RgbImage) -> Result<()> {
    match error {
        Error::Fault(fault) => {
            let mask = fault.empty_mask();
            let size = (mask.width(), mask.height(), mask.area());
            ensure!(size == (picture.width(), picture.height(), 0), "{size:?}");
            Ok(())
        }
        Error::DeviceLost(_) => Ok(()),
        other => Err(anyhow::anyhow!("{other}")).context("not a fault"),
    }
}

/// Largest difference, as a part of the largest value.
pub fn off(got: &[f32], right: &[f32]) -> f32 {
    let largest = right.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
    let worst = |m: f32, (a, b): (&f32, &f32)| {
        let off = (a - b).abs();
        if off > m || off.is_nan() { off } else { m }
    };
    got.iter().zip(right).fold(0.0, worst) / largest
}

fn is_wrong(got: &PredictedMask, right: &PredictedMask) -> bool {
    differ(
        (&got.low_res.logits, &got.mask),
        (&right.low_res.logits, &right.mask),
    )
}

/// Whether two masks are not the same thing: a pixel of the low-resolution logits whose right value is
/// clearly on one side is on the other, or the masks have little in common.
pub fn differ(got: (&[f32], &Mask), right: (&[f32], &Mask)) -> bool {
    let largest = right.0.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let crossed = |(a, b): (&f32, &f32)| b.abs() > 0.01 * largest && (*a > 0.0) != (*b > 0.0);
    let unsound = got.0.iter().any(|v| !v.is_finite()) || got.0.len() != right.0.len();
    let iou = |a: &Mask, b: &Mask| -> f64 {
        let both = a.bits().iter().zip(b.bits());
        let (mut shared, mut either) = (0_u32, 0_u32);
        for (a, b) in both {
            shared += u32::from(*a & *b);
            either += u32::from(*a | *b);
        }
        if either == 0 {
            1.0
        } else {
            f64::from(shared) / f64::from(either)
        }
    };
    let same_size = (got.1.width(), got.1.height()) == (right.1.width(), right.1.height());
    // A handful of pixels at the threshold may flip; of a small mask that is more than a hundredth.
    let few = got.1.area().abs_diff(right.1.area()) <= 8;
    unsound
        || !same_size
        || got.0.iter().zip(right.0).any(crossed)
        || (iou(got.1, right.1) < 0.99 && !few)
}
