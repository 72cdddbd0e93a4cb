//! Prompts from the command line and from a prompts file.

use crate::CliError;
use sam2::Prompt;
use serde::Deserialize;
use std::path::Path;

/// One prompt, and whether it goes on from the answer before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub prompt: Prompt,
    /// Takes the previous prompt's best low-resolution logits as its mask input.
    pub refine: bool,
}

/// An entry of a prompts file. What is left out or null is not given.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    points: Option<Vec<[f32; 2]>>,
    #[serde(default)]
    labels: Option<Vec<i32>>,
    #[serde(default, rename = "box")]
    bounding_box: Option<[f32; 4]>,
    #[serde(default)]
    multimask: Option<bool>,
    #[serde(default)]
    refine: Option<bool>,
}

const KEYS: [&str; 5] = ["points", "labels", "box", "multimask", "refine"];

/// Reads a prompts file: a list of `points`, `labels`, `box`, `multimask` (true where it is left out)
/// and `refine`. An unknown key is a warning, since it may be another program's.
///
/// # Errors
/// [`CliError::Io`], [`CliError::Prompt`] naming the entry.
pub fn read(path: &Path) -> Result<Vec<Step>, CliError> {
    let text = std::fs::read_to_string(path).map_err(CliError::io(path))?;
    parse(&text).map_err(|reason| CliError::Prompt(format!("{}: {reason}", path.display())))
}

fn parse(text: &str) -> Result<Vec<Step>, String> {
    let entries: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|e| format!("it is no list of prompts in JSON: {e}"))?;
    if entries.is_empty() {
        return Err("it holds no prompt".to_owned());
    }
    entries
        .into_iter()
        .enumerate()
        .map(|(i, e)| step(i, e).map_err(|r| format!("prompt {i}: {r}")))
        .collect()
}

fn step(index: usize, entry: serde_json::Value) -> Result<Step, String> {
    let unknown = entry.as_object().into_iter().flat_map(|o| o.keys());
    for key in unknown.filter(|k| !KEYS.contains(&k.as_str())) {
        tracing::warn!("prompt {index}: the key {key:?} is unknown and left out");
    }
    let entry: Entry = serde_json::from_value(entry).map_err(|e| e.to_string())?;
    let points = entry.points.unwrap_or_default();
    let labels = match entry.labels {
        _ if points.is_empty() => Vec::new(),
        Some(labels) => labels,
        None => return Err("points need labels, one each: 1 foreground, 0 background".to_owned()),
    };
    let refine = entry.refine.unwrap_or(false);
    let prompt = Prompt {
        points,
        labels,
        bounding_box: entry.bounding_box,
        mask_input: None,
        multimask: entry.multimask.unwrap_or(true),
    };
    check(&prompt, refine && index > 0)?;
    Ok(Step { prompt, refine })
}

/// What can be said about a prompt before a picture is seen.
///
/// # Errors
/// What is wrong, in words.
pub fn check(prompt: &Prompt, has_mask: bool) -> Result<(), String> {
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
pub fn parse_point(text: &str) -> Result<([f32; 2], i32), String> {
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
pub fn parse_box(text: &str) -> Result<[f32; 4], String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    numbers
        .and_then(|n| <[f32; 4]>::try_from(n).ok())
        .ok_or_else(|| format!("--box {text}: give X0,Y0,X1,Y1, as in 40,60,300,420"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompts_file_has_the_reference_s_defaults() {
        let steps = parse(
            r#"[{"points": [[3, 4.5]], "labels": [1], "box": null},
                {"box": [1, 2, 3, 4], "multimask": false, "refine": true, "note": "x"},
                {"refine": true, "multimask": false}]"#,
        )
        .unwrap();
        assert_eq!(steps.len(), 3);
        let first = Prompt {
            points: vec![[3.0, 4.5]],
            labels: vec![1],
            multimask: true,
            ..Prompt::default()
        };
        assert_eq!(
            steps[0],
            Step {
                prompt: first,
                refine: false
            }
        );
        assert_eq!(steps[1].prompt.bounding_box, Some([1.0, 2.0, 3.0, 4.0]));
        assert!(!steps[1].prompt.multimask && steps[1].refine);
        assert!(steps[2].refine);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_number() {
        for (text, reason) in [
            ("[]", "no prompt"),
            ("{}", "no list"),
            ("[{}]", "prompt 0: nothing"),
            (r#"[{"refine": true}]"#, "prompt 0: nothing"),
            (r#"[{"points": [[1, 2]]}]"#, "need labels"),
            (r#"[{"points": [[1, 2]], "labels": [1, 0]}]"#, "2 labels"),
            (r#"[{"points": [[1]], "labels": [1]}]"#, "prompt 0"),
            (r#"[{"points": [[1, 2]], "labels": [9]}]"#, "label 9"),
            (r#"[{"box": [5, 5, 5, 9]}]"#, "is empty"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

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
