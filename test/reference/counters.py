"""Values from counters: the same numbers in Python and in TypeScript (test/counters.ts), so that goldens store outputs only.

Word i of the stream (seed, name) is the first word of Threefry-2x32 (20 rounds; Salmon et al., SC 2011) under
key (seed, FNV-1a-32 of the name) and counter (i, 0). Every float is representable in f32: it is computed in f64 with
one rounding at the end, which is the same in NumPy and in JavaScript.
"""

import numpy as np

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA
CHUNK = 1 << 20

PROJECTIONS = 8
PROJECTION_SEED = 77


def fnv1a32(name: str) -> int:
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def threefry2x32(k0: int, k1: int, c0: np.ndarray, c1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint32 counters of any shape -> two uint32 arrays of that shape."""
    u32 = np.uint32
    keys = (u32(k0), u32(k1), u32(PARITY ^ k0 ^ k1))
    x0 = c0.astype(u32) + keys[0]
    x1 = c1.astype(u32) + keys[1]
    for r in range(20):
        rotation = ROTATIONS[r % 8]
        x0 += x1
        x1 = (x1 << u32(rotation)) | (x1 >> u32(32 - rotation))
        x1 ^= x0
        if r % 4 == 3:
            j = r // 4 + 1
            x0 += keys[j % 3]
            # Python integers, since NumPy warns when a uint32 scalar wraps.
            x1 += u32((int(keys[(j + 1) % 3]) + j) & 0xFFFFFFFF)
    return x0, x1


def words(seed: int, name: str, count: int, start: int = 0) -> np.ndarray:
    """uint32[count]: words start … start + count - 1 of the stream."""
    out = np.empty(count, np.uint32)
    key = fnv1a32(name)
    for at in range(0, count, CHUNK):
        n = min(CHUNK, count - at)
        c0 = np.arange(start + at, start + at + n, dtype=np.uint32)
        out[at : at + n] = threefry2x32(seed, key, c0, np.zeros(n, np.uint32))[0]
    return out


def uniform(seed: int, name: str, shape: tuple[int, ...], scale: float = 1.0, base: float = 0.0) -> np.ndarray:
    """f32[shape] = base + scale·v, v = 2·(word >> 8)·2^-24 - 1 in [-1, 1)."""
    count = int(np.prod(shape))
    v = (words(seed, name, count) >> np.uint32(8)).astype(np.float64) * 2.0**-23 - 1.0
    return (base + scale * v).astype(np.float32).reshape(shape)


def classes(seed: int, name: str, shape: tuple[int, ...], count: int) -> np.ndarray:
    """int64[shape] = word mod count."""
    return (words(seed, name, int(np.prod(shape))) % np.uint32(count)).astype(np.int64).reshape(shape)


def signs(count: int) -> np.ndarray:
    """uint8[count]: bit k of entry i is set where projection k takes element i with +1, else -1. The low byte of the
    stream (77, "proj"), the same for every tensor."""
    return words(PROJECTION_SEED, "proj", count).astype(np.uint8)


def sample_indices(numel: int, count: int = 16) -> list[int]:
    """Up to `count` distinct element indices, ascending, from the stream (77, "samples")."""
    return sorted({int(w) % numel for w in words(PROJECTION_SEED, "samples", count)})


if __name__ == "__main__":
    # Known answers of Random123 (kat_vectors, threefry2x32 20).
    def check(k, c, want):
        got = tuple(int(x[0]) for x in threefry2x32(*k, *(np.array([w], np.uint32) for w in c)))
        assert got == want, (k, c, got, want)

    check((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE))
    check((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7))
    check((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0))
    assert fnv1a32("") == 0x811C9DC5 and fnv1a32("foobar") == 0xBF9CF968
    print([hex(w) for w in words(7, "x", 3)], uniform(7, "x", (3,), 0.5, 1.0).tolist(), classes(7, "x", (4,), 14))
