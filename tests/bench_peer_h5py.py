#!/usr/bin/python3
"""bench_peer_h5py.py FILE...: seconds to read the data sets of a group and join its channels, by h5py and numpy."""
import sys
import time

import h5py
import numpy

HEADER = ("time_array", "ant_1_array", "ant_2_array", "uvw_array", "freq_array", "antenna_positions",
          "antenna_numbers", "integration_time", "polarization_array")

start = time.monotonic()
part = []
for name in sys.argv[1:]:
    with h5py.File(name, "r") as f:
        header = {k: f["Header"][k][()] for k in HEADER if k in f["Header"]}
        data = tuple(f["Data"][k][()] for k in ("visdata", "flags", "nsamples"))
    part.append((header["freq_array"].ravel()[0], data))
part.sort(key=lambda p: p[0])
joined = [numpy.concatenate([p[1][i] for p in part], axis=-2) for i in range(3)]
print(f"read_s={time.monotonic() - start:.4f}")
