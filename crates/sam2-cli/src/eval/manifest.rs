//! manifest.json: what there is to measure.

use crate::{CliError, files};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Component, Path};

/// Most bytes of a manifest: half a million masks.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Debug, Deserialize)]
pub struct Manifest {
    #[serde(default)]
    images: Vec<ImageItem>,
    #[serde(default)]
    pub videos: Vec<VideoItem>,
}

/// A picture and one mask of it; paths are relative to the folder.
#[derive(Debug, Clone, Deserialize)]
pub struct ImageItem {
    pub image: String,
    pub mask: String,
    #[serde(default)]
    pub single_object: bool,
}

/// A folder of frames, each with its mask beside it.
#[derive(Debug, Clone, Deserialize)]
pub struct VideoItem {
    pub dir: String,
    pub frames: usize,
}

impl Manifest {
    /// Reads `DIR/manifest.json`.
    ///
    /// # Errors
    /// [`CliError::Io`]; [`CliError::BadFile`] where it is no manifest or leads out of the folder.
    pub fn read(data: &Path) -> Result<Self, CliError> {
        let path = data.join("manifest.json");
        let bad = |reason: String| CliError::BadFile {
            path: path.clone(),
            reason,
        };
        let text = files::read_text(&path, MOST_BYTES)?;
        let manifest: Self = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        let images = manifest.images.iter().flat_map(|i| [&i.image, &i.mask]);
        for name in images.chain(manifest.videos.iter().map(|v| &v.dir)) {
            let inside = |c: Component| matches!(c, Component::Normal(_) | Component::CurDir);
            if !Path::new(name).components().all(inside) {
                return Err(bad(format!("{name:?} leads out of the folder")));
            }
        }
        Ok(manifest)
    }

    /// The masks of one half, or all. Halves are split by scene, so that frames of one clip never lie
    /// on both sides: scenes in order of first appearance, even ones are half 0.
    pub fn images_of(&self, half: Option<u8>) -> Vec<&ImageItem> {
        let mut halves: HashMap<&str, u8> = HashMap::new();
        for item in &self.images {
            let next = (halves.len() % 2) as u8;
            halves.entry(item.scene()).or_insert(next);
        }
        let of = |item: &&ImageItem| half.is_none_or(|h| halves.get(item.scene()) == Some(&h));
        self.images.iter().filter(of).collect()
    }
}

impl ImageItem {
    fn stem(&self) -> &str {
        Path::new(&self.image)
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or(&self.image)
    }

    fn is_davis(&self) -> bool {
        self.image.starts_with("davis")
    }

    /// The clip of a DAVIS frame, or the picture.
    fn scene(&self) -> &str {
        let stem = self.stem();
        match self.is_davis() {
            true => stem.rsplit_once('_').map_or(stem, |(clip, _)| clip),
            false => stem,
        }
    }

    /// What the mask is counted under: `davis` (one object), `davis_several`, or what the picture's
    /// name begins with (`coco`, `voc`, ...).
    pub fn source(&self) -> &str {
        match (self.is_davis(), self.single_object) {
            (true, true) => "davis",
            (true, false) => "davis_several",
            _ => self.stem().split('_').next().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_halves_go_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let json = r#"{"note": "x", "images": [
            {"image": "davis_img/dog_00015.jpg", "mask": "d.png", "single_object": true, "area": 0.1},
            {"image": "davis_img/dog_00030.jpg", "mask": "e.png", "single_object": false},
            {"image": "other/coco_1.jpg", "mask": "f.png", "single_object": true}],
            "videos": [{"dir": "v/camel", "frames": 40}]}"#;
        std::fs::write(folder.path().join("manifest.json"), json).unwrap();
        let manifest = Manifest::read(folder.path()).unwrap();
        let sources = |half| -> Vec<&str> {
            manifest
                .images_of(half)
                .into_iter()
                .map(ImageItem::source)
                .collect()
        };
        assert_eq!(sources(None), ["davis", "davis_several", "coco"]);
        assert_eq!(sources(Some(0)), ["davis", "davis_several"]);
        assert_eq!(sources(Some(1)), ["coco"]);
        assert_eq!(manifest.videos[0].frames, 40);
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let json = r#"{"images": [{"image": "../a.jpg", "mask": "b.png"}]}"#;
        std::fs::write(folder.path().join("manifest.json"), json).unwrap();
        assert!(
            Manifest::read(folder.path())
                .unwrap_err()
                .to_string()
                .contains("leads out")
        );
    }
}
