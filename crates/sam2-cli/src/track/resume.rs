//! Going on where a run was stopped: OUT/resume.sam2.
//!
//! The file holds what the predictor knew of its objects (a zip of arrays, and `resume.json` beside them)
//! and which frame comes next. Frames that were tracked are not tracked again, and the rest comes out as
//! it would have without the stop. It is written when a run is stopped, and every few minutes, so that
//! one that is killed can go on, too.

use super::job::TrackJob;
use crate::CliError;
use crate::error::one_line;
use crate::locate::{EMBEDDED, ModelFile};
use crate::npz::{NpzReader, NpzWriter};
use sam2::ModelConfig;
use sam2::image::Rle;
use sam2::video::{
    ObjectId, SavedObject, SavedOutput, SavedPoint, SavedRole, SavedSession, VideoPredictor,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SCHEMA: u32 = 2;
/// More than the masks of a day's video: a file beyond it is none of ours.
const MAX_JSON: u64 = 1 << 30;

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Number of the pass; their number where all are done and the overlays are not.
    pub pass: usize,
    /// Its next frame; none where the pass has not begun.
    pub next: Option<usize>,
}

/// What must be the same for a run to go on with another's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Run {
    input: PathBuf,
    /// As the file promises them: what its decoder finds is known at its end only.
    frames: usize,
    /// Height, width.
    size: [usize; 2],
    max_frame_dimension: usize,
    model: String,
    /// Digest of the model's file and configuration: other weights may have the same name.
    model_digest: String,
    image_size: usize,
    /// Digest of the prompts.
    prompts: String,
    /// Whether each pass goes backward.
    passes: Vec<bool>,
    snap: bool,
}

#[derive(Serialize, Deserialize)]
struct State {
    schema: u32,
    run: Run,
    point: Point,
    /// Frames of the clip, as far as was known.
    frames: Option<usize>,
    objects: Vec<Object>,
    /// Frame, object, run lengths.
    masks: Vec<(usize, ObjectId, String)>,
}

#[derive(Serialize, Deserialize)]
struct Object {
    id: ObjectId,
    points: Vec<(usize, Vec<SavedPoint>)>,
    masks: Vec<usize>,
    tracked: Vec<(usize, bool)>,
    outputs: Vec<Output>,
}

#[derive(Serialize, Deserialize)]
struct Output {
    frame: usize,
    is_cond: bool,
    is_temp: bool,
    is_prompted: bool,
    has_logits: bool,
    is_half: bool,
    object_score: f32,
    iou: f32,
}

/// The file of a job, where it has a folder. Logits as NumPy arrays need those of all frames, which the
/// state does not hold where memory was short: such a run cannot go on.
pub fn path(job: &TrackJob) -> Option<PathBuf> {
    let out = job.out.as_ref().filter(|_| job.npz.is_none())?;
    Some(out.join("resume.sam2"))
}

/// What the network computes with, as a digest: the bytes of the file, and the configuration.
///
/// # Errors
/// [`CliError::Io`].
pub fn model_digest(file: &ModelFile, config: &ModelConfig) -> Result<String, CliError> {
    let mut digest = Sha256::new();
    match file {
        ModelFile::Embedded => digest.update(EMBEDDED),
        ModelFile::File(path) => {
            let mut file = File::open(path).map_err(CliError::io(path))?;
            let mut bytes = vec![0; 1 << 20];
            loop {
                match file.read(&mut bytes).map_err(CliError::io(path))? {
                    0 => break,
                    read => digest.update(&bytes[..read]),
                }
            }
        }
    }
    // What it prints is all there is of it.
    digest.update(format!("{config:?}"));
    Ok(hex(&digest.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The state file of a run.
pub struct StateFile {
    path: PathBuf,
    run: Run,
    every: Duration,
    written: Instant,
}

impl StateFile {
    /// For a predictor that has read no frame yet.
    pub fn new(path: PathBuf, job: &TrackJob, model_digest: &str, video: &VideoPredictor) -> Self {
        Self {
            path,
            run: run_of(job, model_digest, video),
            every: job.save_every,
            written: Instant::now(),
        }
    }

    /// Writes what is known.
    ///
    /// # Errors
    /// [`CliError::Io`].
    pub fn save(&self, video: &VideoPredictor, point: Point) -> Result<(), CliError> {
        save(&self.path, &self.run, video, point)
    }

    /// Writes it where the last time is long ago. That it cannot be written ends no run.
    pub fn save_if_due(&mut self, video: &VideoPredictor, point: Point) {
        if self.written.elapsed() < self.every {
            return;
        }
        if let Err(error) = self.save(video, point) {
            let error = one_line(&error.to_string());
            tracing::warn!("the state for --resume cannot be written: {error}");
        }
        self.written = Instant::now();
    }

    /// Restores what another run knew; `None` where no run was stopped.
    ///
    /// # Errors
    /// [`CliError::Usage`] for the state of another job, [`CliError::BadFile`] for a damaged one.
    pub fn load(&self, video: &mut VideoPredictor) -> Result<Option<Point>, CliError> {
        load(&self.path, &self.run, video)
    }

    /// Removes the state of a run that is done.
    ///
    /// # Errors
    /// [`CliError::Io`].
    pub fn remove(&self) -> Result<(), CliError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CliError::io(&self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn save(path: &Path, run: &Run, video: &VideoPredictor, point: Point) -> Result<(), CliError> {
    let session = video.save();
    let mut file = NpzWriter::create(path)?;
    let mut objects = Vec::with_capacity(session.objects.len());
    for (i, object) in session.objects.into_iter().enumerate() {
        let mut outputs = Vec::with_capacity(object.outputs.len());
        for (j, output) in object.outputs.into_iter().enumerate() {
            if let Some(logits) = &output.logits {
                file.f32(&format!("logits_{i}_{j}"), &[logits.len()], logits)?;
            }
            file.f32(
                &format!("pointer_{i}_{j}"),
                &[output.obj_ptr.len()],
                &output.obj_ptr,
            )?;
            outputs.push(Output {
                frame: output.frame,
                is_cond: output.role.is_cond,
                is_temp: output.role.is_temp,
                is_prompted: output.role.is_prompted,
                has_logits: output.logits.is_some(),
                is_half: output.is_half,
                object_score: output.object_score,
                iou: output.iou,
            });
        }
        objects.push(Object {
            id: object.id,
            points: object.points,
            masks: object.masks,
            tracked: object.tracked,
            outputs,
        });
    }
    let masks = session.masks.iter();
    let state = State {
        schema: SCHEMA,
        run: run.clone(),
        point,
        frames: session.frames,
        objects,
        masks: masks
            .map(|(frame, object, rle)| (*frame, *object, rle.counts_string()))
            .collect(),
    };
    let text = serde_json::to_string(&state).map_err(|e| CliError::io(path)(e.into()))?;
    file.text("resume.json", &text)?;
    file.finish()
}

fn load(path: &Path, here: &Run, video: &mut VideoPredictor) -> Result<Option<Point>, CliError> {
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CliError::io(path)(error)),
    };
    let damaged = |reason: String| CliError::BadFile {
        path: path.to_owned(),
        reason: format!("{reason}; remove it and track from the beginning"),
    };
    let mut file = NpzReader::open(file).map_err(damaged)?;
    let text = file.text("resume.json", MAX_JSON).map_err(damaged)?;
    let state: State = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if state.schema != SCHEMA {
        return Err(damaged(format!(
            "it has the format {}, not {SCHEMA}",
            state.schema
        )));
    }
    if state.run != *here {
        let text = format!(
            "{} is of another run ({}): give the same video, model, prompts and directions, or leave \
             --resume out",
            path.display(),
            differs(&state.run, here)
        );
        return Err(CliError::Usage(text));
    }
    if state.point.pass > here.passes.len() {
        return Err(damaged("its pass is none of this run".to_owned()));
    }
    let point = state.point;
    let session = session(state, &mut file).map_err(damaged)?;
    video.restore(session)?;
    Ok(Some(point))
}

fn session(state: State, file: &mut NpzReader<BufReader<File>>) -> Result<SavedSession, String> {
    let [height, width] = state.run.size;
    let frames = state.frames;
    let mut objects = Vec::with_capacity(state.objects.len());
    for (i, object) in state.objects.into_iter().enumerate() {
        let mut outputs = Vec::with_capacity(object.outputs.len());
        for (j, output) in object.outputs.into_iter().enumerate() {
            let logits = output
                .has_logits
                .then(|| file.read(&format!("logits_{i}_{j}")));
            outputs.push(SavedOutput {
                frame: output.frame,
                role: SavedRole {
                    is_cond: output.is_cond,
                    is_temp: output.is_temp,
                    is_prompted: output.is_prompted,
                },
                logits: logits.transpose()?.map(|array| array.values),
                is_half: output.is_half,
                obj_ptr: file.read(&format!("pointer_{i}_{j}"))?.values,
                object_score: output.object_score,
                iou: output.iou,
            });
        }
        objects.push(SavedObject {
            id: object.id,
            points: object.points,
            masks: object.masks,
            tracked: object.tracked,
            outputs,
        });
    }
    let masks = state.masks.into_iter().map(|(frame, object, counts)| {
        let rle = Rle::from_string(height, width, &counts);
        Ok((frame, object, rle.map_err(|e| e.to_string())?))
    });
    Ok(SavedSession {
        objects,
        masks: masks.collect::<Result<_, String>>()?,
        frames,
    })
}

fn run_of(job: &TrackJob, model_digest: &str, video: &VideoPredictor) -> Run {
    // What the steps print is all there is of them, masks included.
    let prompts = Sha256::digest(format!("{:?}", job.steps).as_bytes());
    Run {
        input: job
            .input
            .canonicalize()
            .unwrap_or_else(|_| job.input.clone()),
        frames: video.num_frames(),
        size: [video.size().height, video.size().width],
        max_frame_dimension: job.limits.max_dimension,
        model: video.model().name().to_owned(),
        model_digest: model_digest.to_owned(),
        image_size: video.model().config().image_size,
        prompts: hex(&prompts),
        passes: job.passes.clone(),
        snap: job.snap,
    }
}

/// The first thing in which two runs differ, for people.
fn differs(saved: &Run, here: &Run) -> String {
    let (old, new) = (saved, here);
    if old.input != new.input {
        format!("its video is {}", old.input.display())
    } else if (old.frames, old.size) != (new.frames, new.size) {
        format!(
            "its video has {} frames of {} x {}",
            old.frames, old.size[1], old.size[0]
        )
    } else if old.max_frame_dimension != new.max_frame_dimension {
        format!("its --max-frame-dimension is {}", old.max_frame_dimension)
    } else if (&old.model, old.image_size) != (&new.model, new.image_size) {
        format!(
            "its model is {} at {} x {}",
            old.model, old.image_size, old.image_size
        )
    } else if old.model_digest != new.model_digest {
        format!(
            "its model {} had other weights or another configuration",
            old.model
        )
    } else if old.passes != new.passes {
        "its directions are others".to_owned()
    } else {
        "its prompts are others".to_owned()
    }
}
