//! The table of the fault matrix.

use sam2::{FaultCounts, Runtime};
use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

/// What happened under one plan.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cell {
    /// Values made wrong.
    pub injected: u64,
    /// Reads that the mask check refused.
    pub refused: u64,
    pub read_again: u64,
    pub computed_again: u64,
    pub moved: u64,
    /// Answers asked for: one mask of one object each.
    pub asked: u64,
    /// Answers that came.
    pub shown: u64,
    /// Typed faults instead of an answer.
    pub faults: u64,
    /// Answers that are not the right mask.
    pub wrong: u64,
    /// Answers whose logits moved, within what changes no pixel that is far from the threshold.
    pub moved_logits: u64,
}

impl Cell {
    pub fn count(&mut self, before: FaultCounts, after: FaultCounts) {
        self.injected += u64::from(sam2::inject::corrupted());
        self.refused += after.refused - before.refused;
        self.read_again += after.read_again - before.read_again;
        self.computed_again += after.computed_again - before.computed_again;
        self.moved += after.moved_to_cpu - before.moved_to_cpu;
    }
}

#[derive(Debug)]
pub struct Row {
    device: String,
    pub kind: &'static str,
    place: &'static str,
    pub rate: f64,
    everywhere: bool,
    pub cell: Cell,
}

impl Row {
    pub fn new(
        runtime: &Runtime,
        kind: &'static str,
        place: &'static str,
        rate: f64,
        everywhere: bool,
        cell: Cell,
    ) -> Self {
        let device = match runtime.kind {
            sam2::DeviceKind::Cpu => "CPU".to_owned(),
            sam2::DeviceKind::Gpu => runtime.adapter.clone(),
        };
        Self {
            device,
            kind,
            place,
            rate,
            everywhere,
            cell,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.cell;
        write!(
            f,
            "| {} | {} | {} | {:.0} %{} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.device,
            self.kind,
            self.place,
            self.rate * 100.0,
            if self.everywhere { ", CPU too" } else { "" },
            c.injected,
            c.refused,
            c.read_again,
            c.computed_again,
            c.moved,
            c.faults,
            c.shown,
            c.moved_logits,
            c.wrong
        )
    }
}

const HEAD: &str = "\
# Faults injected, and what was shown

Written by

    SAM2_FAULT_TABLE=1 cargo test --release -p sam2-tests --test faults -- --nocapture

on the micro model of tests/fixtures: clicks on a picture, and two objects tracked through a clip.
Every row is a plan: what goes wrong, where, for which part of the values. `read`: whatever is read
from the device. `embedding`, `memory`: what stays on the device, made wrong right after it was made,
for good. `cached embedding`: the same on its way into a decode. \"CPU too\": the same happens to the
CPU that takes over, so that nothing can help and typed faults are the right end.

- *refused*: reads that the mask check refused. *again*: right when read again, *anew*: when computed
  again, *CPU*: when computed on the CPU; an incident counts once. *faults*: typed faults, no mask.
- *shown*: masks given out. *moved*: of these, masks whose logits are off by more than rounding
  although no check fired (flipped bits below the checksums' tolerance; the tolerance is derived in
  `crates/sam2-image/src/checksum.rs`), the mask still the right one.
- **wrong**: masks given out that are not the mask of an undisturbed run: any pixel whose right logit
  is farther from 0 than a hundredth of the largest, or IoU below 0.99.

";

pub fn write(path: &Path, rows: &[Row]) -> std::io::Result<()> {
    let mut text = HEAD.to_owned();
    let mut sum = Cell::default();
    text.push_str("| device | kind | where | rate | injected | refused | again | anew | CPU | faults | shown | moved | **wrong** |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{row}");
        let c = &row.cell;
        sum.injected += c.injected;
        sum.refused += c.refused;
        sum.faults += c.faults;
        sum.shown += c.shown;
        sum.moved_logits += c.moved_logits;
        sum.wrong += c.wrong;
    }
    let _ = writeln!(
        text,
        "\n{} faults injected, {} reads refused, {} typed faults, {} masks shown, {} of them with moved \
         logits, **{} wrong**.",
        sum.injected, sum.refused, sum.faults, sum.shown, sum.moved_logits, sum.wrong
    );
    std::fs::write(path, text)
}
