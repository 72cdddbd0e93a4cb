//! Live video: what a frame that is refused leaves behind, and what is held of those that were taken.

mod session;

use anyhow::{Context, Result, ensure};
use sam2::block_on;
use sam2::image::{ImageSize, RgbImage};
use sam2::video::{LivePictures, VideoOptions, VideoPredictor, VideoPrompt};
use session::{FRAMES, HEIGHT, WIDTH, frames, model};

const SIZE: ImageSize = ImageSize {
    width: WIDTH,
    height: HEIGHT,
};

fn pictures() -> Result<Vec<RgbImage>> {
    let read = |i: usize| {
        let bytes = std::fs::read(frames().join(format!("{i:05}.png")))?;
        Ok(sam2::image::decode(&bytes, &Default::default())?)
    };
    (0..FRAMES).map(read).collect()
}

fn click() -> VideoPrompt {
    VideoPrompt::click(52.8, 54.56)
}

#[test]
fn a_frame_that_is_refused_was_not_taken() -> Result<()> {
    let pictures = pictures()?;
    let open = || VideoPredictor::live(model()?, SIZE, VideoOptions::default()).context("live");
    let push =
        |video: &mut VideoPredictor, i: usize| block_on(video.push_frame(pictures[i].clone()));
    let mut whole = open()?;
    let mut stopped = open()?;
    for video in [&mut whole, &mut stopped] {
        push(video, 0)?;
        block_on(video.add_new_points_or_box(0, 1, &click()))?;
        push(video, 1)?;
    }
    let small = RgbImage::from_rgb(2, 1, vec![0; 6])?;
    let refused = block_on(stopped.push_frame(small));
    ensure!(refused.is_err_and(|e| e.to_string().contains("2 x 1")));
    // An object without a prompt has nothing to be tracked from.
    block_on(stopped.add_new_points_or_box(1, 2, &click()))?;
    stopped.clear_all_prompts_in_frame(1, 2)?;
    let before = stopped.held();
    ensure!(push(&mut stopped, 2).is_err_and(|e| e.code() == "bad_prompt"));
    ensure!(stopped.num_frames() == 2 && stopped.held() == before);
    stopped.remove_object(2)?;
    for i in 2..6 {
        let (a, b) = (push(&mut whole, i)?, push(&mut stopped, i)?);
        ensure!(a.frame == i && b.frame == i);
        ensure!(a.objects[0].mask == b.objects[0].mask, "frame {i}");
    }
    Ok(())
}

#[test]
fn little_room_for_pictures_changes_no_mask() -> Result<()> {
    let pictures = pictures()?;
    let mut whole = VideoPredictor::live(model()?, SIZE, VideoOptions::default())?;
    // One picture, and one frame's features.
    let options = VideoOptions {
        feature_bytes: 0,
        ..VideoOptions::default()
    };
    let mut narrow = VideoPredictor::live_within(
        model()?,
        SIZE,
        options,
        LivePictures {
            max_dimension: 0,
            bytes: 0,
        },
    )?;
    for (i, picture) in pictures.iter().cycle().take(30).enumerate() {
        let a = block_on(whole.push_frame(picture.clone()))?;
        let b = block_on(narrow.push_frame(picture.clone()))?;
        for (a, b) in a.objects.iter().zip(&b.objects) {
            ensure!(a.mask == b.mask && a.score == b.score, "frame {i}");
        }
        if i == 0 || i == 5 {
            block_on(whole.add_new_points_or_box(i, 1, &click()))?;
            block_on(narrow.add_new_points_or_box(i, 1, &click()))?;
        }
        ensure!(narrow.oldest_frame() == i);
    }
    let held = narrow.held();
    ensure!(held.pictures == WIDTH * HEIGHT * 3, "{held:?}");
    ensure!(whole.oldest_frame() == 14 && whole.held().pictures == 16 * held.pictures);
    ensure!(
        whole.held().features == 16 * held.features,
        "{:?}",
        whole.held()
    );
    let gone = block_on(narrow.add_new_points_or_box(28, 1, &click()));
    ensure!(gone.is_err_and(|e| e.to_string().contains("from 29 on")));
    Ok(())
}

#[test]
fn large_frames_are_kept_smaller_and_masks_keep_their_size() -> Result<()> {
    let pictures = pictures()?;
    let bounds = LivePictures {
        max_dimension: 60,
        bytes: usize::MAX,
    };
    let mut live = VideoPredictor::live_within(model()?, SIZE, VideoOptions::default(), bounds)?;
    block_on(live.push_frame(pictures[0].clone()))?;
    let masks = block_on(live.add_new_points_or_box(0, 1, &click()))?;
    let mask = &masks.objects[0].mask;
    ensure!((mask.width(), mask.height()) == (WIDTH, HEIGHT));
    ensure!(live.held().pictures == 60 * 44 * 3, "{:?}", live.held());
    ensure!(
        block_on(live.push_frame(pictures[1].clone()))?
            .objects
            .len()
            == 1
    );
    Ok(())
}
