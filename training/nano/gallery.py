"""What the model makes of the page's sample pictures: a picture for the model card, good and bad as it comes.

The prompts were chosen before the model was trained and are never changed to flatter it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

from .evaluate import predictor, read, read_mask

# Picture, words, clicks (x, y, label), box; all in shares of the picture's width and height.
PROMPTS = (
    ("cat", "one click on the face", [(0.42, 0.42, 1)], None),
    ("cat", "box around the cat", [], (0.02, 0.02, 0.98, 0.98)),
    ("astronaut", "one click on the suit", [(0.35, 0.75, 1)], None),
    ("astronaut", "box around the person", [], (0.02, 0.02, 0.88, 0.99)),
    ("coffee", "one click on the cup", [(0.40, 0.60, 1)], None),
    ("coffee", "box around cup and saucer", [], (0.12, 0.12, 0.87, 0.93)),
    ("rocket", "one click on the rocket", [(0.50, 0.55, 1)], None),
    ("rocket", "box around the rocket", [], (0.46, 0.20, 0.54, 0.85)),
)
TILE = 320


def draw(picture: np.ndarray, mask: np.ndarray, clicks: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """RGB uint8 [H, W, 3] with the mask tinted and outlined, the clicks and the box drawn."""
    out = picture.copy()
    out[mask] = (0.5 * out[mask] + 0.5 * np.array([30, 120, 255])).astype(np.uint8)
    edges = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    width = max(1, round(max(picture.shape) / 250))
    cv2.drawContours(out, edges, -1, (255, 255, 255), width)
    if box is not None:
        cv2.rectangle(out, box[:2].round().astype(int).tolist(), box[2:].round().astype(int).tolist(), (255, 200, 0), 2 * width)
    for x, y in clicks:
        cv2.circle(out, (round(x), round(y)), 5 * width, (0, 200, 80), -1)
    return out


def snapped(binary: Path, picture: Path, points: np.ndarray, labels: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """The mask bool [H, W] that `sam2 segment --snap` gives with the embedded model: of three the best, or one for a box."""
    prompt = {"points": points.tolist(), "labels": labels.tolist(), "multimask": box is None}
    if box is not None:
        prompt["box"] = box.tolist()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "prompts.json").write_text(json.dumps([prompt]))
        command = [str(binary), "segment", str(picture), "--snap", "--device", "cpu", "--prompts", str(folder / "prompts.json")]
        done = subprocess.run([*command, "--json", "--out", str(folder)], check=True, capture_output=True, text=True)
        scores = [mask["iou"] for mask in json.loads(done.stdout)["masks"]]
        return read_mask(next(folder.rglob(f"0_{int(np.argmax(scores))}.png")))


def gallery(state: dict[str, torch.Tensor], folder: Path, out: Path, binary: Path | None = None) -> None:
    """Writes a sheet of the predictions for `PROMPTS` on the pictures NAME.jpg of a folder; with the `sam2` binary, snapped."""
    p, tiles, shown = predictor(state), [], None
    for name, words, clicks, box in PROMPTS:
        if name != shown:
            picture = read(folder / f"{name}.jpg")
            p.set_image(picture)
            shown = name
        size = np.array([picture.shape[1], picture.shape[0]])
        points = np.array([c[:2] for c in clicks]).reshape(-1, 2) * size
        corners = None if box is None else np.array(box) * np.tile(size, 2)
        labels = np.array([c[2] for c in clicks])
        masks, scores, _ = p.predict(
            points if len(points) else None, labels if len(points) else None, box=corners, multimask_output=box is None
        )
        best = int(scores.argmax())
        mask = masks[best] > 0
        if binary is not None:
            mask = snapped(binary, folder / f"{name}.jpg", points, labels, corners)
        tile = draw(picture, mask, points, corners)
        height = round(tile.shape[0] * TILE / tile.shape[1])
        tile = cv2.resize(tile, (TILE, height), interpolation=cv2.INTER_AREA)[:TILE]
        sheet = np.full((TILE + 24, TILE, 3), 255, np.uint8)
        sheet[: len(tile)] = tile
        text = f"{words}, predicted IoU {scores[best]:.2f}"
        cv2.putText(sheet, text, (4, TILE + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(sheet)
    rows = [np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles), 4)]
    cv2.imwrite(str(out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
