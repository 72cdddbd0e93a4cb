//! `--mask-input`: a mask to start from.

use crate::npz::{Array, NpzReader, read_npy};
use crate::{CliError, files};
use sam2::LowResMask;
use sam2::image::Mask;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// A mask as it was given; its size is held against the model's once that is loaded.
#[derive(Debug, Clone)]
pub enum MaskInput {
    Logits(LowResMask),
    Picture(Mask),
}

/// Logit of a pixel inside, as the official code uses for mask prompts (`_use_mask_as_output`).
const INSIDE: f32 = 10.0;

impl MaskInput {
    /// Reads an `.npz` that `--npz` wrote (the best mask of its last prompt), an `.npy` of logits
    /// `[h, w]` or `[1, h, w]`, or a black and white picture.
    ///
    /// # Errors
    /// [`CliError::BadFile`] with the reason; as [`files::mask`].
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let bad = |reason: String| CliError::BadFile {
            path: path.to_owned(),
            reason,
        };
        let open = || {
            files::check_regular(path)?;
            File::open(path)
                .map(BufReader::new)
                .map_err(CliError::io(path))
        };
        let ending = path
            .extension()
            .map(|e| e.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("npy") => read_npy(open()?).and_then(logits).map_err(bad),
            Some("npz") => last_answer(open()?).map_err(bad),
            _ => files::mask(path).map(Self::Picture),
        }
    }

    /// The logits for a model whose low-resolution masks have this side.
    pub fn for_model(&self, side: usize) -> LowResMask {
        match self {
            Self::Logits(mask) => mask.clone(),
            Self::Picture(mask) => LowResMask {
                logits: shrink(mask, side).into(),
                side,
            },
        }
    }
}

fn logits(array: Array) -> Result<MaskInput, String> {
    let side = match array.shape[..] {
        [h, w] | [1, h, w] if h == w => h,
        _ => {
            return Err(format!(
                "its shape is {:?}: it must be [h, h] or [1, h, h]",
                array.shape
            ));
        }
    };
    Ok(MaskInput::Logits(LowResMask {
        logits: array.values.into(),
        side,
    }))
}

/// The mask of highest predicted IoU of the last prompt.
fn last_answer(file: BufReader<File>) -> Result<MaskInput, String> {
    let mut npz = NpzReader::open(file)?;
    let numbers = npz
        .names()
        .into_iter()
        .filter_map(|n| n.strip_prefix("low_")?.parse().ok());
    let last: usize = numbers.max().ok_or("it holds no low_0, low_1, ...")?;
    let (low, iou) = (
        npz.read(&format!("low_{last}"))?,
        npz.read(&format!("iou_{last}"))?,
    );
    let best = (0..iou.values.len()).max_by(|a, b| iou.values[*a].total_cmp(&iou.values[*b]));
    let (&[masks, h, w], Some(best)) = (&low.shape[..], best) else {
        return Err(format!("low_{last} has the shape {:?}", low.shape));
    };
    if masks != iou.values.len() {
        return Err(format!("low_{last} and iou_{last} differ in length"));
    }
    let values = low.values[best * h * w..(best + 1) * h * w].to_vec();
    logits(Array {
        shape: vec![h, w],
        values,
    })
}

/// The share of each cell that is inside, as a logit of -10 to 10.
fn shrink(mask: &Mask, side: usize) -> Vec<f32> {
    let (width, height, bits) = (mask.width(), mask.height(), mask.bits());
    let span = |i: usize, n: usize| {
        let start = i * n / side;
        start..((i + 1) * n).div_ceil(side).max(start + 1).min(n)
    };
    let mut logits = Vec::with_capacity(side * side);
    for i in 0..side {
        let rows = span(i, height);
        for j in 0..side {
            let columns = span(j, width);
            let count: usize = rows
                .clone()
                .map(|y| {
                    bits[y * width + columns.start..y * width + columns.end]
                        .iter()
                        .filter(|b| **b != 0)
                        .count()
                })
                .sum();
            let share = count as f32 / (rows.len() * columns.len()) as f32;
            logits.push((2.0 * share - 1.0) * INSIDE);
        }
    }
    logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npz::NpzWriter;

    #[test]
    fn a_picture_becomes_logits_of_the_model_s_size() {
        // Left half inside, 6 x 4.
        let bytes = (0..24).map(|i| u8::from(i % 6 < 3)).collect();
        let mask = MaskInput::Picture(Mask::from_bytes(6, 4, bytes).unwrap());
        let low = mask.for_model(2);
        assert_eq!(&low.logits[..], [10.0, -10.0, 10.0, -10.0]);
        // Cells smaller than a pixel repeat it.
        let low = mask.for_model(12);
        assert_eq!((low.logits[0], low.logits[11]), (10.0, -10.0));
    }

    #[test]
    fn the_best_mask_of_the_last_prompt_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut npz = NpzWriter::create(&path).unwrap();
        npz.f32("low_0", &[1, 1, 1], &[1.0]).unwrap();
        npz.f32("iou_0", &[1], &[0.9]).unwrap();
        npz.f32("low_10", &[2, 1, 1], &[2.0, 3.0]).unwrap();
        npz.f32("iou_10", &[2], &[0.1, 0.2]).unwrap();
        npz.finish().unwrap();
        let MaskInput::Logits(low) = MaskInput::read(&path).unwrap() else {
            panic!()
        };
        assert_eq!((&low.logits[..], low.side), (&[3.0][..], 1));
        let wrong = folder.path().join("a.npy");
        std::fs::write(&wrong, b"no").unwrap();
        assert!(
            MaskInput::read(&wrong)
                .unwrap_err()
                .to_string()
                .contains("a.npy")
        );
    }
}
