//! Faults on purpose, for tests that prove the mask check fires (feature `fault-injection`; never part
//! of a release). A [`Plan`] is set by a test in the same process, or read from the environment
//! variable `FAULT_INJECTION`, such as `kind=nan,rate=0.5,seed=7,where=read,device=gpu,skip=3,most=1`.

use crate::Error;
use crate::device::DeviceKind;
use burn::tensor::Tensor;
use sam2_model::ops::from_vec;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A way for values to go wrong between where they were made and where they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corruption {
    /// One value becomes NaN.
    Nan,
    /// One value becomes infinite.
    Infinite,
    /// Everything is zero, as from a buffer never written.
    Zeros,
    /// The values of the read before; with them its checksums and its number.
    Stale,
    /// The second half is missing (of what stays on the device: zero).
    Truncated,
    /// The two halves are swapped.
    SwappedHalves,
    /// One random bit of one random value.
    BitFlip,
    /// One random bit in each of 64 random values.
    BitFlips,
    /// The device goes away: natively a GPU is really destroyed.
    Lost,
}

impl Corruption {
    pub const ALL: [(&'static str, Self); 9] = [
        ("nan", Self::Nan),
        ("infinite", Self::Infinite),
        ("zeros", Self::Zeros),
        ("stale", Self::Stale),
        ("truncated", Self::Truncated),
        ("swapped halves", Self::SwappedHalves),
        ("one bit", Self::BitFlip),
        ("64 bits", Self::BitFlips),
        ("lost", Self::Lost),
    ];
}

/// Where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// What is read: answers, features, seals.
    Read,
    /// A picture's or a frame's embedding, after it was made: it stays wrong.
    Embedding,
    /// The same on its way into a decode: the next time it is right.
    CachedEmbedding,
    /// A frame's memory of an object, after it was made: it stays wrong.
    Memory,
}

impl Site {
    pub const ALL: [(&'static str, Self); 4] = [
        ("read", Self::Read),
        ("embedding", Self::Embedding),
        ("cached embedding", Self::CachedEmbedding),
        ("memory", Self::Memory),
    ];
}

/// What goes wrong, where, and how often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    pub corruption: Corruption,
    pub site: Site,
    /// Of the values at this site, in 0 to 1.
    pub rate: f64,
    /// Only on this device.
    pub device: Option<DeviceKind>,
    /// Left alone first.
    pub skip: u32,
    /// Corrupted at most.
    pub most: u32,
    pub seed: u64,
}

impl Plan {
    /// Every value at `site`.
    pub fn always(corruption: Corruption, site: Site) -> Self {
        Self {
            corruption,
            site,
            rate: 1.0,
            device: None,
            skip: 0,
            most: u32::MAX,
            seed: 1,
        }
    }

    /// `None` where the text makes no sense: a test that would test nothing has to notice.
    fn parse(text: &str) -> Option<Self> {
        let mut plan = Self::always(Corruption::Nan, Site::Read);
        for part in text.split(',') {
            let (key, value) = part.split_once('=')?;
            match key {
                "kind" => plan.corruption = named(&Corruption::ALL, value)?,
                "where" => plan.site = named(&Site::ALL, value)?,
                "rate" => plan.rate = value.parse().ok()?,
                "skip" => plan.skip = value.parse().ok()?,
                "most" => plan.most = value.parse().ok()?,
                "seed" => plan.seed = value.parse().ok()?,
                "device" => {
                    plan.device = Some(match value {
                        "gpu" => DeviceKind::Gpu,
                        "cpu" => DeviceKind::Cpu,
                        _ => return None,
                    });
                }
                _ => return None,
            }
        }
        Some(plan)
    }
}

fn named<T: Copy>(all: &[(&str, T)], name: &str) -> Option<T> {
    all.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
}

#[derive(Debug)]
struct State {
    plan: Option<Plan>,
    dice: u64,
    done: u32,
    seen: u32,
    /// What was last here, by site and length.
    last: BTreeMap<(u8, usize), (Vec<f32>, Vec<f32>)>,
}

fn state() -> MutexGuard<'static, State> {
    static STATE: OnceLock<Mutex<State>> = OnceLock::new();
    let made = STATE.get_or_init(|| {
        let plan = std::env::var("FAULT_INJECTION").ok().map(|text| {
            let plan = Plan::parse(&text);
            if plan.is_none() {
                tracing::error!("FAULT_INJECTION={text} makes no sense");
                std::process::exit(3);
            }
            plan
        });
        let plan = plan.flatten();
        Mutex::new(State {
            plan,
            dice: plan.map_or(1, |plan| plan.seed),
            done: 0,
            seen: 0,
            last: BTreeMap::new(),
        })
    });
    made.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the plan, or ends it.
pub fn set(plan: Option<Plan>) {
    let mut state = state();
    state.plan = plan;
    state.dice = plan.map_or(1, |plan| plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (state.done, state.seen) = (0, 0);
}

/// How often something was corrupted since [`set`].
pub fn corrupted() -> u32 {
    state().done
}

/// How often something could have been corrupted since [`set`].
pub fn seen() -> u32 {
    state().seen
}

impl State {
    fn below(&mut self, n: usize) -> usize {
        let step = self.dice.wrapping_mul(6_364_136_223_846_793_005);
        self.dice = step.wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) as usize % n.max(1)
    }

    /// Whether it is the turn of a value at this site.
    fn turn(&mut self, lost: bool, site: Site, device: DeviceKind) -> Option<Corruption> {
        let plan = self.plan.filter(|plan| {
            plan.site == site
                && plan.device.is_none_or(|wanted| wanted == device)
                && (plan.corruption == Corruption::Lost) == lost
        })?;
        self.seen += 1;
        let due = self.seen > plan.skip && self.done < plan.most;
        if !due || self.below(1 << 20) as f64 >= plan.rate * f64::from(1 << 20) {
            return None;
        }
        self.done += 1;
        Some(plan.corruption)
    }

    fn apply(
        &mut self,
        corruption: Corruption,
        site: Site,
        values: &mut Vec<f32>,
        sums: &mut Vec<f32>,
    ) {
        let n = values.len();
        let flip = |state: &mut Self, values: &mut [f32]| {
            let (at, bit) = (state.below(n), state.below(32));
            values[at] = f32::from_bits(values[at].to_bits() ^ (1 << bit));
        };
        match corruption {
            _ if n == 0 => {}
            Corruption::Nan => values[n / 3] = f32::NAN,
            Corruption::Infinite => values[n / 3] = f32::INFINITY,
            Corruption::Zeros => values.fill(0.0),
            Corruption::Truncated if site == Site::Read => values.truncate(n / 2),
            Corruption::Truncated => values[n / 2..].fill(0.0),
            Corruption::SwappedHalves => values.rotate_left(n / 2),
            Corruption::BitFlip => flip(self, values),
            Corruption::BitFlips => (0..64).for_each(|_| flip(self, values)),
            Corruption::Stale => match self.last.get(&(site as u8, n)) {
                Some((before, sums_before)) => {
                    (*values, *sums) = (before.clone(), sums_before.clone())
                }
                None => self.done -= 1,
            },
            Corruption::Lost => {}
        }
    }
}

/// Before a read: the device may be lost here.
pub(crate) fn step(device: DeviceKind) -> Result<(), Error> {
    if state().turn(true, Site::Read, device).is_none() {
        return Ok(());
    }
    match device {
        // The real thing: what follows is wgpu's and Burn's own behaviour.
        DeviceKind::Gpu if crate::device::destroy_gpu() => Ok(()),
        _ => Err(Error::DeviceLost("lost on purpose".to_owned())),
    }
}

/// What a read gives back under the plan: the values, and the sums that came with them.
pub(crate) fn read(
    device: DeviceKind,
    mut values: Vec<f32>,
    mut sums: Vec<f32>,
) -> (Vec<f32>, Vec<f32>) {
    let mut state = state();
    let fresh = (values.clone(), sums.clone());
    let n = values.len();
    if let Some(corruption) = state.turn(false, Site::Read, device) {
        state.apply(corruption, Site::Read, &mut values, &mut sums);
    }
    state.last.insert((Site::Read as u8, n), fresh);
    (values, sums)
}

/// A tensor that stays on the device, under the plan.
pub(crate) async fn tensor<const D: usize>(
    device: DeviceKind,
    site: Site,
    tensor: Tensor<D>,
) -> Result<Tensor<D>, Error> {
    if state().plan.is_none_or(|plan| plan.site != site) {
        return Ok(tensor);
    }
    let shape = tensor.dims();
    let n: usize = shape.iter().product();
    let place = tensor.device();
    let data = tensor.into_data_async().await.map_err(Error::device_lost)?;
    let mut values = data.try_into_vec::<f32>().map_err(Error::device_lost)?;
    let mut state = state();
    let fresh = values.clone();
    if let Some(corruption) = state.turn(false, site, device) {
        state.apply(corruption, site, &mut values, &mut Vec::new());
    }
    state.last.insert((site as u8, n), (fresh, Vec::new()));
    Ok(from_vec(values, shape, &place))
}
