"""The known picture and the known tone that every Python publisher sends.

Left half one colour, right half the other; along the top a row of 16 cells spells the frame's number in binary
(white is 1, the leftmost cell is the highest bit); a white block crosses the lower third. `page/probe.js` reads
them back from the decoded picture, so a test sees which source it watches, in which order, and every freeze.
"""

import numpy as np

WIDTH, HEIGHT = 640, 360
CELLS = 16
CELL_WIDTH, CELL_HEIGHT = WIDTH // CELLS, 40
BLOCK = 60
COLOURS = {"red": (224, 32, 32), "blue": (32, 32, 224), "green": (32, 192, 32), "yellow": (224, 224, 32)}

RANDOM = np.random.default_rng(1)

SAMPLE_RATE = 48_000
TONE_HZ = 440


def background(left, right):
    """The two halves as an RGB array of HEIGHT x WIDTH x 3."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : WIDTH // 2] = COLOURS[left]
    image[:, WIDTH // 2 :] = COLOURS[right]
    return image


def picture(base, number, snow=0):
    """A copy of `base` that shows frame `number` in the row of cells and in the block's place, with so many rows of snow, which
    cost an encoder what it has, at the bottom."""
    image = base.copy()
    if snow:
        image[HEIGHT - snow :] = RANDOM.integers(0, 256, (snow, WIDTH, 1), np.uint8)
    bits = number % (1 << CELLS)
    for cell in range(CELLS):
        lit = bits >> (CELLS - 1 - cell) & 1
        x = cell * CELL_WIDTH
        image[:CELL_HEIGHT, x : x + CELL_WIDTH] = 255 if lit else 0
    x = number * 8 % (WIDTH - BLOCK)
    image[HEIGHT - 2 * BLOCK : HEIGHT - BLOCK, x : x + BLOCK] = 255
    return image


def tone(start, count):
    """`count` samples of the tone from sample `start` on, 16 bit, stereo, interleaved: shape 1 x (2 * count)."""
    t = np.arange(start, start + count)
    wave = (np.sin(2 * np.pi * TONE_HZ * t / SAMPLE_RATE) * 8_000).astype(np.int16)
    return np.repeat(wave, 2).reshape(1, -1)
