"""Where the weights changed."""

from __future__ import annotations

import pytest

from sku.reporting.norm_heatmap import norm_figure


def test_norms_are_a_cell_a_layer_and_module() -> None:
    (heat,) = norm_figure({"q_proj": [1.0, 2.0, 3.0], "v_proj": [None, 0.5, 0.0]}).data
    assert [list(cells) for cells in heat.z] == [[1.0, None], [2.0, 0.5], [3.0, 0.0]]
    assert not norm_figure({}).data
    with pytest.raises(ValueError, match=r"modules have \[1, 2\] layers"):
        norm_figure({"q_proj": [1.0], "v_proj": [1.0, 2.0]})
