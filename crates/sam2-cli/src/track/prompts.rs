//! What is prompted on which frame, from the command line or a prompts file.

use super::TrackArgs;
use crate::CliError;
use crate::segment::prompts::{check, parse_box, parse_point};
use sam2::Prompt;
use sam2::image::{DecodeLimits, Mask};
use sam2::video::{ObjectId, VideoPrompt};
use serde::Deserialize;
use std::path::Path;

/// A prompt on a frame.
#[derive(Debug)]
pub struct Step {
    pub frame: usize,
    pub object: ObjectId,
    pub prompt: What,
}

/// Points and a box, or a mask.
#[derive(Debug)]
pub enum What {
    Points(VideoPrompt),
    Mask(Mask),
}

/// An entry of a prompts file.
#[derive(Debug, Deserialize)]
struct Entry {
    frame: usize,
    object: ObjectId,
    #[serde(default)]
    points: Option<Vec<[f32; 2]>>,
    #[serde(default)]
    labels: Option<Vec<i32>>,
    #[serde(default, rename = "box")]
    bounding_box: Option<[f32; 4]>,
    #[serde(default)]
    mask: Option<String>,
}

/// Reads a prompts file; masks in it are named relative to its folder.
///
/// # Errors
/// [`CliError::Io`], [`CliError::Prompt`] naming the entry.
pub fn read(path: &Path) -> Result<Vec<Step>, CliError> {
    let text = std::fs::read_to_string(path).map_err(CliError::io(path))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map_err(|e| CliError::Prompt(format!("{}: {e}", path.display())))
}

fn parse(text: &str, folder: &Path) -> Result<Vec<Step>, String> {
    let entries: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|e| format!("it is no list of prompts in JSON: {e}"))?;
    if entries.is_empty() {
        return Err("it holds no prompt".to_owned());
    }
    let step = |(i, e)| step(e, folder).map_err(|r| format!("prompt {i}: {r}"));
    entries.into_iter().enumerate().map(step).collect()
}

fn step(entry: serde_json::Value, folder: &Path) -> Result<Step, String> {
    let entry: Entry = serde_json::from_value(entry).map_err(|e| e.to_string())?;
    let points = entry.points.unwrap_or_default();
    let (frame, object) = (entry.frame, entry.object);
    if let Some(name) = entry.mask {
        if !points.is_empty() || entry.bounding_box.is_some() {
            return Err("a mask stands alone, without points and box".to_owned());
        }
        let bytes = std::fs::read(folder.join(&name)).map_err(|e| format!("{name}: {e}"))?;
        let mask = Mask::from_png(&bytes, &DecodeLimits::default());
        let mask = mask.map_err(|e| format!("{name}: {e}"))?;
        return Ok(Step {
            frame,
            object,
            prompt: What::Mask(mask),
        });
    }
    let labels = match entry.labels {
        _ if points.is_empty() => Vec::new(),
        Some(labels) => labels,
        None => return Err("points need labels, one each: 1 foreground, 0 background".to_owned()),
    };
    let prompt = checked(points, labels, entry.bounding_box)?;
    Ok(Step {
        frame,
        object,
        prompt: What::Points(prompt),
    })
}

fn checked(
    points: Vec<[f32; 2]>,
    labels: Vec<i32>,
    bounding_box: Option<[f32; 4]>,
) -> Result<VideoPrompt, String> {
    let still = Prompt {
        points,
        labels,
        bounding_box,
        ..Prompt::default()
    };
    check(&still, false)?;
    let Prompt {
        points,
        labels,
        bounding_box,
        ..
    } = still;
    Ok(VideoPrompt {
        points,
        labels,
        bounding_box,
        keep_old_points: false,
    })
}

/// The one prompt of `--point` and `--box`.
///
/// # Errors
/// [`CliError::Prompt`].
pub fn from_flags(args: &TrackArgs) -> Result<Step, CliError> {
    let points: Result<Vec<_>, _> = args.points.iter().map(|p| parse_point(p)).collect();
    let (points, labels) = points.map_err(CliError::Prompt)?.into_iter().unzip();
    let bounding_box = args.bounding_box.as_deref().map(parse_box).transpose();
    let bounding_box = bounding_box.map_err(CliError::Prompt)?;
    let prompt = checked(points, labels, bounding_box).map_err(CliError::Prompt)?;
    let (frame, object) = (args.frame.unwrap_or(0), args.object.unwrap_or(1));
    Ok(Step {
        frame,
        object,
        prompt: What::Points(prompt),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_points_boxes_or_masks() {
        let folder = tempfile::tempdir().unwrap();
        let mask = Mask::from_bytes(3, 2, vec![1, 0, 0, 0, 0, 1]).unwrap();
        std::fs::write(folder.path().join("m.png"), mask.to_png().unwrap()).unwrap();
        let steps = parse(
            r#"[{"frame": 2, "object": 7, "points": [[1, 2]], "labels": [0], "box": [0, 0, 4, 4]},
                {"frame": 0, "object": 1, "mask": "m.png"}]"#,
            folder.path(),
        )
        .unwrap();
        assert_eq!((steps[0].frame, steps[0].object), (2, 7));
        let What::Points(prompt) = &steps[0].prompt else {
            panic!()
        };
        assert_eq!(
            (prompt.labels.as_slice(), prompt.bounding_box),
            (&[0][..], Some([0.0, 0.0, 4.0, 4.0]))
        );
        let What::Mask(read) = &steps[1].prompt else {
            panic!()
        };
        assert_eq!(*read, mask);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_number() {
        for (text, reason) in [
            ("[]", "no prompt"),
            (r#"[{"frame": 0, "object": 1}]"#, "prompt 0: nothing"),
            (r#"[{"object": 1, "box": [0, 0, 1, 1]}]"#, "frame"),
            (
                r#"[{"frame": -1, "object": 1, "box": [0, 0, 1, 1]}]"#,
                "prompt 0",
            ),
            (
                r#"[{"frame": 0, "object": 1, "points": [[1, 2]]}]"#,
                "need labels",
            ),
            (
                r#"[{"frame": 0, "object": 1, "mask": "none.png"}]"#,
                "none.png",
            ),
            (
                r#"[{"frame": 0, "object": 1, "mask": "m.png", "box": [0, 0, 1, 1]}]"#,
                "alone",
            ),
        ] {
            let error = parse(text, Path::new("")).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
