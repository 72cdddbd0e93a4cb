//! Prompts from the command line and from a prompts file.

use crate::CliError;
use crate::pointed::{Pointing, read_list};
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
    #[serde(flatten)]
    pointing: Pointing,
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
    read_list(path, step)
}

fn step(index: usize, entry: serde_json::Value) -> Result<Step, String> {
    let unknown = entry.as_object().into_iter().flat_map(|o| o.keys());
    for key in unknown.filter(|k| !KEYS.contains(&k.as_str())) {
        tracing::warn!("prompt {index}: the key {key:?} is unknown and left out");
    }
    let entry: Entry = serde_json::from_value(entry).map_err(|e| e.to_string())?;
    let refine = entry.refine.unwrap_or(false);
    let prompt = Prompt {
        multimask: entry.multimask.unwrap_or(true),
        ..entry.pointing.into_prompt(refine && index > 0)?
    };
    Ok(Step { prompt, refine })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointed::parse_list;

    #[test]
    fn a_prompts_file_has_the_reference_s_defaults() {
        let steps = parse_list(
            r#"[{"points": [[3, 4.5]], "labels": [1], "box": null},
                {"box": [1, 2, 3, 4], "multimask": false, "refine": true, "note": "x"},
                {"refine": true, "multimask": false}]"#,
            step,
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
            let error = parse_list(text, step).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
