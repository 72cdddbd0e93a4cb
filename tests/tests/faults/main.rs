//! Faults on purpose at every place where values leave a device or stay on it: what is shown is right
//! or a typed fault, never a wrong mask.
//!
//! The short form runs by itself. The whole matrix, written to tests/trust/FAULTS.md:
//! `SAM2_FAULT_TABLE=1 cargo test --release -p sam2-tests --test faults -- --nocapture`.
//! The GPU part needs one, or a software Vulkan (`VK_ICD_FILENAMES`), and says so where there is none.

mod absent;
mod image;
mod table;
mod video;

use anyhow::{Context, Result, ensure};
use sam2::inject::{Corruption, Plan, Site};
use sam2::{
    Checkpoint, DeviceChoice, FileSource, Model, ModelOptions, Runtime, SharedModel, block_on,
};
use sam2_checkpoint::ModelConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use table::{Cell, Row};

pub fn micro() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("fixtures/micro")
}

/// The model of fixtures/micro with one of its seeds.
pub fn model(weights: &str, runtime: Runtime) -> Result<SharedModel> {
    let config = ModelConfig::from_yaml(&std::fs::read_to_string(micro().join("micro.yaml"))?)?;
    let options = ModelOptions {
        config: Some(config),
        ..ModelOptions::default()
    };
    let file = FileSource::open(micro().join("weights").join(weights))?;
    let checkpoint = Checkpoint::open(Arc::new(file))?;
    let model = block_on(Model::load(checkpoint, options, runtime, &|_, _, _| {}))?;
    Ok(Arc::new(model))
}

/// Whether the whole matrix is wanted.
fn full() -> bool {
    std::env::var_os("SAM2_FAULT_TABLE").is_some()
}

/// The CPU, and a GPU where one opens.
fn devices() -> Result<Vec<Runtime>> {
    let mut devices = vec![Runtime::cpu("a test")];
    match block_on(Runtime::open(DeviceChoice::Gpu)) {
        Ok(gpu) => devices.push(gpu),
        Err(error) => println!("without a GPU, which is not there: {error}"),
    }
    Ok(devices)
}

/// Rates of the matrix; every read of a device, or some.
fn rates() -> &'static [f64] {
    if full() { &[0.1, 0.5, 1.0] } else { &[1.0] }
}

/// Plans run one after another: the injection is the process's.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn no_fault_shows_a_wrong_mask() -> Result<()> {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut rows = Vec::new();
    for runtime in devices()? {
        let image = image::Bench::new(&runtime)?;
        let video = video::Bench::new(&runtime)?;
        for (name, corruption) in Corruption::ALL {
            for (place, site) in Site::ALL {
                // A software GPU takes seconds for each plan.
                let quick = ["stale", "swapped halves"];
                let gpu = runtime.kind == sam2::DeviceKind::Gpu;
                if gpu && !full() && !quick.contains(&name) {
                    continue;
                }
                // A device is lost where it is asked for something.
                if corruption == Corruption::Lost && site != Site::Read {
                    continue;
                }
                for &rate in rates() {
                    // Everything that a GPU gives is wrong, and then what the CPU gives as well.
                    let only = [Some(runtime.kind), None];
                    for device in only
                        .into_iter()
                        .take(if full() && rate == 1.0 { 2 } else { 1 })
                    {
                        let plan = Plan {
                            rate,
                            device,
                            seed: 7,
                            ..Plan::always(corruption, site)
                        };
                        let mut cell = Cell::default();
                        // A GPU can really be destroyed once in a process: device_lost.rs.
                        let lost_gpu =
                            corruption == Corruption::Lost && runtime.kind == sam2::DeviceKind::Gpu;
                        if lost_gpu {
                            continue;
                        }
                        if site != Site::Memory {
                            image
                                .run(plan, &mut cell)
                                .with_context(|| format!("{plan:?}"))?;
                        }
                        video
                            .run(plan, &mut cell)
                            .with_context(|| format!("{plan:?}"))?;
                        let everywhere = device.is_none();
                        let row = Row::new(&runtime, name, place, rate, everywhere, cell);
                        println!("{row}");
                        rows.push(row);
                    }
                }
            }
        }
    }
    if full() {
        let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default())
            .join("trust/FAULTS.md");
        table::write(&path, &rows)?;
    }
    let sum = |f: fn(&Cell) -> u64| rows.iter().map(|row| f(&row.cell)).sum::<u64>();
    ensure!(sum(|c| c.wrong) == 0, "wrong masks were shown");
    ensure!(
        sum(|c| c.injected) > 200,
        "too little was injected to tell anything"
    );
    for row in &rows {
        let (cell, flip) = (&row.cell, row.kind == "one bit");
        // At a rate of a tenth it may be nobody's turn.
        ensure!(
            cell.injected > 0 || row.rate < 0.5,
            "nothing was injected: {row}"
        );
        // What is neither refused nor changes a mask: a low bit, or the same values once more.
        ensure!(
            cell.injected == 0
                || flip
                || row.kind == "stale"
                || cell.refused > 0
                || row.kind == "lost",
            "nothing was noticed: {row}"
        );
        ensure!(
            cell.shown + cell.faults == cell.asked,
            "an answer is missing: {row}"
        );
    }
    Ok(())
}
