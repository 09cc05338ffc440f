"""Bodies to send to the server: photos, and what is meant to hurt it."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def jpeg(rgb, quality=95):
    """A picture (h, w, 3) as JPEG."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=quality)
    return out.getvalue()


def png(rgb):
    """A picture (h, w, 3) or (h, w) as PNG."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "PNG")
    return out.getvalue()


def noise(height=32, width=48, seed=0):
    """A picture of blurred noise (height, width, 3), which no detector calls a face."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def png_of_size(width, height, data=b""):
    """A PNG whose header says that size, in grey, with `data` as its compressed rows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def zip_bomb():
    """A 64 x 64 PNG whose compressed rows unpack to 64 MB."""
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    return png_of_size(64, 64, b"".join(packer.compress(zeros) for _ in range(64)) + packer.flush())


def form(content, name="a.jpg", boundary=b"xYzZy", field=b"file", **fields):
    """A multipart body and its Content-Type."""
    parts = [
        b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % (k.encode(), str(v).encode())
        for k, v in fields.items()
    ]
    parts.append(
        b'Content-Disposition: form-data; name="%s"; filename="%s"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%s" % (field, name.encode(), content)
    )
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
    return body + b"--%s--\r\n" % boundary, f"multipart/form-data; boundary={boundary.decode()}"
