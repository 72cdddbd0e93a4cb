//! A session of the video predictor: stopping, live video, mistakes.

mod session;

use anyhow::{Context, Result, ensure};
use sam2::SharedModel;
use sam2::block_on;
use sam2::image::ImageSize;
use sam2::video::frames::FrameFuture;
use sam2::video::{
    FolderFrames, FrameSource, PassOptions, VideoOptions, VideoPredictor, VideoPrompt,
};
use session::{FRAMES, frames, model};
use std::ops::ControlFlow;

#[test]
fn stopping_keeps_what_was_done_and_a_new_pass_goes_on() -> Result<()> {
    let model = model()?;
    let frames = frames();
    let open = || -> Result<VideoPredictor> {
        let frames = FolderFrames::open(&frames, 0, 0)?;
        let model = SharedModel::clone(&model);
        let mut video = VideoPredictor::new(model, Box::new(frames), VideoOptions::default())?;
        block_on(video.add_new_points_or_box(0, 1, &VideoPrompt::click(52.8, 54.56)))?;
        Ok(video)
    };
    let mut whole = open()?;
    block_on(whole.propagate_in_video(PassOptions::default(), &mut |_| ControlFlow::Continue(())))?;
    let mut video = open()?;
    let end = block_on(
        video.propagate_in_video(PassOptions::default(), &mut |frame| {
            if frame.frame == 4 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }),
    )?;
    ensure!(end == sam2::video::PassEnd::Stopped && video.tracked_frames(1) == [0, 1, 2, 3, 4]);
    let rest = PassOptions {
        start_frame_idx: Some(5),
        ..PassOptions::default()
    };
    block_on(video.propagate_in_video(rest, &mut |_| ControlFlow::Continue(())))?;
    for frame in 0..FRAMES {
        ensure!(
            video.low_res_logits(frame, 1) == whole.low_res_logits(frame, 1),
            "frame {frame}"
        );
    }
    Ok(())
}

#[test]
fn a_saved_session_goes_on_in_another_predictor() -> Result<()> {
    let model = model()?;
    let open = || -> Result<VideoPredictor> {
        let frames = FolderFrames::open(&frames(), 0, 0)?;
        let model = SharedModel::clone(&model);
        Ok(VideoPredictor::new(
            model,
            Box::new(frames),
            VideoOptions::default(),
        )?)
    };
    let mut whole = open()?;
    block_on(whole.add_new_points_or_box(3, 7, &VideoPrompt::click(52.8, 54.56)))?;
    block_on(whole.add_new_points_or_box(0, 2, &VideoPrompt::boxed(20.0, 20.0, 90.0, 80.0)))?;
    let mut saved = None;
    let mut pass = whole.start_pass(PassOptions::default())?;
    while let Some(masks) = block_on(whole.next_frame(&mut pass))? {
        if masks.frame == 6 {
            // A prompt that no pass has seen is part of it.
            block_on(whole.add_new_points_or_box(8, 2, &VideoPrompt::click(60.0, 60.0)))?;
            saved = Some(whole.save());
        }
    }
    let saved = saved.context("frame 6 was tracked")?;
    let mut other = open()?;
    other.restore(saved.clone())?;
    ensure!(other.save() == saved, "what was restored is what was saved");
    // Both go on: the whole one over frames that it tracked already.
    for video in [&mut whole, &mut other] {
        let back = PassOptions {
            start_frame_idx: Some(7),
            ..PassOptions::default()
        };
        block_on(video.propagate_in_video(back, &mut |_| ControlFlow::Continue(())))?;
    }
    ensure!(other.object_ids() == [7, 2] && other.prompted_frames(2) == [0, 8]);
    for object in [7, 2] {
        for frame in 0..FRAMES {
            ensure!(
                other.low_res_logits(frame, object) == whole.low_res_logits(frame, object),
                "object {object}, frame {frame}"
            );
            ensure!(other.mask(frame, object) == whole.mask(frame, object));
        }
    }
    // What does not fit is refused and changes nothing.
    let mut damaged = saved.clone();
    damaged.objects[1].outputs[0].obj_ptr.pop();
    ensure!(other.restore(damaged).is_err() && other.object_ids() == [7, 2]);
    let mut damaged = saved.clone();
    damaged.objects[0].outputs[0].frame = FRAMES;
    ensure!(
        other
            .restore(damaged)
            .is_err_and(|e| e.code() == "unsupported_video")
    );
    let mut damaged = saved;
    damaged.objects[0].outputs[0].obj_ptr[0] = f32::NAN;
    ensure!(other.restore(damaged).is_err());
    Ok(())
}

/// A file that promises all frames and has nine.
struct Promising {
    frames: FolderFrames,
    len: usize,
}

const THERE: usize = 9;

impl FrameSource for Promising {
    fn len(&self) -> usize {
        self.len
    }

    fn size(&self) -> ImageSize {
        self.frames.size()
    }

    fn read(&mut self, index: usize) -> FrameFuture<'_> {
        if index >= THERE {
            self.len = THERE;
        }
        self.frames.read(index)
    }

    fn shorten(&mut self, frames: usize) {
        self.len = self.len.min(frames);
    }
}

#[test]
fn a_restored_session_knows_that_the_clip_ended_early() -> Result<()> {
    let model = model()?;
    let open = || -> Result<VideoPredictor> {
        let source = Promising {
            frames: FolderFrames::open(&frames(), 0, THERE)?,
            len: FRAMES,
        };
        let model = SharedModel::clone(&model);
        Ok(VideoPredictor::new(
            model,
            Box::new(source),
            VideoOptions::default(),
        )?)
    };
    let mut whole = open()?;
    block_on(whole.add_new_points_or_box(6, 1, &VideoPrompt::click(52.8, 54.56)))?;
    block_on(whole.propagate_in_video(PassOptions::default(), &mut |_| ControlFlow::Continue(())))?;
    ensure!(whole.num_frames() == THERE, "the end was found");
    let mut other = open()?;
    other.restore(whole.save())?;
    ensure!(other.num_frames() == THERE && other.save() == whole.save());
    // Below 16 frames the length is part of what the network is told of its pointers.
    for video in [&mut whole, &mut other] {
        let back = PassOptions {
            reverse: true,
            ..PassOptions::default()
        };
        block_on(video.propagate_in_video(back, &mut |_| ControlFlow::Continue(())))?;
    }
    for frame in 0..THERE {
        let logits = whole.low_res_logits(frame, 1);
        ensure!(logits.is_some(), "frame {frame}");
        ensure!(other.low_res_logits(frame, 1) == logits, "frame {frame}");
    }
    Ok(())
}

#[test]
fn live_frames_are_tracked_as_a_long_clip_and_memory_stays_bounded() -> Result<()> {
    let model = model()?;
    let frames = frames();
    let pictures = (0..FRAMES)
        .map(|i| {
            let bytes = std::fs::read(frames.join(format!("{i:05}.png")))?;
            Ok(sam2::image::decode(&bytes, &Default::default())?)
        })
        .collect::<Result<Vec<_>>>()?;
    let click = VideoPrompt::click(52.8, 54.56);
    // A clip of the same frames several times over is long enough for 16 pointers.
    let long: Vec<_> = pictures.iter().cycle().take(30).cloned().collect();
    let source = sam2::video::frames::MemoryFrames::new(long.clone())?;
    let mut clip = VideoPredictor::new(
        SharedModel::clone(&model),
        Box::new(source),
        VideoOptions::default(),
    )?;
    block_on(clip.add_new_points_or_box(0, 1, &click))?;
    let mut areas = Vec::new();
    block_on(
        clip.propagate_in_video(PassOptions::default(), &mut |frame| {
            areas.push(frame.objects[0].mask.area());
            ControlFlow::Continue(())
        }),
    )?;

    let mut live = VideoPredictor::live(model, clip.size(), VideoOptions::default())?;
    // Features fill their own budget; memories and logits may not grow.
    let memories = |video: &VideoPredictor| {
        video
            .memory_line()
            .split_once("memories")
            .map(|(_, rest)| rest.to_owned())
    };
    let mut line = None;
    for (i, picture) in long.into_iter().enumerate() {
        let masks = block_on(live.push_frame(picture))?;
        ensure!(masks.frame == i);
        if i == 0 {
            ensure!(masks.objects.is_empty());
            block_on(live.add_new_points_or_box(0, 1, &click))?;
        } else {
            ensure!(masks.objects[0].mask.area() == areas[i], "frame {i}");
        }
        if i == 20 {
            line = memories(&live);
        }
    }
    ensure!(
        live.tracked_frames(1).len() <= 20,
        "{:?}",
        live.tracked_frames(1)
    );
    ensure!(
        memories(&live) == line,
        "it grew: {line:?} to {}",
        live.memory_line()
    );
    let gone = block_on(live.add_new_points_or_box(2, 1, &click));
    ensure!(
        gone.is_err_and(|e| e.code() == "bad_prompt"),
        "frame 2 is long gone"
    );
    Ok(())
}

#[test]
fn mistakes_are_refused_and_change_nothing() -> Result<()> {
    let model = model()?;
    let frames = frames();
    let frames = FolderFrames::open(&frames, 0, 5)?;
    let mut video = VideoPredictor::new(model, Box::new(frames), VideoOptions::default())?;
    let none = video.start_pass(PassOptions::default());
    ensure!(none.is_err_and(|e| e.code() == "bad_prompt"));
    let code = |video: &mut VideoPredictor, frame, prompt: &VideoPrompt| {
        block_on(video.add_new_points_or_box(frame, 1, prompt))
            .map(|_| "")
            .unwrap_or_else(|e| e.code())
    };
    let click = VideoPrompt::click(10.0, 10.0);
    ensure!(
        code(&mut video, 5, &click) == "bad_prompt",
        "the sixth of five frames"
    );
    ensure!(code(&mut video, 0, &VideoPrompt::click(240.0, 1.0)) == "bad_prompt");
    ensure!(code(&mut video, 0, &VideoPrompt::default()) == "bad_prompt");
    let both = VideoPrompt {
        keep_old_points: true,
        ..VideoPrompt::boxed(1.0, 1.0, 9.0, 9.0)
    };
    ensure!(code(&mut video, 0, &both) == "bad_prompt");
    ensure!(video.object_ids().is_empty() && video.remove_object(1).is_err());
    ensure!(video.clear_all_prompts_in_frame(0, 1).is_err());
    ensure!(code(&mut video, 2, &click).is_empty());
    let late = PassOptions {
        start_frame_idx: Some(5),
        ..PassOptions::default()
    };
    ensure!(video.start_pass(late).is_err());
    ensure!(video.remove_object(1)?.is_empty() && video.object_ids().is_empty());
    Ok(())
}

#[test]
fn a_live_prompt_is_taken_back_when_its_frame_is_long_gone() -> Result<()> {
    let folder = frames();
    let picture = |i: usize| -> Result<_> {
        let bytes = std::fs::read(folder.join(format!("{:05}.png", i % FRAMES)))?;
        Ok(sam2::image::decode(&bytes, &Default::default())?)
    };
    let first = picture(0)?;
    let size = ImageSize {
        width: first.width(),
        height: first.height(),
    };
    let options = VideoOptions {
        add_all_frames_to_correct_as_cond: true,
        ..VideoOptions::default()
    };
    let mut live = VideoPredictor::live(model()?, size, options)?;
    let wrong = VideoPrompt::click(5.0, 5.0);
    for i in 0..30 {
        block_on(live.push_frame(picture(i)?))?;
        match i {
            0 => block_on(live.add_new_points_or_box(0, 1, &VideoPrompt::click(52.8, 54.56)))?,
            3 => block_on(live.add_new_points_or_box(3, 1, &wrong))?,
            _ => continue,
        };
    }
    ensure!(live.prompted_frames(1) == [0, 3] && live.tracked_frames(1).len() > 2);
    ensure!(block_on(live.add_new_points_or_box(3, 1, &wrong)).is_err());
    let masks = live.clear_all_prompts_in_frame(3, 1)?;
    ensure!(masks.frame == 3 && live.prompted_frames(1) == [0]);
    ensure!(
        live.tracked_frames(1) == [0],
        "what was tracked with it goes, too: {:?}",
        live.tracked_frames(1)
    );
    let masks = block_on(live.push_frame(picture(30)?))?;
    ensure!(masks.objects[0].score.is_some() && live.tracked_frames(1) == [0, 30]);
    ensure!(live.clear_all_prompts_in_frame(99, 1).is_err());
    Ok(())
}
