"""Networks as dlib serialises them, of any numbers."""

import numpy as np


def whole(number):
    """A whole number: a byte that is its length, with the top bit set below zero; its bytes."""
    size = (abs(number).bit_length() + 7) // 8
    return bytes([size | (0x80 if number < 0 else 0)]) + abs(number).to_bytes(size, "little")


def text(words):
    return whole(len(words)) + words.encode()


def tensor(values, *sizes):
    return whole(2) + b"".join(map(whole, sizes)) + values.astype("<f4").tobytes()


def write_dlib(path, layers):
    """Write layers of filters (outputs, inputs, side, side), biases, factors and offsets."""
    parts = [text("net_type"), whole(14)]
    for filters, biases, factors, offsets in layers:
        convolution, affine = np.concatenate([filters.ravel(), biases]), [*factors, *offsets]
        parts += [whole(1), text("con_4"), tensor(convolution, convolution.size, 1, 1, 1)]
        parts += [whole(len(biases)), whole(-1), whole(0)]  # what it was made with
        parts += [text("affine_"), tensor(np.array(affine), 2, len(biases), 1, 1)]
    path.write_bytes(b"".join(parts))
    return path
