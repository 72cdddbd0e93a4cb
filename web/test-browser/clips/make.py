"""Makes the clips of the tests: a red disc that goes right behind a grey bar, and a blue square that goes
down, over a quiet ground; with even frames, and with frames that stay for different lengths of time. Needs
Pillow, numpy and the ffmpeg program."""

import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
WIDTH, HEIGHT, FRAMES = 320, 180, 20
# Milliseconds at which the frames of the uneven clips come on.
TIMES = [0, 33, 66, 500, 520, 540, 1240, 1280, 2040, 2050, 2060, 2960, 3000, 3033, 3066, 3500, 3520, 3540, 4300, 4310]


def frame(i: int, scale: int = 2) -> Image.Image:
    y, x = np.mgrid[0 : HEIGHT * scale, 0 : WIDTH * scale] / scale
    ground = np.stack([118 + 20 * np.sin(x / 40), 128 + 14 * np.cos(y / 30), 112 + 0 * x], axis=-1)
    disc = (x - (50 + 9 * i)) ** 2 + (y - 120) ** 2 < 24**2
    square = (abs(x - 240) < 20) & (abs(y - (36 + 4 * i)) < 20)
    bar = (abs(x - 160) < 9) & (y > 80)
    ground[square] = (40, 70, 220)
    ground[disc] = (220, 40, 40)
    ground[bar] = (70, 70, 74)
    return Image.fromarray(ground.astype(np.uint8)).resize((WIDTH, HEIGHT), Image.BOX)


def encode(raw: bytes, name: str, *options: str) -> None:
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{WIDTH}x{HEIGHT}", "-r", "10", "-i", "-", *options]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-an", str(HERE / name)], input=raw, check=True)


def main() -> None:
    pictures = [frame(i) for i in range(FRAMES)]
    small = [picture.resize((160, 90), Image.BOX).quantize(32) for picture in pictures]
    small[0].save(HERE / "two.gif", save_all=True, append_images=small[1:], duration=100, loop=0)
    raw = b"".join(picture.tobytes() for picture in pictures)
    vp8 = ["-c:v", "libvpx", "-b:v", "600k"]
    encode(raw, "two.webm", *vp8)
    stamps = "+".join(f"eq(N\\,{i})*{ms}" for i, ms in enumerate(TIMES))
    uneven = ["-vf", f"settb=1/1000,setpts={stamps}", "-enc_time_base", "1:1000", "-fps_mode", "passthrough"]
    encode(raw, "uneven.webm", *uneven, *vp8)
    # With frames stored in another order than they are shown in, and key frames on the way.
    h264 = ["-c:v", "libx264", "-x264-params", "bframes=3:b-adapt=0:keyint=8:scenecut=0", "-crf", "26"]
    encode(raw, "uneven.mp4", *uneven, *h264)


main()
