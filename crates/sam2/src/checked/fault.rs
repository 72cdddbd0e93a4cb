//! What the mask check refused, and a count of what came of it.

use sam2_image::{ImageSize, Mask, MaskFault};
use std::sync::atomic::{AtomicU64, Ordering};

/// A read-back that cannot be trusted. There is no mask in it and no way to one: what was read is
/// dropped where the fault is found.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}{what} from the {device}: {fault}", place(*.object, *.frame))]
pub struct Fault {
    /// What was read.
    pub what: &'static str,
    /// Device it came from.
    pub device: &'static str,
    /// The rule that was broken, with its figures.
    #[source]
    pub fault: MaskFault,
    /// What went into the computation was not what had been made: it has to be made again.
    pub input: bool,
    /// The place in the batch of the object whose values broke the rule, where it is one.
    pub item: Option<usize>,
    /// The object of a video.
    pub object: Option<u32>,
    /// The frame of a video.
    pub frame: Option<usize>,
    /// Size of the picture or video.
    pub size: Option<ImageSize>,
}

fn place(object: Option<u32>, frame: Option<usize>) -> String {
    match (object, frame) {
        (Some(object), Some(frame)) => format!("object {object} on frame {frame}: "),
        (None, Some(frame)) => format!("frame {frame}: "),
        _ => String::new(),
    }
}

impl Fault {
    pub(crate) fn new(what: &'static str, device: &'static str, fault: MaskFault) -> Self {
        Self {
            what,
            device,
            fault,
            input: false,
            item: None,
            object: None,
            frame: None,
            size: None,
        }
    }

    /// What may be shown in place of the answer: an empty mask of the picture's size (of no size where
    /// the fault came before there was a picture).
    pub fn empty_mask(&self) -> Mask {
        let size = self.size.unwrap_or(ImageSize {
            width: 0,
            height: 0,
        });
        Mask::empty(size.width, size.height)
    }
}

/// How a refused answer was made good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cure {
    ReadAgain,
    ComputedAgain,
    MovedToCpu,
    /// Nothing helped: a typed fault.
    GivenUp,
}

impl Cure {
    pub fn words(self) -> &'static str {
        match self {
            Self::ReadAgain => "read again",
            Self::ComputedAgain => "computed again",
            Self::MovedToCpu => "computed on the CPU",
            Self::GivenUp => "given up",
        }
    }
}

/// Since the process began: answers that the mask check refused at first, by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts {
    /// Reads refused, whatever came of them.
    pub refused: u64,
    /// Right when read again.
    pub read_again: u64,
    /// Right when computed again on the same device.
    pub computed_again: u64,
    /// Right when computed on the CPU.
    pub moved_to_cpu: u64,
    /// Typed faults.
    pub given_up: u64,
}

static REFUSED: AtomicU64 = AtomicU64::new(0);
static CURES: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// The counts so far.
pub fn fault_counts() -> FaultCounts {
    let cure = |cure: Cure| CURES[cure as usize].load(Ordering::Relaxed);
    FaultCounts {
        refused: REFUSED.load(Ordering::Relaxed),
        read_again: cure(Cure::ReadAgain),
        computed_again: cure(Cure::ComputedAgain),
        moved_to_cpu: cure(Cure::MovedToCpu),
        given_up: cure(Cure::GivenUp),
    }
}

pub(crate) fn count_refused() {
    REFUSED.fetch_add(1, Ordering::Relaxed);
}

/// Counts and logs the end of an incident: one line, with object, frame, device and figures.
pub(crate) fn settle(fault: &dyn std::fmt::Display, cure: Cure) {
    CURES[cure as usize].fetch_add(1, Ordering::Relaxed);
    tracing::warn!(code = "mask_fault", end = cure.words(), "{fault}");
}
