//! The one way by which answers leave a device: read once, checked before anybody sees them.
//!
//! On a GPU two index-weighted checksums and the request's number are computed in the same submission
//! as the answer. They are compared with the host's sums of what arrived: a short read, a stale buffer
//! or swapped halves differ. On the CPU the "read" hands over the same memory, so there the checks of
//! the values (length, finite, range, not constant) are all there is to check.

use crate::Error;
use crate::device::{DeviceKind, Runtime};
use burn::tensor::{Device, Tensor, Transaction};
use sam2_image::{
    IOU_RANGE, LOGIT_RANGE, MaskFault, SCORE_RANGE, checksum_weights, inspect, inspect_scores,
    verify_checksums,
};
use sam2_model::ops::from_vec;
use sam2_model::sam::mask_decoder::DecoderOutput;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// A read-back that cannot be trusted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} from the {device}: {fault}")]
pub struct Fault {
    /// What was read.
    pub what: &'static str,
    /// Device it came from.
    pub device: &'static str,
    /// The rule that was broken, with its figures.
    #[source]
    pub fault: MaskFault,
}

/// What a decode gave back, on the host, checked.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Logits `[B, 4, h, w]`.
    pub masks: Vec<f32>,
    /// Height and width of a low-resolution mask.
    pub size: (usize, usize),
    /// Predicted IoU `[B, 4]`.
    pub iou: Vec<f32>,
    /// Logits of "the object is there", `[B]`.
    pub object_score: Vec<f32>,
    /// Other values that the caller wanted in the same read (object pointers), row-major.
    pub extra: Vec<f32>,
}

/// Numbers every read, so that a stale buffer is told from a fresh one.
static REQUEST: AtomicU32 = AtomicU32::new(1);

/// Reads a decode: masks `[B, 4, h, w]`, IoU `[B, 4]` (in 0 to 1 where the model has the sigmoid),
/// object scores `[B, 1]`, and `extra`. What the mask check refuses is read once more.
///
/// # Errors
/// [`Error::Fault`] names the broken rule; [`Error::DeviceLost`] when the device does not answer.
pub async fn read_answer(
    runtime: &Runtime,
    output: &DecoderOutput,
    iou_sigmoid: bool,
    extra: Option<Tensor<2>>,
) -> Result<Answer, Error> {
    match read_once(runtime, output, iou_sigmoid, extra.clone()).await {
        Err(Error::Fault(fault)) => {
            tracing::warn!(%fault, "reading once more");
            read_once(runtime, output, iou_sigmoid, extra).await
        }
        other => other,
    }
}

async fn read_once(
    runtime: &Runtime,
    output: &DecoderOutput,
    iou_sigmoid: bool,
    extra: Option<Tensor<2>>,
) -> Result<Answer, Error> {
    let [b, m, h, w] = output.masks.dims();
    let logits = b * m * h * w;
    let extras = extra.as_ref().map_or(0, |t| t.dims().iter().product());
    let mut parts = vec![
        output.masks.clone().reshape([logits]),
        output.iou.clone().reshape([b * m]),
        output.object_score.clone().reshape([b]),
    ];
    if let Some(extra) = extra {
        parts.push(extra.reshape([extras]));
    }
    let values = read(runtime, "the mask logits", Tensor::cat(parts, 0)).await?;
    let (masks, rest) = values.split_at(logits);
    let (iou, rest) = rest.split_at(b * m);
    let (object_score, extra) = rest.split_at(b);
    let fault = |what| {
        move |fault| Fault {
            what,
            device: runtime.kind.name(),
            fault,
        }
    };
    for mask in masks.chunks_exact(h * w) {
        inspect(mask, h * w, &LOGIT_RANGE).map_err(fault("the mask logits"))?;
    }
    // Without the sigmoid the IoU is a plain score.
    let iou_range = if iou_sigmoid { IOU_RANGE } else { SCORE_RANGE };
    inspect_scores(iou, b * m, &iou_range).map_err(fault("the predicted IoU"))?;
    inspect_scores(object_score, b, &SCORE_RANGE).map_err(fault("the object score"))?;
    inspect_scores(extra, extras, &SCORE_RANGE).map_err(fault("the object pointers"))?;
    Ok(Answer {
        masks: masks.to_vec(),
        size: (h, w),
        iou: iou.to_vec(),
        object_score: object_score.to_vec(),
        extra: extra.to_vec(),
    })
}

/// Reads a vector and compares its checksums with the device's.
///
/// # Errors
/// As [`read_answer`].
pub async fn read(
    runtime: &Runtime,
    what: &'static str,
    values: Tensor<1>,
) -> Result<Vec<f32>, Error> {
    let [n] = values.dims();
    let request = REQUEST.fetch_add(1, Ordering::Relaxed) % (1 << 20);
    let (got, seal) = match runtime.kind {
        DeviceKind::Cpu => (take(values).await?, None),
        DeviceKind::Gpu => {
            let seal = device_seal(values.clone(), request, &runtime.device);
            let mut data = Transaction::default()
                .register(values)
                .register(seal)
                .execute_async()
                .await
                .map_err(|e| Error::DeviceLost(format!("{e:?}")))?
                .into_iter();
            let mut next = || {
                let data = data
                    .next()
                    .ok_or_else(|| Error::DeviceLost("no data".to_owned()))?;
                data.try_into_vec::<f32>()
                    .map_err(|e| Error::DeviceLost(format!("{e:?}")))
            };
            (next()?, Some(next()?))
        }
    };
    #[cfg(feature = "fault-injection")]
    let got = crate::inject::corrupt(got);
    let fault = |fault| Fault {
        what,
        device: runtime.kind.name(),
        fault,
    };
    if got.len() != n {
        return Err(fault(MaskFault::WrongLength {
            expected: n,
            actual: got.len(),
        })
        .into());
    }
    if let Some(seal) = seal {
        check_seal(&got, &seal, request).map_err(fault)?;
    }
    Ok(got)
}

async fn take(values: Tensor<1>) -> Result<Vec<f32>, Error> {
    let data = values.into_data_async().await;
    let data = data.map_err(|e| Error::DeviceLost(format!("{e:?}")))?;
    data.try_into_vec::<f32>()
        .map_err(|e| Error::DeviceLost(format!("{e:?}")))
}

/// Weights of the checksums, laid on the device once for each length.
type WeightCache = Mutex<Vec<(usize, [Tensor<1>; 2])>>;
static WEIGHTS: WeightCache = Mutex::new(Vec::new());
/// Lengths kept; an application reads a handful.
const CACHED: usize = 16;

fn weights(n: usize, device: &Device) -> [Tensor<1>; 2] {
    let mut cache = WEIGHTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = cache
        .iter()
        .find(|(len, w)| *len == n && w[0].device() == *device)
    {
        return found.clone();
    }
    let made = [0, 1].map(|which| from_vec(checksum_weights(which, n), [n], device));
    if cache.len() == CACHED {
        cache.remove(0);
    }
    cache.push((n, made.clone()));
    made
}

/// Two weighted sums of the values, and the request's number.
fn device_seal(values: Tensor<1>, request: u32, device: &Device) -> Tensor<1> {
    let [n] = values.dims();
    let sums = weights(n, device).map(|w| (values.clone() * w).sum());
    // Through the arithmetic unit: a skipped shader leaves another number.
    let number: Tensor<1> = from_vec(vec![request as f32], [1], device) * 2.0;
    Tensor::cat([sums.to_vec(), vec![number]].concat(), 0)
}

fn check_seal(got: &[f32], seal: &[f32], request: u32) -> Result<(), MaskFault> {
    let &[a, b, number] = seal else {
        return Err(MaskFault::WrongLength {
            expected: 3,
            actual: seal.len(),
        });
    };
    let (expected, actual) = (u64::from(request), (number / 2.0) as u64);
    if actual != expected {
        return Err(MaskFault::Stale { expected, actual });
    }
    verify_checksums(got, [a, b])
}
