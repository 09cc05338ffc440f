"""Pickles of weights as Python 3 and Python 2 write them."""

import pickle
import struct


def write_pickle(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def python2_pickle(arrays):
    """What Python 2's cPickle writes at protocol 2: text and the arrays' bytes are both `str`."""

    def text(value):
        return b"T" + struct.pack("<i", len(value)) + value

    def whole(value):
        return b"J" + struct.pack("<i", value)

    parts = [b"\x80\x02}("]
    for name, array in arrays.items():
        shape = b"(" + b"".join(whole(n) for n in array.shape) + b"t"
        code = array.dtype.str.encode()
        kind = b"cnumpy\ndtype\n" + text(code[1:]) + b"K\x00K\x01\x87R"
        kind += b"(K\x03" + text(code[:1]) + b"NNN" + whole(-1) + whole(-1) + b"K\x00tb"
        blank = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
        state = b"(K\x01" + shape + kind + b"\x89" + text(array.tobytes()) + b"t"
        parts += [text(name.encode()), blank + b"\x87R", state + b"b"]
    return b"".join(parts) + b"u."
