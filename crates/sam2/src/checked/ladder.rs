//! What follows a refused answer: read again (done by the read itself), computed again, computed on the
//! CPU, and at last a typed fault.

use super::fault::{Cure, Fault, settle};
use crate::device::DeviceKind;
use crate::{Error, Model};

/// One answer's way down the ladder.
#[derive(Debug)]
pub(crate) struct Ladder {
    /// Where the last computation ran.
    device: DeviceKind,
    /// Computations refused so far.
    refused: u32,
    /// The first fault: what the incident is told by.
    first: Option<Fault>,
    moved: bool,
}

impl Ladder {
    /// Before the first computation.
    pub fn new(model: &Model) -> Self {
        Self {
            device: model.runtime().kind,
            refused: 0,
            first: None,
            moved: false,
        }
    }

    /// After a refused computation: whether to compute again, and on which device, is decided here. A
    /// fault is tried once more where it happened; a lost device, or a second fault, moves the model to
    /// the CPU.
    ///
    /// # Errors
    /// `error` itself where nothing is left to try; as loading where the CPU cannot take over.
    pub fn refuse(&mut self, model: &Model, error: Error) -> Result<(), Error> {
        self.refused += 1;
        tracing::debug!(code = error.code(), %error, refused = self.refused, "a step was refused");
        let again = match &error {
            Error::Fault(fault) => {
                self.first.get_or_insert_with(|| (**fault).clone());
                self.refused == 1 || (self.refused == 2 && self.fall_back(model, &error)?)
            }
            Error::DeviceLost(_) => self.refused <= 2 && self.fall_back(model, &error)?,
            _ => false,
        };
        if again {
            return Ok(());
        }
        if let Error::Fault(fault) = &error {
            settle(fault, Cure::GivenUp);
        }
        Err(error)
    }

    /// `false` where the computation ran on the CPU already. Another predictor of the same model may
    /// have moved it meanwhile.
    fn fall_back(&mut self, model: &Model, error: &Error) -> Result<bool, Error> {
        model.fall_back(&error.to_string())?;
        let moved = self.device != model.runtime().kind;
        self.device = model.runtime().kind;
        self.moved |= moved;
        Ok(moved)
    }

    /// After an answer that passed: the incident, if it was one, is counted and logged once.
    pub fn passed(self) {
        if let Some(fault) = &self.first {
            let cure = match self.moved {
                true => Cure::MovedToCpu,
                false => Cure::ComputedAgain,
            };
            settle(fault, cure);
        }
    }
}
