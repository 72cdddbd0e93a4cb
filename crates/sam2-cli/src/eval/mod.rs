//! `sam2 eval`: a model against pictures and clips with known masks.

mod distance;
mod manifest;
mod protocol;
mod summary;
mod video;

use crate::progress::Progress;
use crate::session::Session;
use crate::{CliError, files, output};
use clap::Args;
use manifest::{ImageItem, Manifest};
use sam2::{CleanUp, ImageEmbedding, ImagePredictor, Model, block_on};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use summary::{Row, Summary};

#[derive(Debug, Args)]
#[command(after_help = "The folder holds manifest.json:
  {\"images\": [{\"image\": \"a.jpg\", \"mask\": \"a.png\", \"single_object\": true}, ...],
   \"videos\": [{\"dir\": \"clip\", \"frames\": 40}, ...]}

Protocol: the first click lies at the maximum of the mask's distance transform (first in row order),
with three masks of which the one of highest predicted IoU counts; later clicks lie at the centre of
the error, one mask, going on from the previous logits; the box is the tight one. A clip is prompted
with the tight box on frame 0 and scored by the mean IoU of the other frames; its masks lie beside the
frames as NNNNN.png.")]
pub struct EvalArgs {
    /// Folder with manifest.json, pictures and masks
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// A model file, or the name of a model in SAM2_MODELS_DIR [default: the built-in sam2-nano]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Only every other scene: 0 is the half to choose by, 1 the half to report
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    pub half: Option<u8>,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
    /// Only the pictures
    #[arg(long)]
    pub no_video: bool,
    /// Measure masks as `sam2 segment --snap` returns them, clicks at the errors of those
    #[arg(long)]
    pub snap: bool,
    /// Also write one JSON line per mask
    #[arg(long, value_name = "FILE")]
    pub rows: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A manifest, picture or mask that cannot be read (figures over a part would mislead), and what
/// predicting reports.
pub fn run(args: &EvalArgs, session: &Session) -> Result<(), CliError> {
    let manifest = Manifest::read(&args.data)?;
    let items = manifest.images_of(args.half);
    if items.is_empty() && manifest.videos.is_empty() {
        let text = format!(
            "{} lists nothing",
            args.data.join("manifest.json").display()
        );
        return Err(CliError::Usage(text));
    }
    let model = session.load(args.model.as_deref())?;
    let rows = images(args, &items, &model)?;
    if let Some(path) = &args.rows {
        write_rows(path, &rows)?;
    }
    let video_j = match args.no_video {
        true => None,
        false => video::mean_j(&args.data, &manifest.videos, &model, args.snap)?,
    };
    let summary = Summary::new(&rows, video_j);
    match args.json {
        true => output::json(&summary),
        false => summary
            .table()
            .iter()
            .try_for_each(|line| output::line(line)),
    }
}

/// Measures every mask; pictures that follow each other in the manifest are encoded once.
fn images(args: &EvalArgs, items: &[&ImageItem], model: &Arc<Model>) -> Result<Vec<Row>, CliError> {
    let data = &args.data;
    let clean_up = CleanUp {
        snap: args.snap,
        ..CleanUp::default()
    };
    let predictor = ImagePredictor::new(Arc::clone(model));
    let bar = Progress::count(items.len() as u64, "masks");
    let mut shown: Option<(&str, ImageEmbedding)> = None;
    let mut rows = Vec::with_capacity(items.len());
    for (done, item) in items.iter().enumerate() {
        let truth = files::mask(&data.join(&item.mask))?;
        if truth.area() == 0 {
            tracing::warn!("{} is empty and left out", item.mask);
            continue;
        }
        let embedding = match shown.take() {
            Some((name, embedding)) if name == item.image => embedding,
            _ => encode(&data.join(&item.image), &predictor)?,
        };
        let size = embedding.image_size();
        if (size.width, size.height) != (truth.width(), truth.height()) {
            let reason = format!(
                "it is {} x {}, its picture {} x {}",
                truth.width(),
                truth.height(),
                size.width,
                size.height
            );
            return Err(CliError::BadFile {
                path: data.join(&item.mask),
                reason,
            });
        }
        let scores = protocol::measure(&predictor, &embedding, &truth, clean_up)?;
        rows.push(Row::new(item, &truth, scores));
        shown = Some((&item.image, embedding));
        bar.set(done as u64 + 1);
    }
    Ok(rows)
}

fn encode(path: &Path, predictor: &ImagePredictor) -> Result<ImageEmbedding, CliError> {
    let picture = files::picture(path)?;
    Ok(block_on(predictor.set_image(&picture))?)
}

fn write_rows(path: &Path, rows: &[Row]) -> Result<(), CliError> {
    let lines: Result<Vec<_>, _> = rows.iter().map(serde_json::to_string).collect();
    let lines = lines.map_err(|e| CliError::io(path)(e.into()))?;
    files::write(path, (lines.join("\n") + "\n").as_bytes())
}
