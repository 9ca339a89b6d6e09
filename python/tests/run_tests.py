#!/usr/bin/env python3
"""The package's tests for ctest: 77, which ctest shows as skipped, without NumPy or pytest.

$WILOR_LIBRARY: the C library. $WILOR_PROGRAM, $WILOR_FIXTURES: see conftest.py."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
try:
    import numpy  # noqa: F401
    import pytest
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
if not os.environ.get("WILOR_TEST_INSTALLED"):
    sys.path.insert(0, os.path.dirname(HERE))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [os.path.dirname(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
sys.dont_write_bytecode = True
sys.exit(pytest.main(["-q", "-rs", "-p", "no:cacheprovider", HERE, *sys.argv[1:]]))
