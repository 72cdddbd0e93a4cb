//! What is prompted on which frame, from the command line or a prompts file.

use super::TrackArgs;
use crate::pointed::{Pointing, read_list};
use crate::{CliError, files};
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
    #[serde(flatten)]
    pointing: Pointing,
    #[serde(default)]
    mask: Option<String>,
}

/// Reads a prompts file; masks in it are named relative to its folder.
///
/// # Errors
/// [`CliError::Io`], [`CliError::Prompt`] naming the entry.
pub fn read(path: &Path) -> Result<Vec<Step>, CliError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    read_list(path, |_, entry| step(entry, folder))
}

fn step(entry: serde_json::Value, folder: &Path) -> Result<Step, String> {
    let Entry {
        frame,
        object,
        pointing,
        mask,
    } = serde_json::from_value(entry).map_err(|e| e.to_string())?;
    let prompt = match mask {
        Some(_) if !pointing.is_empty() => {
            return Err("a mask stands alone, without points and box".to_owned());
        }
        Some(name) => {
            What::Mask(read_mask(&folder.join(&name)).map_err(|e| format!("{name}: {e}"))?)
        }
        None => What::Points(of_video(pointing.into_prompt(false)?)),
    };
    Ok(Step {
        frame,
        object,
        prompt,
    })
}

fn read_mask(path: &Path) -> Result<Mask, String> {
    let limits = DecodeLimits::default();
    let bytes = files::read_picture(path, &limits).map_err(|e| match e {
        // The prompt names the file.
        CliError::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    })?;
    Mask::from_png(&bytes, &limits).map_err(|e| e.to_string())
}

fn of_video(prompt: Prompt) -> VideoPrompt {
    let Prompt {
        points,
        labels,
        bounding_box,
        ..
    } = prompt;
    VideoPrompt {
        points,
        labels,
        bounding_box,
        keep_old_points: false,
    }
}

/// The one prompt of `--point` and `--box`.
///
/// # Errors
/// [`CliError::Prompt`].
pub fn from_flags(args: &TrackArgs) -> Result<Step, CliError> {
    let pointing = Pointing::from_flags(&args.points, args.bounding_box.as_deref())?;
    let prompt = pointing.into_prompt(false).map_err(CliError::Prompt)?;
    Ok(Step {
        frame: args.frame.unwrap_or(0),
        object: args.object.unwrap_or(1),
        prompt: What::Points(of_video(prompt)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointed::parse_list;

    #[test]
    fn entries_are_points_boxes_or_masks() {
        let folder = tempfile::tempdir().unwrap();
        let mask = Mask::from_bytes(3, 2, vec![1, 0, 0, 0, 0, 1]).unwrap();
        std::fs::write(folder.path().join("m.png"), mask.to_png().unwrap()).unwrap();
        let read = |text| parse_list(text, |_, entry| step(entry, folder.path()));
        let steps = read(
            r#"[{"frame": 2, "object": 7, "points": [[1, 2]], "labels": [0], "box": [0, 0, 4, 4]},
                {"frame": 0, "object": 1, "mask": "m.png"}]"#,
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
            let error = parse_list(text, |_, entry| step(entry, Path::new(""))).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
