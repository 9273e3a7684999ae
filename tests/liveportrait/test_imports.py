"""Imports without side effects, which leave the real packages to everybody else."""

import importlib
import os
import sys
from importlib.util import find_spec

import pytest
import torch

from liveportrait import imports
from liveportrait.imports import meta_device, quiet_imports


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A package that imports a noisy one and its own noisy module, and one that may report."""
    (tmp_path / "careless").mkdir()
    (tmp_path / "careless" / "__init__.py").write_text(
        "def __getattr__(name):\n    if name != 'noise':\n        raise AttributeError(name)\n"
        "    import careless.noise as noise\n    return noise\n"
    )
    (tmp_path / "careless" / "noise.py").write_text("import os; os.environ['NOISE'] = '1'; LOUD = 11")
    (tmp_path / "careless" / "uses.py").write_text(
        "import careless, noisy as n\nnoise = careless.noise\n"
        "try:\n    import reporter\nexcept ImportError:\n    reporter = None\n"
    )
    for name in ("noisy", "reporter"):
        (tmp_path / f"{name}.py").write_text("import os; os.environ['NOISE'] = '1'; LOUD = 11")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "_POSTPONED", ("noisy", "careless.noise"))
    monkeypatch.setattr(imports, "_ABSENT", ("reporter",))
    monkeypatch.setenv("NOISE", "0")
    yield importlib.import_module
    for name in [name for name in sys.modules if name.partition(".")[0] in {"careless", "noisy", "reporter"}]:
        del sys.modules[name]


def test_side_effects_are_postponed_and_everything_works_later(packages):
    with quiet_imports(), quiet_imports():
        uses = packages("careless.uses")
    assert os.environ["NOISE"] == "0" and uses.reporter is None
    assert not {"noisy", "careless.noise", "reporter"} & set(sys.modules)
    assert uses.n.LOUD == uses.noise.LOUD == 11 and os.environ["NOISE"] == "1"
    for name in ("noisy", "careless.noise", "reporter"):
        assert packages(name).LOUD == 11 and sys.modules[name].__file__
    assert sys.modules["careless"].noise is sys.modules["careless.noise"]


def test_placeholders_are_found_where_the_real_modules_are(packages):
    real = {name: find_spec(name).origin for name in ("noisy", "careless.noise")}
    with quiet_imports():
        assert {name: find_spec(name).origin for name in real} == real
        assert find_spec("noisy") is sys.modules["noisy"].__spec__ and not hasattr(sys.modules["noisy"], "__file__")
    assert os.environ["NOISE"] == "0" and not set(real) & set(sys.modules)


def test_placeholders_of_placeholders_and_of_nothing_have_specs(packages, monkeypatch):
    monkeypatch.setattr(imports, "_POSTPONED", ("careless", "careless.noise", "no_such", "no_such.os"))
    with quiet_imports():
        assert find_spec("careless").submodule_search_locations and sys.modules["careless.noise"].__spec__.origin
        assert find_spec("no_such").loader is None and sys.modules["no_such.os"].__spec__.loader is None
    assert "careless" not in sys.modules and os.environ["NOISE"] == "0"


def test_what_was_imported_before_is_left_alone(packages):
    before = [packages(name) for name in ("noisy", "careless.noise", "reporter")]
    with quiet_imports():
        assert packages("careless.uses").n is before[0]
    assert [packages(name) for name in ("noisy", "careless.noise", "reporter")] == before


def test_a_failed_import_leaves_nothing_behind(packages, monkeypatch):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with pytest.raises(ModuleNotFoundError), quiet_imports():
        packages("no_such_package")
    assert not {"noisy", "careless.noise", "reporter"} & set(sys.modules)
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


def test_networks_on_the_meta_device_take_no_memory():
    with meta_device():
        layer = torch.nn.Linear(10**6, 10**6)
    assert layer.weight.is_meta and layer.weight.shape == (10**6, 10**6)
    assert not torch.zeros(1).is_meta and "torch._dynamo" in sys.modules
