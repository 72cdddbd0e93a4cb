//! `sam2 track` on videos that are broken, lie or are hardly videos: one line that says what is wrong, with
//! everything before it kept, within seconds and little memory.

#![allow(clippy::unwrap_used)] // helpers of tests, which fail by panicking

mod common;

use common::{Run, files, micro_run};
use sam2_image::RgbImage;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// A Y4M clip; each frame a size of its own would not fit into the format.
fn y4m(width: usize, height: usize, frames: usize) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F10:1 C444\n").into_bytes();
    for frame in 0..frames {
        bytes.extend(b"FRAME\n");
        bytes.extend((0..3 * width * height).map(|i| (i * 7 + frame * 13) as u8));
    }
    bytes
}

fn picture(width: usize, height: usize) -> Vec<u8> {
    let data = (0..width * height * 3).map(|i| (i * 31) as u8).collect();
    RgbImage::from_rgb(width, height, data)
        .unwrap()
        .to_png()
        .unwrap()
}

/// A GIF of one colour whose header declares `frames` frames' worth of blocks, of which none follows.
fn cut_gif() -> Vec<u8> {
    let mut bytes = b"GIF89a\x40\x00\x30\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff".to_vec();
    bytes.extend(b"\x21\xf9\x04\x00\x0a\x00\x00\x00\x2c\x00\x00\x00\x00\x40\x00\x30\x00\x00\x02");
    bytes
}

fn track(folder: &Path, input: &str, more: &[&str]) -> Run {
    let start = Instant::now();
    let args = [&[input, "--point", "0,0", "--out", "o", "--force"], more].concat();
    let run = micro_run(folder, "track", &args);
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{input} took {:?}",
        start.elapsed()
    );
    run
}

#[test]
fn what_is_no_video_is_refused_by_name() {
    let folder = tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("empty.mp4", b"");
    write("text.mp4", b"this is no video, whatever its name says");
    write("none.y4m", b"YUV4MPEG2 W64 H48 F10:1 C420jpeg\n");
    write(
        "huge.y4m",
        b"YUV4MPEG2 W60000 H60000 F10:1 C420jpeg\nFRAME\n",
    );
    write("zero.y4m", b"YUV4MPEG2 W0 H48 F10:1\nFRAME\n");
    write("cut.gif", &cut_gif());
    write("cut.mjpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF");
    write(
        "cut.mp4",
        b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\x10\0moov",
    );
    fs::create_dir(folder.path().join("hollow")).unwrap();
    for name in [
        "empty.mp4",
        "text.mp4",
        "none.y4m",
        "huge.y4m",
        "zero.y4m",
        "cut.gif",
        "cut.mjpeg",
        "cut.mp4",
        "hollow",
        "gone.mp4",
    ] {
        track(folder.path(), name, &[]).fails(1, name);
    }
    assert!(!folder.path().join("o").exists());
}

#[test]
fn a_video_that_ends_early_keeps_what_came_before() {
    let folder = tempdir().unwrap();
    let mut bytes = y4m(64, 48, 6);
    bytes.truncate(bytes.len() - 1000);
    fs::write(folder.path().join("cut.y4m"), bytes).unwrap();
    track(folder.path(), "cut.y4m", &[]).fails(1, "frame 5");
    assert_eq!(files(&folder.path().join("o/1")).len(), 5);
}

#[test]
fn a_frame_that_is_damaged_loses_nothing_before_it() {
    let folder = tempdir().unwrap();
    let mut bytes = y4m(64, 48, 6);
    // The header of frame 3: whoever reads on finds no frame any more.
    let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bytes[head + 3 * (6 + 3 * 64 * 48)] = b'X';
    fs::write(folder.path().join("damaged.y4m"), bytes).unwrap();
    track(folder.path(), "damaged.y4m", &[]).fails(1, "frame 3");
    assert_eq!(files(&folder.path().join("o/1")).len(), 3);
}

/// Where nobody counts the frames before, all are decoded at once.
#[cfg(unix)]
#[test]
fn a_decoder_that_fails_in_the_middle_loses_nothing_before_it() {
    for promised in [None, Some(9)] {
        let folder = tempdir().unwrap();
        let programs = common::fake_ffmpeg(folder.path(), promised, 4, true);
        fs::write(folder.path().join("clip.mp4"), b"\0\0\0\x20ftypisom").unwrap();
        let (weights, config) = (
            common::path("weights/seed4.safetensors"),
            common::path("micro.yaml"),
        );
        let args = [
            "track", "clip.mp4", "--model", &weights, "--config", &config, "--device", "cpu", "-q",
            "--point", "52,54", "--out", "o",
        ];
        let mut command = common::sam2(folder.path(), &args);
        let run = Run::of(command.env("PATH", programs)).fails(1, "frame 4");
        assert!(run.stderr.contains("Invalid data found"), "{}", run.stderr);
        assert_eq!(files(&folder.path().join("o/1")).len(), 4, "{promised:?}");
    }
}

#[test]
fn a_video_that_changes_its_size_keeps_what_came_before() {
    let folder = tempdir().unwrap();
    fs::create_dir(folder.path().join("clip")).unwrap();
    for (frame, width) in [64, 64, 64, 32, 64].into_iter().enumerate() {
        fs::write(
            folder.path().join(format!("clip/{frame}.png")),
            picture(width, 48),
        )
        .unwrap();
    }
    track(folder.path(), "clip", &[]).fails(1, "frame 3");
    assert_eq!(files(&folder.path().join("o/1")).len(), 3);
}

#[test]
fn one_pixel_is_a_video_too() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("dot.y4m"), y4m(1, 1, 3)).unwrap();
    track(folder.path(), "dot.y4m", &[]).ok();
    assert_eq!(files(&folder.path().join("o/1")).len(), 3);
    track(folder.path(), "dot.y4m", &["--point", "1,0"]).fails(2, "outside");
}

/// 10 000 frames are declared, one is there: nothing is allocated on the header's word.
#[test]
fn ten_thousand_declared_frames_cost_nothing() {
    let folder = tempdir().unwrap();
    // The header of an AVI (`avih`, `strh`): 10 000 frames of 64 x 48, and then nothing.
    let mut avih = vec![0; 56];
    avih[..4].copy_from_slice(&100_000_u32.to_le_bytes());
    avih[16..20].copy_from_slice(&10_000_u32.to_le_bytes());
    avih[24..28].copy_from_slice(&1_u32.to_le_bytes());
    avih[32..36].copy_from_slice(&64_u32.to_le_bytes());
    avih[36..40].copy_from_slice(&48_u32.to_le_bytes());
    let chunk = |name: &[u8; 4], data: &[u8]| {
        [name.as_slice(), &(data.len() as u32).to_le_bytes(), data].concat()
    };
    let list = chunk(
        b"LIST",
        &[b"hdrl".as_slice(), &chunk(b"avih", &avih)].concat(),
    );
    let riff = chunk(b"RIFF", &[b"AVI ".as_slice(), &list].concat());
    fs::write(folder.path().join("promise.avi"), riff).unwrap();
    track(folder.path(), "promise.avi", &[]).fails(1, "promise.avi");

    // 10 000 frames that are there: MAX_VIDEO_FRAMES of them are used, and that is said.
    fs::write(folder.path().join("long.y4m"), y4m(8, 8, 10_000)).unwrap();
    let run = micro_run(
        folder.path(),
        "track",
        &[
            "long.y4m",
            "--point",
            "4,4",
            "--out",
            "long",
            "--max-frames",
            "8",
            "--force",
        ],
    )
    .ok();
    assert_eq!(run.errors().len(), 0);
    assert_eq!(files(&folder.path().join("long/1")).len(), 8);
}
