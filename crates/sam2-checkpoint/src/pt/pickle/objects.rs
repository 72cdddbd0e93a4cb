//! The opcodes that name classes, call them and set attributes: where a pickle is dangerous, and where this one
//! answers to the few [`Global`]s of a state dict alone.

use super::{Global, Id, Machine, Step, UNEXPECTED, Value, error};
use crate::dtype::DType;
use crate::error::shown;

impl Machine<'_> {
    pub(super) fn global(&mut self, module: &str, name: &str) -> Step<()> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", storage) => match storage_type(storage) {
                Some(dtype) => Global::Storage(dtype),
                None => return unknown_global(module, name),
            },
            _ => return unknown_global(module, name),
        };
        self.push(Value::Global(global))
    }

    pub(super) fn persistent(&mut self) -> Step<()> {
        let id = self.pop()?;
        let Value::Tuple(parts) = &self.values[id as usize] else {
            return error(UNEXPECTED);
        };
        let part = |at: usize| parts.get(at).map(|&id| &self.values[id as usize]);
        let storage = match (part(0), part(1), part(2), part(4)) {
            (
                Some(Value::Text(kind)),
                Some(Value::Global(Global::Storage(dtype))),
                Some(Value::Text(key)),
                Some(&Value::Int(elements)),
            ) if kind == "storage" && elements >= 0 => Value::Storage {
                dtype: *dtype,
                key: key.clone(),
                elements: elements as u64,
            },
            _ => return error("it refers to something other than a tensor's storage"),
        };
        self.push(storage)
    }

    pub(super) fn reduce(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Global(function), Value::Tuple(arguments)) = (
            &self.values[function as usize],
            &self.values[arguments as usize],
        ) else {
            return error("it calls something that is not a function");
        };
        match function {
            Global::OrderedDict if arguments.is_empty() => self.push(Value::Dict(Vec::new())),
            Global::RebuildTensorV2 => {
                let tensor = self.tensor(arguments)?;
                self.push(tensor)
            }
            // (tensor, requires_grad, hooks): a parameter is its tensor.
            Global::RebuildParameter => match arguments.first().copied() {
                Some(id) if matches!(self.values[id as usize], Value::Tensor { .. }) => {
                    self.push_id(id)
                }
                _ => error(UNEXPECTED),
            },
            Global::OrderedDict | Global::Storage(_) => {
                error("it calls a class in a way that a state dict does not")
            }
        }
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
    fn tensor(&self, arguments: &[Id]) -> Step<Value> {
        let value = |at: usize| arguments.get(at).map(|&id| &self.values[id as usize]);
        let (
            Some(&storage),
            Some(Value::Storage { .. }),
            Some(&Value::Int(offset)),
            Some(shape),
            Some(strides),
        ) = (arguments.first(), value(0), value(1), value(2), value(3))
        else {
            return error("a tensor in it has no storage");
        };
        let (Some(shape), Some(strides), Ok(offset)) = (
            self.sizes(shape),
            self.sizes(strides),
            u64::try_from(offset),
        ) else {
            return error("a tensor in it has an impossible size");
        };
        Ok(Value::Tensor {
            storage,
            offset,
            shape,
            strides,
        })
    }

    fn sizes(&self, value: &Value) -> Option<Vec<u64>> {
        const MAX_RANK: usize = 8;
        let Value::Tuple(items) = value else {
            return None;
        };
        if items.len() > MAX_RANK {
            return None;
        }
        items
            .iter()
            .map(|&id| match self.values[id as usize] {
                Value::Int(size) => u64::try_from(size).ok(),
                _ => None,
            })
            .collect()
    }

    /// BUILD sets attributes; on a state dict that is `_metadata`, which says nothing about tensors.
    pub(super) fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => error("it sets attributes of something other than a dict"),
        }
    }
}

fn unknown_global(module: &str, name: &str) -> Step<()> {
    error(format!(
        "it asks for `{}.{}`, which a state dict does not need and which is not run; save model.state_dict() with torch.save",
        shown(module),
        shown(name)
    ))
}

fn storage_type(name: &str) -> Option<DType> {
    Some(match name {
        "DoubleStorage" => DType::F64,
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" => DType::U8,
        "BoolStorage" => DType::Bool,
        _ => return None,
    })
}
