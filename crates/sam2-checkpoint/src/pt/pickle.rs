//! A pickle interpreter that knows what a state dict needs and nothing else.
//!
//! SECURITY: a pickle is a program that may call anything. Here it can build tuples, lists, dicts,
//! numbers, strings and the handful of [`Global`]s below; a call of anything else is an error that
//! names it, and nothing is ever executed. Values live in an arena and refer to each other by
//! number, so that neither nesting nor cycles can exhaust the stack, and their number is bounded.

mod objects;

use crate::dtype::DType;
use crate::error::CheckpointError;

/// A state dict of 900 tensors makes some 30 000 values and 100 000 steps.
const MAX_VALUES: usize = 4_000_000;
const MAX_STACK: usize = 4_000_000;
const MAX_STEPS: usize = 32_000_000;

/// Number of a value in [`Program::values`].
pub(super) type Id = u32;

/// Classes and functions that a state dict refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensorV2,
    RebuildParameter,
    Storage(DType),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// `('storage', type, key, location, number of elements)`, a reference into the archive.
    Storage {
        dtype: DType,
        key: String,
        elements: u64,
    },
    Tensor {
        storage: Id,
        offset: u64,
        shape: Vec<u64>,
        strides: Vec<u64>,
    },
}

/// What a pickle left behind.
pub(super) struct Program {
    pub values: Vec<Value>,
    pub root: Id,
}

impl Program {
    pub fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }
}

type Step<T> = Result<T, CheckpointError>;

fn error<T>(message: impl Into<String>) -> Step<T> {
    Err(CheckpointError::Pickle {
        message: message.into(),
    })
}

const UNEXPECTED: &str = "its pickle is damaged";

/// Runs a pickle.
///
/// # Errors
/// [`CheckpointError::Pickle`] at the first opcode, global or value that is not a state dict's.
pub(super) fn run(bytes: &[u8]) -> Step<Program> {
    let mut machine = Machine {
        input: bytes,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    for _ in 0..MAX_STEPS {
        if machine.step()? {
            let root = machine.pop()?;
            return Ok(Program {
                values: machine.values,
                root,
            });
        }
    }
    error("its pickle does not end")
}

struct Machine<'a> {
    input: &'a [u8],
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack where a MARK stands.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
}

impl Machine<'_> {
    /// One opcode; `true` at the end.
    fn step(&mut self) -> Step<bool> {
        let opcode = self.take::<1>()?[0];
        match opcode {
            // PROTO, FRAME: nothing to do with their arguments.
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'.' => return Ok(true),
            b'(' => {
                if self.marks.len() >= MAX_STACK {
                    return error("its pickle nests too deeply");
                }
                self.marks.push(self.stack.len());
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            // BININT, BININT1, BININT2, LONG1
            b'J' => {
                let value = i32::from_le_bytes(self.take()?);
                self.push(Value::Int(value.into()))?;
            }
            b'K' => {
                let [value] = self.take()?;
                self.push(Value::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.take()?);
                self.push(Value::Int(value.into()))?;
            }
            0x8a => self.long()?,
            b'G' => {
                self.take::<8>()?;
                self.push(Value::Float)?;
            }
            // BINUNICODE, SHORT_BINUNICODE
            b'X' => {
                let len = u32::from_le_bytes(self.take()?) as usize;
                self.text(len)?;
            }
            0x8c => {
                let [len] = self.take()?;
                self.text(len.into())?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(opcode - 0x84));
                let items = match start {
                    Some(start) if start >= self.floor() => self.stack.split_off(start),
                    _ => return error(UNEXPECTED),
                };
                self.push(Value::Tuple(items))?;
            }
            // APPEND, APPENDS
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            // SETITEM, SETITEMS
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set_items(&items)?;
            }
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => {
                let [slot] = self.take()?;
                self.put(slot.into())?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.take()?);
                self.put(slot as usize)?;
            }
            0x94 => self.put(self.memo.len())?,
            // BINGET, LONG_BINGET
            b'h' => {
                let [slot] = self.take()?;
                self.recall(slot.into())?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.take()?);
                self.recall(slot as usize)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module as usize], &self.values[name as usize]) {
                    (Value::Text(module), Value::Text(name)) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.global(&module, &name)?;
                    }
                    _ => return error(UNEXPECTED),
                }
            }
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => {
                return error(format!(
                    "its pickle uses opcode 0x{other:02x}, which a state dict does not need; save model.state_dict() with torch.save"
                ));
            }
        }
        Ok(false)
    }

    fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        let Some((head, rest)) = self.input.split_first_chunk::<N>() else {
            return error("its pickle is cut short");
        };
        self.input = rest;
        Ok(*head)
    }

    fn slice(&mut self, len: usize) -> Step<&[u8]> {
        let Some((head, rest)) = self.input.split_at_checked(len) else {
            return error("its pickle is cut short");
        };
        self.input = rest;
        Ok(head)
    }

    /// Up to a newline, without it.
    fn line(&mut self) -> Step<String> {
        match self.input.iter().take(1024).position(|&byte| byte == b'\n') {
            Some(len) => {
                let text = String::from_utf8_lossy(self.slice(len)?).into_owned();
                self.take::<1>()?;
                Ok(text)
            }
            None => error(UNEXPECTED),
        }
    }

    /// Operators may not reach below the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, value: Value) -> Step<()> {
        if self.values.len() >= MAX_VALUES {
            return error(format!("its pickle builds more than {MAX_VALUES} values"));
        }
        // MAX_VALUES fits.
        let id = self.values.len() as Id;
        self.values.push(value);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Step<()> {
        if self.stack.len() >= MAX_STACK {
            return error("its pickle nests too deeply");
        }
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Step<Id> {
        if self.stack.len() <= self.floor() {
            return error(UNEXPECTED);
        }
        self.stack.pop().ok_or(CheckpointError::Pickle {
            message: UNEXPECTED.into(),
        })
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => error(UNEXPECTED),
        }
    }

    fn top(&mut self) -> Step<&mut Value> {
        match self.stack.get(self.floor()..).and_then(<[Id]>::last) {
            Some(&id) => Ok(&mut self.values[id as usize]),
            None => error(UNEXPECTED),
        }
    }

    fn long(&mut self) -> Step<()> {
        let [len] = self.take()?;
        let bytes = self.slice(len.into())?;
        if bytes.len() > 8 {
            return error("its pickle has a number beyond 64 bits");
        }
        // Little-endian two's complement of any length.
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, len: usize) -> Step<()> {
        let text = match std::str::from_utf8(self.slice(len)?) {
            Ok(text) => text.to_owned(),
            Err(_) => return error(UNEXPECTED),
        };
        self.push(Value::Text(text))
    }

    fn append(&mut self, items: Vec<Id>) -> Step<()> {
        match self.top()? {
            Value::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => error(UNEXPECTED),
        }
    }

    fn set_items(&mut self, items: &[Id]) -> Step<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        match self.top()? {
            Value::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => error(UNEXPECTED),
        }
    }

    fn put(&mut self, slot: usize) -> Step<()> {
        let id = match self.stack.last() {
            Some(&id) if slot < MAX_VALUES => id,
            _ => return error(UNEXPECTED),
        };
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(id);
        Ok(())
    }

    fn recall(&mut self, slot: usize) -> Step<()> {
        match self.memo.get(slot) {
            Some(&Some(id)) => self.push_id(id),
            _ => error(UNEXPECTED),
        }
    }
}
