"""The structs of _abi.py lie in memory as those of the header do, field by field: a compiler says where."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT
from wilor import _abi

HEADER = ROOT / "include/wilor/wilor.h"


def fields_of(struct):
    return [name for name, *_ in struct._fields_]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    lines = ["#include <stdio.h>", "#include <wilor/wilor.h>", "int main(void) {"]
    for name, struct in _abi.STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field in fields_of(struct):
            lines.append(
                f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), '
                f"sizeof((({name} *)0)->{field}));"
            )
    folder = tmp_path_factory.mktemp("abi")
    (folder / "probe.c").write_text("\n".join([*lines, "return 0; }"]))
    include = f"-I{ROOT / 'include'}"
    subprocess.check_call([compiler, include, "-o", folder / "probe", folder / "probe.c"])
    said = subprocess.check_output([folder / "probe"], text=True)
    return {line.split()[0]: [int(x) for x in line.split()[1:]] for line in said.splitlines()}


@pytest.mark.parametrize("name", _abi.STRUCTS)
def test_struct(layout, name):
    import ctypes

    struct = _abi.STRUCTS[name]
    for field in fields_of(struct):
        said = getattr(struct, field)
        assert [said.offset, said.size] == layout[f"{name}.{field}"], field
    # Results may have grown at their end since.
    assert ctypes.sizeof(struct) == layout[name][0]


def test_numbers():
    """Enums, by the header's text."""
    text = HEADER.read_text()
    said = {k: int(v) for k, v in re.findall(r"WILOR_(\w+)\s*=\s*(\d+)", text)}
    for name in ("ARG", "NOMEM", "IO", "FORMAT", "MODEL", "MISSING", "LIMIT", "UNSUPPORTED", "CANCELLED"):
        assert getattr(_abi, "ERR_" + name) == said["ERR_" + name]
    for name in ("RGB8", "BGR8", "RGBA8", "GRAY8", "LEFT", "RIGHT"):
        assert getattr(_abi, name) == said[name]
    for table, prefix in ((_abi.DTYPES, "DTYPE_"), (_abi.COMPAT, "COMPAT_"), (_abi.WARPS, "WARP_")):
        for name, number in table.items():
            assert said[prefix + name.upper()] == number
