//! Three stages side by side: one thread reads and prepares the next picture, this one runs the
//! network, a third packs and writes masks. The channels between them hold one or two things, so that
//! memory stays flat however many pictures there are.

use super::inputs::Input;
use super::job::SegmentJob;
use super::line::Timings;
use super::sink::{Features, Message, OVERLAY, Sink, cutout_file, mask_file};
use crate::progress::Progress;
use crate::{CliError, files, progress};
use sam2::image::{DecodeLimits, ImageSize, RgbImage, decode, preprocess};
use sam2::{Error, ImagePredictor, Model, Prompt, block_on};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Instant;

/// What became of the pictures.
#[derive(Debug, Default)]
pub struct Tally {
    pub done: usize,
    /// All of its files were there already.
    pub skipped: usize,
    pub failed: usize,
    /// Of the failed ones, those that the prompt does not fit.
    pub refused: usize,
    /// Files that were left as they are.
    pub kept: usize,
}

/// A picture on its way to the network.
struct Prepared {
    size: ImageSize,
    /// `[3, S, S]`, normalised.
    input: Vec<f32>,
    /// The pixels, where something is drawn over them.
    picture: Option<RgbImage>,
    read_ms: f64,
}

enum Read {
    Ready(Box<Prepared>),
    Skipped,
    Failed(CliError),
}

/// Runs the job.
///
/// # Errors
/// [`CliError::Partly`] where pictures failed; what ends the run at once (standard output closed).
pub fn run(job: SegmentJob, model: Arc<Model>) -> Result<(), CliError> {
    let start = Instant::now();
    let total = job.inputs.len();
    let image_size = model.config().image_size;
    let (to_network, pictures) = sync_channel(1);
    let (to_sink, messages) = sync_channel(2);
    let bar = Progress::count(total as u64, "pictures");
    let sink = Sink::new(&job, &model, &bar);
    let written = std::thread::scope(|scope| {
        // Under a tight memory limit a thread's stack may be what cannot be had.
        let reader = Builder::new()
            .spawn_scoped(scope, || read_all(&job, image_size, to_network))
            .map_err(no_thread)?;
        let writer = Builder::new()
            .spawn_scoped(scope, move || sink.run(messages))
            .map_err(no_thread)?;
        segment_all(&job, &model, pictures, to_sink);
        let ended = |_| CliError::internal();
        reader.join().map_err(ended)?;
        writer.join().map_err(ended)?
    });
    drop(bar);
    finish(written?, total, start)
}

/// A thread that did not start.
fn no_thread(error: std::io::Error) -> CliError {
    let need_mb = 2;
    let have_mb = sam2::memory::available().unwrap_or(0) >> 20;
    Error::OutOfMemory {
        what: format!("another thread ({error})"),
        need_mb,
        have_mb,
        hint: "allow more memory, or use fewer --threads".to_owned(),
    }
    .into()
}

fn finish(tally: Tally, total: usize, start: Instant) -> Result<(), CliError> {
    let seconds = start.elapsed().as_secs_f64();
    if total > 1 {
        let rate = (tally.done + tally.failed) as f64 / seconds.max(1e-9);
        let Tally {
            done,
            skipped,
            failed,
            ..
        } = tally;
        tracing::info!(
            "{done} pictures done, {skipped} already there, {failed} failed, in {seconds:.1} s \
             ({rate:.2} pictures/s)"
        );
    }
    if tally.kept > 0 {
        tracing::info!(
            "{} files were there already and stay; --force replaces them",
            tally.kept
        );
    }
    match tally.failed {
        0 => Ok(()),
        failed => {
            // A prompt that fits no picture at all is wrong usage; one that fits some is not.
            let status = if tally.refused == total { 2 } else { 1 };
            Err(CliError::Partly {
                what: "pictures",
                failed,
                total,
                status,
            })
        }
    }
}

/// First stage. Ends early where the network's end of the channel is gone.
fn read_all(job: &SegmentJob, image_size: usize, to_network: SyncSender<Read>) {
    for input in &job.inputs {
        let read = match is_done(job, input) {
            true => Read::Skipped,
            false => match read_one(job, input, image_size) {
                Ok(prepared) => Read::Ready(Box::new(prepared)),
                Err(error) => Read::Failed(error),
            },
        };
        if to_network.send(read).is_err() {
            return;
        }
    }
}

/// Whether every file that is asked for is there and nothing else is: a run that was cut short goes on
/// where it stopped. What made the files is not known, so that they are reported.
fn is_done(job: &SegmentJob, input: &Input) -> bool {
    let Some(out) = job
        .out
        .as_ref()
        .filter(|_| !job.force && !job.json && job.npz.is_none())
    else {
        return false;
    };
    let folder = out.join(&input.folder);
    let is_there = |name: &str| folder.join(name).exists();
    let masks = |multimask| if multimask { 3 } else { 1 };
    let mut steps = job.steps.iter().enumerate();
    let all_masks = steps.all(|(prompt, step)| {
        (0..masks(step.prompt.multimask)).all(|mask| {
            let cutout = || is_there(&cutout_file(prompt, mask));
            is_there(&mask_file(prompt, mask)) && (!job.cutout || cutout())
        })
    });
    all_masks && (!job.overlay || is_there(OVERLAY))
}

fn read_one(job: &SegmentJob, input: &Input, image_size: usize) -> Result<Prepared, CliError> {
    let start = Instant::now();
    let limits = DecodeLimits::default();
    let bytes = files::read_picture(&input.path, &limits)?;
    let picture = decode(&bytes, &limits).map_err(Error::from)?;
    let size = ImageSize {
        width: picture.width(),
        height: picture.height(),
    };
    let values = preprocess(&picture, image_size);
    let picture = (job.overlay || job.cutout).then_some(picture);
    let read_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(Prepared {
        size,
        input: values,
        picture,
        read_ms,
    })
}

/// Second stage. Ends early where the sink is gone.
fn segment_all(
    job: &SegmentJob,
    model: &Arc<Model>,
    pictures: Receiver<Read>,
    to_sink: SyncSender<Message>,
) {
    let predictor = ImagePredictor::new(Arc::clone(model));
    for (index, read) in pictures.into_iter().enumerate() {
        let done = match read {
            Read::Skipped => Ok(Message::Skipped { index }),
            Read::Failed(error) => Err(error),
            Read::Ready(prepared) => segment_one(job, &predictor, index, *prepared, &to_sink),
        };
        let message = done.unwrap_or_else(|error| Message::Failed { index, error });
        if to_sink.send(message).is_err() {
            return;
        }
    }
}

/// Encodes a picture once and answers every prompt; each answer goes on at once, so that only a few
/// masks are in memory.
fn segment_one(
    job: &SegmentJob,
    predictor: &ImagePredictor,
    index: usize,
    prepared: Prepared,
    to_sink: &SyncSender<Message>,
) -> Result<Message, CliError> {
    let Prepared {
        size,
        input,
        picture,
        read_ms,
    } = prepared;
    let send = |message| to_sink.send(message).map_err(|_| CliError::Closed);
    let start = Instant::now();
    let embedding = block_on(predictor.set_input(input, size))?;
    let encode_ms = start.elapsed().as_secs_f64() * 1e3;
    send(Message::Begin {
        index,
        size,
        picture,
    })?;
    if job.npz.is_some() {
        let features = block_on(predictor.features(&embedding))?;
        send(Message::Features(Box::new(Features(features))))?;
    }
    let side = predictor.model().config().low_res_size();
    let mut previous = job.mask_input.as_ref().map(|mask| mask.for_model(side));
    let mut decode_ms = 0.0;
    for (number, step) in job.steps.iter().enumerate() {
        let start = Instant::now();
        let takes_mask = step.refine || number == 0;
        let mask_input = previous.take().filter(|_| takes_mask);
        let prompt = Prompt {
            mask_input,
            ..step.prompt.clone()
        };
        let answer = block_on(predictor.predict(&embedding, &prompt, job.clean_up))?;
        decode_ms += start.elapsed().as_secs_f64() * 1e3;
        previous = answer.masks.get(answer.best()).map(|m| m.low_res.clone());
        send(Message::Answer {
            prompt: number,
            answer,
        })?;
    }
    let device = predictor.model().runtime().kind.name();
    Ok(Message::End {
        device,
        timings: Timings {
            read: read_ms,
            encode: encode_ms,
            decode: decode_ms,
        },
    })
}

/// A picture's failure as one line on stderr.
pub fn report(input: &Input, error: &CliError) {
    let text = crate::error::one_line(&error.to_string());
    let path = input.path.display().to_string();
    // An I/O error brings the path itself.
    let line = if text.starts_with(&path) {
        text
    } else {
        format!("{path}: {text}")
    };
    progress::suspend(|| eprintln!("sam2: {line}"));
}
