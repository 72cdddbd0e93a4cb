"""Makes the clips of the browser tests: a red disc that goes right behind a grey bar, and a blue square
that goes down, over a quiet ground. Needs Pillow, numpy and the ffmpeg program."""

import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
WIDTH, HEIGHT, FRAMES = 320, 180, 20


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


def main() -> None:
    pictures = [frame(i) for i in range(FRAMES)]
    small = [picture.resize((160, 90), Image.BOX).quantize(32) for picture in pictures]
    small[0].save(HERE / "two.gif", save_all=True, append_images=small[1:], duration=100, loop=0)
    raw = b"".join(picture.tobytes() for picture in pictures)
    encode = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    encode += ["-s", f"{WIDTH}x{HEIGHT}", "-r", "10", "-i", "-", "-c:v", "libvpx", "-b:v", "600k"]
    encode += ["-pix_fmt", "yuv420p", "-an", str(HERE / "two.webm")]
    subprocess.run(encode, input=raw, check=True)


main()
