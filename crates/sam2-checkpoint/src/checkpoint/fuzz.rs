//! Damaged files: whatever is done to a valid one, opening and reading it ends in a value or a
//! typed error of one line, quickly, and never in a panic.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const FILES: [&[u8]; 6] = [
    include_bytes!("../../fixtures/plain.pt"),
    include_bytes!("../../fixtures/views.pt"),
    include_bytes!("../../fixtures/extras.pt"),
    include_bytes!("../../fixtures/protocol4.pt"),
    include_bytes!("../../fixtures/no_crc.pt"),
    include_bytes!("../../fixtures/plain.safetensors"),
];

/// One thing that happens to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip {
        at: prop::sample::Index,
        bit: u8,
    },
    /// Extreme values where lengths, counts and offsets stand.
    Lie {
        at: prop::sample::Index,
        bytes: usize,
        value: u64,
    },
    Cut {
        at: prop::sample::Index,
    },
    Remove {
        at: prop::sample::Index,
        count: usize,
    },
    Repeat {
        at: prop::sample::Index,
        count: usize,
    },
    Copy {
        from: prop::sample::Index,
        to: prop::sample::Index,
        count: usize,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    let extreme = prop_oneof![
        Just(0),
        Just(1),
        Just(0x7fff_ffff),
        Just(0xffff_ffff),
        Just(u64::MAX),
        Just(1 << 63),
        any::<u64>()
    ];
    prop_oneof![
        3 => (index(), 0..8u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        3 => (index(), prop::sample::select(vec![1, 2, 4, 8]), extreme)
            .prop_map(|(at, bytes, value)| Damage::Lie { at, bytes, value }),
        1 => index().prop_map(|at| Damage::Cut { at }),
        1 => (index(), 1..64usize).prop_map(|(at, count)| Damage::Remove { at, count }),
        1 => (index(), 1..64usize).prop_map(|(at, count)| Damage::Repeat { at, count }),
        2 => (index(), index(), 1..64usize)
            .prop_map(|(from, to, count)| Damage::Copy { from, to, count }),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match damage {
        Damage::Flip { at, bit } => bytes[at.index(len)] ^= 1 << bit,
        Damage::Lie {
            at,
            bytes: count,
            value,
        } => {
            let at = at.index(len);
            let count = (*count).min(len - at);
            bytes[at..at + count].copy_from_slice(&value.to_le_bytes()[..count]);
        }
        Damage::Cut { at } => bytes.truncate(at.index(len)),
        Damage::Remove { at, count } => {
            let at = at.index(len);
            bytes.drain(at..(at + count).min(len));
        }
        Damage::Repeat { at, count } => {
            let at = at.index(len);
            let copy = bytes[at..(at + count).min(len)].to_vec();
            bytes.splice(at..at, copy);
        }
        Damage::Copy { from, to, count } => {
            let (from, to) = (from.index(len), to.index(len));
            let count = (*count).min(len - from).min(len - to);
            bytes.copy_within(from..from + count, to);
        }
    }
}

/// Opens and reads everything; the errors must be fit to be shown.
fn exercise(bytes: Vec<u8>) {
    let size = bytes.len();
    let shown = |error: CheckpointError| {
        let text = error.to_string();
        assert!(text.lines().count() == 1 && text.len() < 2000, "{text}");
        assert!(!error.code().is_empty());
    };
    let checkpoint = match Checkpoint::open(Arc::new(bytes)) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return shown(error),
    };
    for (name, info) in checkpoint.tensors() {
        // An index can name no more elements than the file has bytes.
        assert!(info.num_elements() <= size);
        match checkpoint.read_f32(name) {
            Ok(values) => assert_eq!(values.len(), info.num_elements()),
            Err(error) => shown(error),
        }
    }
    if let Err(error) = checkpoint.verify_data_sha256(|_, _| {}) {
        shown(error);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_end_in_a_value_or_an_error(
        file in 0..FILES.len(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut bytes = FILES[file].to_vec();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        exercise(bytes);
    }

    /// The CRC of data.pkl hides the pickle from the mutator above, so here it goes in directly.
    #[test]
    fn damaged_pickles_end_in_a_value_or_an_error(
        file in 0..5usize,
        damages in prop::collection::vec(damage(), 1..8),
    ) {
        let mut pickle = crate::pt::pickle_of(FILES[file]);
        for damage in &damages {
            apply(&mut pickle, damage);
        }
        if let Err(error) = crate::pt::collect_from(FILES[file], &pickle) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn random_bytes_behind_a_right_start_end_in_an_error(
        zip in any::<bool>(),
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let start: &[u8] = if zip { b"PK\x03\x04" } else { b"\x40\0\0\0\0\0\0\0{" };
        exercise([start, &tail].concat());
    }
}

#[test]
fn every_truncation_is_an_error() {
    for file in FILES {
        for len in 0..file.len() {
            let bytes = file[..len].to_vec();
            assert!(
                Checkpoint::open(Arc::new(bytes)).is_err(),
                "{len} of {}",
                file.len()
            );
        }
    }
}

#[test]
fn hostile_pickles_are_bounded() {
    let refused = |pickle: &[u8]| {
        crate::pt::collect_from(FILES[0], pickle)
            .err()
            .unwrap()
            .to_string()
    };
    // Ten million nested tuples: no recursion, and the number of values is capped.
    let mut nested = b"\x80\x02)".to_vec();
    nested.resize(10_000_000, 0x85);
    assert!(refused(&nested).contains("values"));
    // A list that holds itself.
    assert!(refused(b"\x80\x02]q\0h\0a.").contains("not a dict"));
    // Marks, memo slots and strings out of any proportion.
    assert!(refused(&vec![b'('; 10_000_000]).contains("nests"));
    assert!(refused(b"\x80\x02}r\xff\xff\xff\xff.").contains("damaged"));
    assert!(refused(b"\x80\x02X\xff\xff\xff\xffabc").contains("cut short"));
    // What a hostile pickle is for.
    let error = refused(b"\x80\x02cos\nsystem\nq\0X\x02\0\0\0idq\x01\x85R.");
    assert!(error.contains("`os.system`"), "{error}");
    let error = refused(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.");
    assert!(error.contains("`builtins.eval`"), "{error}");
}
