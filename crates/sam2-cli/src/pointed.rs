//! What a person points at, in flags and in prompts files: points with labels, and a box.

use crate::{CliError, files};
use sam2::Prompt;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Of an entry of a prompts file. What is left out or null is not given.
#[derive(Debug, Default, Deserialize)]
pub struct Pointing {
    #[serde(default)]
    points: Option<Vec<[f32; 2]>>,
    #[serde(default)]
    labels: Option<Vec<i32>>,
    #[serde(default, rename = "box")]
    bounding_box: Option<[f32; 4]>,
}

impl Pointing {
    /// From `--point` and `--box`.
    ///
    /// # Errors
    /// [`CliError::Prompt`] for what is no point or box.
    pub fn from_flags(points: &[String], bounding_box: Option<&str>) -> Result<Self, CliError> {
        let parsed: Result<Vec<_>, _> = points.iter().map(|p| parse_point(p)).collect();
        let (points, labels) = parsed.map_err(CliError::Prompt)?.into_iter().unzip();
        let bounding_box = bounding_box.map(parse_box).transpose();
        Ok(Self {
            points: Some(points),
            labels: Some(labels),
            bounding_box: bounding_box.map_err(CliError::Prompt)?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.points.as_ref().is_none_or(Vec::is_empty) && self.bounding_box.is_none()
    }

    /// The prompt, checked as far as that goes without a picture. `has_mask`: there is a mask besides.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn into_prompt(self, has_mask: bool) -> Result<Prompt, String> {
        let points = self.points.unwrap_or_default();
        let labels = match self.labels {
            _ if points.is_empty() => Vec::new(),
            Some(labels) => labels,
            None => {
                return Err("points need labels, one each: 1 foreground, 0 background".to_owned());
            }
        };
        let prompt = Prompt {
            points,
            labels,
            bounding_box: self.bounding_box,
            ..Prompt::default()
        };
        check(&prompt, has_mask)?;
        Ok(prompt)
    }
}

/// Most bytes of a prompts file: some million points.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a prompts file, a list in JSON, entry by entry.
///
/// # Errors
/// As [`files::read_text`]; [`CliError::Prompt`] naming the file and the entry.
pub fn read_list<T>(
    path: &Path,
    entry: impl Fn(usize, Value) -> Result<T, String>,
) -> Result<Vec<T>, CliError> {
    let text = files::read_text(path, MOST_BYTES)?;
    parse_list(&text, entry)
        .map_err(|reason| CliError::Prompt(format!("{}: {reason}", path.display())))
}

/// As [`read_list`], of a text.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_list<T>(
    text: &str,
    entry: impl Fn(usize, Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let entries: Vec<Value> =
        serde_json::from_str(text).map_err(|e| format!("it is no list of prompts in JSON: {e}"))?;
    if entries.is_empty() {
        return Err("it holds no prompt".to_owned());
    }
    let numbered = entries.into_iter().enumerate();
    numbered
        .map(|(i, e)| entry(i, e).map_err(|reason| format!("prompt {i}: {reason}")))
        .collect()
}

/// What can be said about a prompt before a picture is seen.
///
/// # Errors
/// What is wrong, in words.
fn check(prompt: &Prompt, has_mask: bool) -> Result<(), String> {
    if prompt.points.is_empty() && prompt.bounding_box.is_none() && !has_mask {
        return Err(
            "nothing is pointed at: give --point, --box or --mask-input (or --prompts)".to_owned(),
        );
    }
    if prompt.points.len() != prompt.labels.len() {
        let (points, labels) = (prompt.points.len(), prompt.labels.len());
        return Err(format!(
            "{points} points have {labels} labels: give one label per point"
        ));
    }
    let bad = prompt
        .points
        .iter()
        .find(|[x, y]| !x.is_finite() || !y.is_finite());
    if let Some([x, y]) = bad {
        return Err(format!("the point {x},{y} is not finite"));
    }
    if let Some(label) = prompt.labels.iter().find(|l| !(-1..=3).contains(*l)) {
        return Err(format!(
            "the label {label} is unknown: 1 is foreground, 0 background"
        ));
    }
    if let Some([x0, y0, x1, y1]) = prompt.bounding_box {
        if ![x0, y0, x1, y1].iter().all(|v| v.is_finite()) {
            return Err(format!("the box {x0},{y0},{x1},{y1} is not finite"));
        }
        if x1 <= x0 || y1 <= y0 {
            return Err(format!(
                "the box {x0},{y0},{x1},{y1} is empty: its corners are left, top, right, bottom"
            ));
        }
    }
    Ok(())
}

/// `X,Y[,LABEL]`.
///
/// # Errors
/// What is wrong, in words.
fn parse_point(text: &str) -> Result<([f32; 2], i32), String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let wrong = || format!("--point {text}: give X,Y or X,Y,LABEL, as in 320,200 or 10,10,0");
    let (x, y, label) = match parts[..] {
        [x, y] => (x, y, 1),
        [x, y, label] => (x, y, label.parse().map_err(|_| wrong())?),
        _ => return Err(wrong()),
    };
    Ok((
        [
            x.parse().map_err(|_| wrong())?,
            y.parse().map_err(|_| wrong())?,
        ],
        label,
    ))
}

/// `X0,Y0,X1,Y1`.
///
/// # Errors
/// What is wrong, in words.
fn parse_box(text: &str) -> Result<[f32; 4], String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    numbers
        .and_then(|n| <[f32; 4]>::try_from(n).ok())
        .ok_or_else(|| format!("--box {text}: give X0,Y0,X1,Y1, as in 40,60,300,420"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_boxes_from_flags() {
        assert_eq!(parse_point("3,4.5"), Ok(([3.0, 4.5], 1)));
        assert_eq!(parse_point("-3, 4 ,0"), Ok(([-3.0, 4.0], 0)));
        for text in ["3", "3,4,x", "3,4,1,1", "a,b", ""] {
            assert!(parse_point(text).is_err(), "{text}");
        }
        assert_eq!(parse_box("1,2,3,4"), Ok([1.0, 2.0, 3.0, 4.0]));
        assert!(parse_box("1,2,3").is_err() && parse_box("1,2,3,x").is_err());
        let nan = Prompt {
            bounding_box: Some([f32::NAN, 0.0, 1.0, 1.0]),
            ..Prompt::default()
        };
        assert!(check(&nan, false).is_err());
    }
}
