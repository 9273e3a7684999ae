"""Options that evaluation commands share."""

import pytest

from talkinghead.errors import OutputError
from talkinghead.evaluation.options import RunOptions


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing/figures.json", "no such folder"), ("figures.txt", "figures are written as json"), (".", "folder")],
)
def test_where_figures_go_is_checked_before_anything_is_measured(tmp_path, name, message):
    with pytest.raises(OutputError, match=message):
        RunOptions(output=str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []
