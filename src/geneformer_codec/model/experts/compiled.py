"""How the kernels are compiled: into one function, without the GIL, and without reference counts.

The kernels make no arrays, so counting references to those they are given would only cost time, much of it when threads
share a panel's tables.
"""

from numba import njit

inline = njit(forceinline=True, _nrt=False, error_model="numpy")
"""A part of a kernel."""
apart = njit(_nrt=False, error_model="numpy")
"""A part that is seldom at work, or called from several places; it should be given few arrays."""
kernel = njit(cache=True, nogil=True, _nrt=False, error_model="numpy")
"""What Python calls."""
