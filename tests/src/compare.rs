//! What tests/parity/compare.py does: two `.npz` held side by side, by the same figures and bounds.

use crate::npz::{self, Array};
use anyhow::Result;
use serde::Deserialize;
use std::path::Path;

/// The bounds of cases.json.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Bounds {
    /// Relative L2 error of embeddings and features.
    pub embedding: f64,
    /// Largest difference of a logit over the largest logit.
    pub logits: f64,
    /// The same for predicted IoU.
    pub iou: f64,
    /// Least intersection over union of masks.
    pub mask: f64,
}

/// What is beyond a bound, and the worst figure of each kind in one line.
#[derive(Debug)]
pub struct Report {
    pub failures: Vec<String>,
    pub worst: String,
}

/// Holds `project` against `reference`: every key of the reference must be there, of the same shape.
pub fn compare(reference: &Path, project: &Path, bounds: &Bounds) -> Result<Report> {
    let (reference, project) = (npz::read(reference)?, npz::read(project)?);
    let mut failures = Vec::new();
    let kinds = ["embedding", "logits", "IoU score", "mask IoU"];
    let mut worst = [0.0_f64, 0.0, 0.0, 1.0];
    for (key, expected) in &reference {
        let Some(got) = project.get(key) else {
            failures.push(format!("{key}: missing"));
            continue;
        };
        if got.shape != expected.shape {
            failures.push(format!(
                "{key}: shape {:?}, reference {:?}",
                got.shape, expected.shape
            ));
            continue;
        }
        let (kind, figure, bound) = match key.as_str() {
            "e" | "h0" | "h1" => (0, relative_l2(expected, got)?, bounds.embedding),
            k if k.starts_with("mask_") => (3, mask_iou(expected, got)?, bounds.mask),
            k if k.starts_with("iou_") => (2, largest(expected, got)?, bounds.iou),
            _ => (1, largest(expected, got)?, bounds.logits),
        };
        // Comparisons with NaN are false: it is beyond every bound.
        let (fine, worse) = match kind {
            3 => (figure >= bound, figure < worst[kind]),
            _ => (figure <= bound, figure > worst[kind] || figure.is_nan()),
        };
        if worse {
            worst[kind] = figure;
        }
        if !fine {
            failures.push(format!(
                "{key}: {} {figure:.3e}, bound {bound:e}",
                kinds[kind]
            ));
        }
    }
    if reference.is_empty() {
        failures.push("the reference holds nothing".to_owned());
    }
    let worst = kinds.iter().zip(worst).map(|(k, f)| format!("{k} {f:.2e}"));
    Ok(Report {
        failures,
        worst: worst.collect::<Vec<_>>().join(", "),
    })
}

fn relative_l2(expected: &Array, got: &Array) -> Result<f64> {
    let (mut off, mut all) = (0.0_f64, 0.0_f64);
    for (e, g) in expected.f32()?.iter().zip(got.f32()?) {
        off += (f64::from(*e) - f64::from(*g)).powi(2);
        all += f64::from(*e).powi(2);
    }
    Ok((off / all).sqrt())
}

fn largest(expected: &Array, got: &Array) -> Result<f64> {
    let (mut off, mut all) = (0.0_f64, 1e-6_f64);
    for (e, g) in expected.f32()?.iter().zip(got.f32()?) {
        let d = (f64::from(*e) - f64::from(*g)).abs();
        if d > off || d.is_nan() {
            off = d;
        }
        all = all.max(f64::from(e.abs()));
    }
    Ok(off / all)
}

fn mask_iou(expected: &Array, got: &Array) -> Result<f64> {
    let (mut both, mut either) = (0_usize, 0_usize);
    for (e, g) in expected.bool()?.iter().zip(got.bool()?) {
        both += usize::from(*e && *g);
        either += usize::from(*e || *g);
    }
    Ok(if either == 0 {
        1.0
    } else {
        both as f64 / either as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npz::Values;

    #[test]
    fn figures_are_those_of_compare_py_and_nan_is_never_fine() {
        let array = |values: &[f32]| Array {
            shape: vec![values.len()],
            values: Values::F32(values.into()),
        };
        let (a, b) = (array(&[3.0, -4.0]), array(&[3.0, -3.0]));
        assert!((relative_l2(&a, &b).unwrap() - 0.2).abs() < 1e-9);
        assert!((largest(&a, &b).unwrap() - 0.25).abs() < 1e-9);
        assert!(largest(&a, &array(&[3.0, f32::NAN])).unwrap().is_nan());
        let mask = |bits: &[bool]| Array {
            shape: vec![bits.len()],
            values: Values::Bool(bits.into()),
        };
        let (a, b) = (mask(&[true, true, false]), mask(&[true, false, false]));
        assert_eq!(mask_iou(&a, &b).unwrap(), 0.5);
        assert_eq!(mask_iou(&mask(&[false]), &mask(&[false])).unwrap(), 1.0);
    }
}
