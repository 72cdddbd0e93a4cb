#!/usr/bin/env python3
"""Breaks the mask check on purpose, one change after the other, and holds that the named test turns red.

    python3 tests/trust/mutate.py                    # all; --only NAME,... for some, --list to see them
    python3 tests/trust/mutate.py --write tests/trust/MUTATIONS.md

Edits the working tree and puts every file back, also when it is stopped. A mutation whose text is not found, whose test does
not build, or which nothing notices is an error. What was seen is kept beside the target folder, so that --write can tell
of runs made one by one. Standard library only.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE = ["-p", "sam2-image", "--lib"]
ENGINE = ["-p", "sam2", "--lib"]
FAULTS = ["-p", "sam2-tests", "--test", "faults"]

# Name, what it does, file, text, its replacement, arguments of `cargo test --release`, test that must fail.
MUTATIONS = [
    ("not-finite", "values that are not finite are let through", "crates/sam2-image/src/check.rs",
     "    if unsound > 0 {", "    if unsound > usize::MAX - 1 {", IMAGE, "check::tests::every_rule_fires_and_names_itself"),
    ("range", "values outside the range are let through", "crates/sam2-image/src/check.rs",
     "    if !range.contains(&least) || !range.contains(&greatest) {", "    if range.is_empty() {", IMAGE,
     "check::tests::every_rule_fires_and_names_itself"),
    ("constant", "a mask of one value everywhere is let through", "crates/sam2-image/src/check.rs",
     "    if min == max && logits.len() > 1 && !allowed {", "    if min > max && !allowed {", IMAGE,
     "check::tests::every_rule_fires_and_names_itself"),
    ("checksum", "a block's checksum is always right", "crates/sam2-image/src/checksum.rs",
     "    let near = (device - host).abs() <= tolerance;", "    let near = (device - host).abs() <= tolerance || which < 2;", IMAGE,
     "checksum::tests::moved_missing_and_stale_data_are_seen"),
    ("second-checksum", "only the first of the two checksums is held", "crates/sam2-image/src/checksum.rs",
     "    let near = (device - host).abs() <= tolerance;", "    let near = (device - host).abs() <= tolerance || which == 1;", IMAGE,
     "checksum::tests::one_logit_moved_by_a_hundredth_of_the_mean_magnitude_is_seen"),
    ("tolerance", "the checksums' tolerance is a thousand times as wide", "crates/sam2-image/src/checksum.rs",
     "/ 16.0) * UNIT * magnitude;", "/ 16.0) * UNIT * magnitude * 1e3;", IMAGE,
     "checksum::tests::one_logit_moved_by_a_hundredth_of_the_mean_magnitude_is_seen"),
    ("fingerprint", "any two fingerprints are the same", "crates/sam2-image/src/fingerprint.rs",
     "        match self.hash == now.hash {", "        match self.hash == now.hash || now.finite {", IMAGE,
     "fingerprint::tests::every_single_bit_counts"),
    ("fingerprint-block", "a fingerprint looks at its first block only", "crates/sam2-image/src/fingerprint.rs",
     "        for lane in blocks.iter().flat_map(|block| block.hash) {",
     "        for lane in blocks.iter().take(1).flat_map(|block| block.hash) {", IMAGE,
     "fingerprint::tests::every_block_counts_and_so_does_their_order"),
    ("seal-host", "what stays in memory is never held against its seal", "crates/sam2/src/checked/seal.rs",
     "        let Seal::Host(seals) = &self.seal else {", "        let (Seal::Host(seals), true) = (&self.seal, runtime.threads > 1 << 20) else {",
     ENGINE, "checked::seal::tests::what_changed_since_it_was_made_is_a_fault_of_an_input"),
    ("seal-device", "a GPU's seal is always right", "crates/sam2/src/checked/seal.rs",
     "        let near = (before - now).abs() <= tolerance;", "        let near = (before - now).abs() <= tolerance || len > 0;", ENGINE,
     "checked::seal::tests::numbers_of_a_gpu_are_held_within_their_tolerance"),
    ("look", "an answer's logits are not looked through", "crates/sam2/src/checked/mod.rs",
     "            inspect(mask, h * w, &LOGIT_RANGE)", "            inspect(&[0.0, 1.0], 2, &LOGIT_RANGE)", ENGINE,
     "checked::tests::an_answer_that_is_none_is_refused_before_anybody_sees_it"),
    ("scores", "predicted IoUs are not looked through", "crates/sam2/src/checked/mod.rs",
     "        inspect_scores(iou, b * m, &iou_range)", "        inspect_scores(&[], 0, &iou_range)", ENGINE,
     "checked::tests::an_answer_that_is_none_is_refused_before_anybody_sees_it"),
    ("inputs", "what goes into an answer is not held against its seals", "crates/sam2/src/checked/mod.rs",
     "    for input in inputs {\n        counted(|| input.verify_on_host(runtime))?;", "    for input in &inputs[..0] {\n        counted(|| input.verify_on_host(runtime))?;",
     FAULTS, "no_fault_shows_a_wrong_mask"),
    ("recall", "the seal of cached features is not asked for before a memory is made of them", "crates/sam2/src/video/remember.rs",
     "        verify(self.model.runtime(), &features.input()).await?;\n", "", FAULTS, "no_fault_shows_a_wrong_mask"),
    ("read", "what arrived is not held against what was sent", "crates/sam2/src/checked/mod.rs",
     "            counted(|| print.verify(&Fingerprint::of(&got))).map_err(fault)?;", "            counted(|| print.verify(&print)).map_err(fault)?;",
     FAULTS, "no_fault_shows_a_wrong_mask"),
]


def state_file():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "mutations.json"


def cargo(arguments):
    """Runs the tests; the names of those that failed, or None where they did not build."""
    done = subprocess.run(["cargo", "test", "--release", *arguments], cwd=ROOT, capture_output=True, text=True)
    if not re.search(r"^running \d+ test", done.stdout, re.M):
        print(done.stderr[-1500:], file=sys.stderr)
        return None
    return re.findall(r"^test (\S+) \.\.\. FAILED", done.stdout, re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda s: s.split(","))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    if options.list:
        for name, what, *_ in MUTATIONS:
            print(f"{name}: {what}")
        return
    seen = json.loads(state_file().read_text()) if state_file().exists() else {}
    bad = []
    for name, what, file, text, replacement, arguments, test in MUTATIONS:
        if options.only is not None and name not in options.only:
            continue
        path = ROOT / file
        before = path.read_text()
        if before.count(text) != 1:
            bad.append(f"{name}: its text is {before.count(text)} times in {file}")
            continue
        began = time.monotonic()
        try:
            path.write_text(before.replace(text, replacement))
            failed = cargo(arguments)
        finally:
            path.write_text(before)
        red = failed is not None and test in failed
        if red:
            seen[name] = {"failed": failed, "date": time.strftime("%Y-%m-%d", time.gmtime())}
            state_file().write_text(json.dumps(seen, indent=1))
        else:
            bad.append(f"{name}: {test} did not fail ({'it did not build' if failed is None else failed})")
        print(f"{name}: {'red' if red else 'NOT SEEN'}: {failed} ({time.monotonic() - began:.0f} s)", flush=True)
    if options.write:
        options.write.write_text(table(seen))
    for line in bad:
        print(line, file=sys.stderr)
    sys.exit(1 if bad else 0)


def table(seen):
    lines = [
        "# The check broken on purpose", "", "Written by", "", "    python3 tests/trust/mutate.py --write tests/trust/MUTATIONS.md", "",
        "A check that nobody would miss is no check. Each of these changes is made, the tests are run, and the change",
        "is taken back; the named test has to fail. `mutate.py --only NAME` does one. Those of `faults` were run on the CPU", "alone unless a GPU or a software Vulkan was there.", "",
        "| name | change | file | turned red | seen |", "|---|---|---|---|---|",
    ]
    for name, what, file, _, _, arguments, test in MUTATIONS:
        known = seen.get(name)
        also = len(known["failed"]) - 1 if known else 0
        more = f" and {also} more" if also else ""
        suite = "faults::" if arguments is FAULTS else ""
        lines.append(f"| {name} | {what} | `{file.removeprefix('crates/')}` | `{suite}{test}`{more} | {known['date'] if known else 'not yet'} |")
    lines += [
        "", "Found so before this table was kept by a program: without `recall`, up to 6 wrong masks in a row of the table of faults; a",
        "warm-up that is not `guarded` (`sam2/src/model.rs`, `place`) fails `sam2-cli/tests/faults.rs` with the GPU destroyed at its first read.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
